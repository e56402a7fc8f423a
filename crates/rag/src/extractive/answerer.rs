//! The answerer that quotes.

use std::sync::{Arc, OnceLock};

use ragtune_core::text::{Embedder, Query, ScoredChunk, Span};

use super::candidates::{Candidate, Candidates};
use super::evidence::{self, Measures};
use super::options::ExtractiveOptions;
use super::selection;
use crate::answer::{Abstention, ModelCall};
use crate::answerer::{AnswerEvent, AnswerStream, Answerer, CitationClaim};
use crate::error::Result;
use crate::rag::SearchText;
use crate::words;

/// Answers with the sentences that answer the question, without a language model.
///
/// Sentences are measured by the encoder (alone and under their heading), by the question's words that they have, and
/// by the rank of their passage. The strongest are quoted byte for byte, with the code or list that they introduce,
/// each followed by its source's number; without strong evidence the answer is an abstention.
///
/// ```
/// use ragtune::testing::HashingEmbedder;
/// use ragtune::{AnswerEvent, Answerer, Chunk, Document, ExtractiveAnswerer, ScoreKind, ScoredChunk};
///
/// let answerer = ExtractiveAnswerer::new(HashingEmbedder::new(256));
/// let tea = Chunk::whole(&Document::new("tea.md", "Tea is old. Green tea is steeped at 80 degrees."));
/// let hits = vec![ScoredChunk::new(tea, ScoreKind::Cosine, 0.7)];
/// let mut events = answerer.answer(&"At how many degrees is green tea steeped?".into(), hits)?;
/// assert!(events.any(|e| e.is_ok_and(|e| e == AnswerEvent::Text("Green tea is steeped at 80 degrees. [1]".into()))));
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone)]
pub struct ExtractiveAnswerer {
    embedder: Arc<dyn Embedder>,
    options: ExtractiveOptions,
    strangers: Arc<OnceLock<f32>>,
}

/// What speaks for an answer, and for each sentence.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evidence {
    /// Probability that the passages hold an answer: what [`ExtractiveOptions::min_evidence`] is compared with.
    pub strength: f32,
    /// The sentences that were compared, in the order of the passages.
    pub sentences: Vec<SentenceEvidence>,
}

/// What speaks for a sentence.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SentenceEvidence {
    /// Number of its passage, counted from 1.
    pub source: usize,
    /// Bytes of the stored document.
    pub span: Span,
    /// Cosine of question and sentence; the same under its heading (both counted from the cosine of unrelated texts);
    /// share of the question's words in it; the same with its headings' words; the reciprocal of its passage's rank;
    /// 1 for a question; its length (logarithmic, 0 to 1).
    pub measures: [f32; 7],
    /// Its odds to be the best sentence, relative to the best one's: what [`ExtractiveOptions::further_evidence`] is
    /// compared with.
    pub share: f32,
}

impl ExtractiveAnswerer {
    /// Compares sentences with this encoder, which need not be the retriever's.
    pub fn new(embedder: impl Embedder + 'static) -> Self {
        Self {
            embedder: Arc::new(embedder),
            options: ExtractiveOptions::default(),
            strangers: Arc::default(),
        }
    }

    /// Other limits than the calibrated ones.
    pub fn with_options(mut self, options: ExtractiveOptions) -> Self {
        self.options = options;
        self
    }

    fn events(&self, question: &Query, hits: &[ScoredChunk]) -> Result<Vec<AnswerEvent>> {
        let question = SearchText::of(question).text;
        let stems = words::content_set(&question);
        let candidates = Candidates::of(hits, &stems, self.options.max_candidates);
        let mut calls = Vec::new();
        let strangers = self.strangers(&mut calls)?;
        let measured = evidence::measure(&*self.embedder, strangers, &question, &stems, &candidates)?;
        calls.extend(measured.calls);
        let mut events: Vec<_> = calls.into_iter().map(AnswerEvent::Call).collect();

        let shares = evidence::shares(&measured.measures);
        let quotes = selection::select(hits, &candidates.list, &shares, &measured.vectors, &self.options);
        // Without sentences, and where all of them ask, there is no answer, however near they are.
        let strength = match quotes.is_empty() {
            true => 0.0,
            false => evidence::strength(&measured.measures),
        };
        events.push(AnswerEvent::Confidence(strength));
        if strength < self.options.min_evidence || quotes.is_empty() {
            events.push(AnswerEvent::Abstain(Abstention::WeakEvidence {
                best: strength,
                min: self.options.min_evidence,
            }));
            return Ok(events);
        }
        let mut written = 0;
        for quote in quotes {
            let chunk = &hits[quote.hit].chunk;
            let quoted = quote.span.of(&chunk.text).unwrap_or_default();
            let number = quote.hit + 1;
            let lead = if written == 0 { "" } else { "\n\n" };
            // The mark must not stand on the line that closes a code block.
            let gap = if quoted.ends_with(['`', '~']) { "\n" } else { " " };
            let text = format!("{lead}{quoted}{gap}[{number}]");
            let start = written + lead.len();
            written += text.len();
            events.push(AnswerEvent::Text(text));
            events.push(AnswerEvent::Citation(CitationClaim {
                source: number,
                span: quote.span.shifted(chunk.span.start),
                answer_span: Span::new(start, start + quoted.len()),
            }));
        }
        Ok(events)
    }

    /// The encoder's cosine of strangers, found out with the first question.
    fn strangers(&self, calls: &mut Vec<ModelCall>) -> Result<f32> {
        if let Some(known) = self.strangers.get() {
            return Ok(*known);
        }
        let (cosine, call) = evidence::strangers(&*self.embedder)?;
        calls.push(call);
        Ok(*self.strangers.get_or_init(|| cosine))
    }

    /// What an answer would be chosen from, to look into one or to calibrate for another encoder.
    ///
    /// # Errors
    /// Whatever keeps the encoder from working.
    pub fn evidence(&self, question: &Query, hits: &[ScoredChunk]) -> Result<Evidence> {
        let question = SearchText::of(question).text;
        let stems = words::content_set(&question);
        let candidates = Candidates::of(hits, &stems, self.options.max_candidates);
        let strangers = self.strangers(&mut Vec::new())?;
        let measured = evidence::measure(&*self.embedder, strangers, &question, &stems, &candidates)?;
        let shares = evidence::shares(&measured.measures);
        let of = |((candidate, measures), share): ((&Candidate, &Measures), f32)| SentenceEvidence {
            source: candidate.hit + 1,
            span: candidate
                .passage
                .span
                .shifted(hits[candidate.hit].chunk.span.start),
            measures: measures.values(),
            share,
        };
        Ok(Evidence {
            strength: evidence::strength(&measured.measures),
            sentences: candidates
                .list
                .iter()
                .zip(&measured.measures)
                .zip(shares)
                .map(of)
                .collect(),
        })
    }
}

impl Answerer for ExtractiveAnswerer {
    fn answer(&self, question: &Query, chunks: Vec<ScoredChunk>) -> Result<AnswerStream> {
        if chunks.is_empty() {
            return Ok(AnswerStream::abstain(Abstention::NoHits));
        }
        let (answerer, question) = (self.clone(), question.clone());
        let work = std::iter::once_with(move || answerer.events(&question, &chunks));
        Ok(AnswerStream::new(work.flat_map(|events| match events {
            Ok(events) => events.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })))
    }
}

impl std::fmt::Debug for ExtractiveAnswerer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExtractiveAnswerer")
            .field("embedder", &self.embedder.id())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
