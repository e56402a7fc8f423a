//! An answer in the making, as its asker sees it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use ragtune_core::Cancel;
use ragtune_core::text::Usage;
use ragtune_retrieve::Retriever;

use super::retrieval::Retrieval;
use super::verify;
use crate::answer::{Abstention, Answer, RejectedCitation, Source};
use crate::answerer::{AnswerEvent, AnswerStream, CitationClaim};
use crate::error::{Error, Result};

/// What [`crate::Rag::stream`] yields, in this order: the sources once, pieces of text, the whole answer once.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RagEvent {
    /// What was found, best first; which of it is cited shows in the final answer.
    Sources(Vec<Source>),
    /// The next piece of the answer's text, whole characters.
    Text(String),
    /// The answer, with its citations checked, or the abstention.
    Done(Box<Answer>),
}

/// An answer in the making; pull it to go on, drop it to stop the model.
///
/// It ends after [`RagEvent::Done`] or the first error.
pub struct RagStream {
    retriever: Arc<dyn Retriever>,
    answer: Answer,
    /// For each source, whether its document's text could be read when it was found.
    kept: Vec<bool>,
    events: Option<AnswerStream>,
    ready: VecDeque<RagEvent>,
    cancel: Cancel,
}

impl RagStream {
    /// The stream of an answer after retrieval; `events` are none where retrieval already says that there is none.
    pub(super) fn new(
        question: String,
        retriever: Arc<dyn Retriever>,
        retrieval: Retrieval,
        start: impl FnOnce(&Retrieval) -> Result<AnswerStream>,
    ) -> Result<Self> {
        let mut retrieval = retrieval;
        let mut kept = Vec::with_capacity(retrieval.hits.len());
        for hit in &retrieval.hits {
            let stored = retriever.stored_text(&hit.chunk.document_id, hit.chunk.span)?;
            kept.push(stored.is_some());
        }
        let started = Instant::now();
        let events = match retrieval.abstention.take() {
            Some(reason) => AnswerStream::abstain(reason),
            None => start(&retrieval)?,
        };
        let mut trace = retrieval.trace;
        trace.timings.answer_ms = milliseconds(started);
        let numbered = retrieval.hits.into_iter().enumerate();
        let sources: Vec<_> = numbered
            .map(|(at, chunk)| Source {
                number: at + 1,
                chunk,
                cited: false,
            })
            .collect();
        Ok(Self {
            retriever,
            kept,
            ready: VecDeque::from([RagEvent::Sources(sources.clone())]),
            answer: Answer {
                question,
                text: String::new(),
                citations: Vec::new(),
                sources,
                abstention: None,
                confidence: None,
                trace,
                usage: Usage::default(),
            },
            events: Some(events),
            cancel: Cancel::new(),
        })
    }

    /// The same stream, which also ends with [`ragtune_core::Error::Cancelled`] once this flag is set.
    pub fn cancelled_by(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Runs the stream to its end.
    ///
    /// # Errors
    /// The first error of the answerer or of the retriever's stored texts.
    pub fn collect_all(self) -> Result<Answer> {
        for event in self {
            if let RagEvent::Done(answer) = event? {
                return Ok(*answer);
            }
        }
        Err(broken("ended without an answer"))
    }

    /// Takes the answerer's next event in; false at its end.
    fn step(&mut self) -> Result<bool> {
        self.cancel.check()?;
        let Some(event) = self.events.as_mut().and_then(Iterator::next) else {
            return Ok(false);
        };
        match event? {
            AnswerEvent::Text(piece) if piece.is_empty() => {}
            AnswerEvent::Text(_) if self.answer.abstention.is_some() => {
                return Err(broken("gave text after it had abstained"));
            }
            AnswerEvent::Text(piece) => {
                self.answer.text.push_str(&piece);
                self.ready.push_back(RagEvent::Text(piece));
            }
            AnswerEvent::Abstain(_) if !self.answer.text.is_empty() => {
                return Err(broken("abstained after it had given text"));
            }
            AnswerEvent::Abstain(reason) => self.abstain(reason),
            AnswerEvent::Citation(claim) => self.cite(claim)?,
            AnswerEvent::Rejected(rejected) => self.answer.trace.rejected_citations.push(rejected),
            AnswerEvent::Confidence(value) if (0.0..=1.0).contains(&value) => {
                self.answer.confidence = Some(value);
            }
            AnswerEvent::Confidence(_) => {
                return Err(broken("gave a confidence that is not between 0 and 1"));
            }
            AnswerEvent::Prompt(prompt) => self.answer.trace.prompt = Some(prompt),
            AnswerEvent::Dropped(dropped) => self.answer.trace.dropped.push(dropped),
            AnswerEvent::DroppedTurns(turns) => self.answer.trace.dropped_turns = turns,
            AnswerEvent::Call(call) => {
                if let Some(usage) = call.usage {
                    self.answer.usage += usage;
                }
                self.answer.trace.calls.push(call);
            }
        }
        Ok(true)
    }

    fn abstain(&mut self, reason: Abstention) {
        self.answer.abstention = Some(reason);
    }

    fn cite(&mut self, claim: CitationClaim) -> Result<()> {
        let answer = &mut self.answer;
        let kept = claim.source.checked_sub(1).and_then(|at| self.kept.get(at));
        let kept = kept.copied().unwrap_or_default();
        match verify::check(claim, &answer.text, &answer.sources, kept, &*self.retriever)? {
            Ok(citation) if answer.citations.contains(&citation) => {}
            Ok(citation) => {
                if let Some(source) = answer.sources.get_mut(citation.source - 1) {
                    source.cited = true;
                }
                answer.citations.push(citation);
            }
            Err(fault) => answer.trace.rejected_citations.push(RejectedCitation {
                source: claim.source,
                answer_span: claim.answer_span,
                fault,
            }),
        }
        Ok(())
    }

    /// The answer once the answerer has ended.
    fn finish(&mut self) -> Result<RagEvent> {
        if self.answer.text.trim().is_empty() && self.answer.abstention.is_none() {
            return Err(broken("gave neither a text nor a reason for none"));
        }
        let mut answer = self.answer.clone();
        answer
            .citations
            .sort_by_key(|citation| (citation.answer_span, citation.source, citation.span));
        let timings = &mut answer.trace.timings;
        timings.total_ms = timings.retrieve_ms + timings.rerank_ms + timings.answer_ms;
        Ok(RagEvent::Done(Box::new(answer)))
    }
}

impl Iterator for RagStream {
    type Item = Result<RagEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            self.events.as_ref()?;
            let started = Instant::now();
            let more = self.step();
            self.answer.trace.timings.answer_ms += milliseconds(started);
            match more {
                Ok(true) => {}
                Ok(false) => {
                    self.events = None;
                    return Some(self.finish());
                }
                Err(error) => {
                    self.events = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl std::fmt::Debug for RagStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RagStream")
            .field("question", &self.answer.question)
            .finish_non_exhaustive()
    }
}

/// Milliseconds since then.
pub(crate) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn broken(reason: &str) -> Error {
    Error::Answerer {
        reason: reason.to_owned(),
    }
}
