//! What is evaluated: anything that answers a question.

use std::sync::Arc;

use ragtune_core::text::{Query, ScoreKind, Span, Usage};
use ragtune_core::{Cancel, forward_trait};

use crate::answer::{Abstention, Answer};
use crate::error::{Error, Result};
use crate::rag::{Rag, RagEvent};

/// Anything that answers questions: a [`Rag`], a language model alone ([`super::PlainModel`]), or one's own.
///
/// ```
/// use ragtune::Cancel;
/// use ragtune::evaluate::{Response, System};
///
/// /// Knows one answer.
/// struct Oracle;
///
/// impl System for Oracle {
///     fn respond(&self, _question: &str, _cancel: &Cancel) -> ragtune::Result<Response> {
///         Ok(Response::new("42"))
///     }
/// }
/// assert_eq!(Oracle.respond("What is it?", &Cancel::new())?.text, "42");
/// # Ok::<(), ragtune::Error>(())
/// ```
pub trait System: Send + Sync {
    /// The answer to a question; the work ends soon with an error once `cancel` is set.
    ///
    /// # Errors
    /// Whatever keeps it from answering. That it does not know is no error but [`Response::abstained`].
    fn respond(&self, question: &str, cancel: &Cancel) -> Result<Response>;
}

forward_trait!(System {
    fn respond(&self, question: &str, cancel: &Cancel) -> Result<Response>;
});

/// What a system said.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// The answer; empty where it abstained. Marks such as `[1]` that name a source are not measured.
    pub text: String,
    /// Why there is no answer.
    pub abstained: Option<String>,
    /// How sure the system is; any scale on which more is surer. Also where it abstained.
    pub confidence: Option<f64>,
    /// What it looked up, best first; `None` for a system that looks nothing up.
    pub sources: Option<Vec<ResponseSource>>,
    /// Which parts of the answer rest on which source.
    pub citations: Vec<ResponseCitation>,
    /// Citations that proved wrong and are not among them.
    pub rejected_citations: usize,
    /// Tokens that language models read and wrote.
    pub usage: Usage,
    /// Calls of models.
    pub model_calls: usize,
}

/// Something that was looked up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseSource {
    /// The document.
    pub document_id: String,
    /// Its path for people.
    pub path: String,
    /// The passage of it.
    pub chunk_id: String,
    /// How well it suits the question, on the scale of the system.
    pub score: f32,
}

/// A part of an answer with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseCitation {
    /// Place of the source, counted from 0.
    pub source: usize,
    /// The cited text.
    pub text: String,
    /// Bytes of [`Response::text`].
    pub answer_span: Span,
}

impl Response {
    /// An answer without anything else.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// No answer, with the reason.
    pub fn abstain(reason: impl Into<String>) -> Self {
        Self {
            abstained: Some(reason.into()),
            ..Self::default()
        }
    }
}

impl From<&Answer> for Response {
    fn from(answer: &Answer) -> Self {
        let sources = answer.sources.iter().map(|source| ResponseSource {
            document_id: source.chunk.chunk.document_id.clone(),
            path: source.path().to_owned(),
            chunk_id: source.chunk.chunk.id.clone(),
            score: source.chunk.score(),
        });
        let citations = answer.citations.iter().map(|citation| ResponseCitation {
            source: citation.source.saturating_sub(1),
            text: citation.text.clone(),
            answer_span: citation.answer_span,
        });
        Self {
            text: answer.text.clone(),
            abstained: answer.abstention.as_ref().map(ToString::to_string),
            confidence: answer.confidence.map(f64::from),
            sources: Some(sources.collect()),
            citations: citations.collect(),
            rejected_citations: answer.trace.rejected_citations.len(),
            usage: answer.usage,
            model_calls: answer.trace.calls.len(),
        }
    }
}

impl System for Rag {
    fn respond(&self, question: &str, cancel: &Cancel) -> Result<Response> {
        Ok(Response::from(&ask(self, Query::new(question), cancel)?))
    }
}

/// A [`Rag`] with settings for evaluation.
#[derive(Clone, Debug)]
pub struct RagSystem {
    rag: Rag,
    query: Query,
    confidence: Option<ScoreKind>,
}

impl RagSystem {
    /// A pipeline as it is.
    pub fn new(rag: Rag) -> Self {
        Self {
            rag,
            query: Query::new(""),
            confidence: None,
        }
    }

    /// Asks every question with the filter, the access rule, the threshold, the history and the `top_k` of this query.
    #[must_use]
    pub fn with_query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    /// Takes the best source's score of this kind for the confidence where the answerer tells none of its own.
    #[must_use]
    pub fn with_confidence_by(mut self, kind: ScoreKind) -> Self {
        self.confidence = Some(kind);
        self
    }

    /// The best score of the kind, also where it was too low for an answer.
    fn best(&self, answer: &Answer) -> Option<f64> {
        let wanted = self.confidence.as_ref()?;
        if let Some(Abstention::BelowThreshold { kind, best, .. }) = &answer.abstention
            && kind == wanted
        {
            return Some(f64::from(*best));
        }
        let scores = answer
            .sources
            .iter()
            .filter_map(|source| source.chunk.scores.get(wanted).copied());
        scores.max_by(f32::total_cmp).map(f64::from)
    }
}

impl System for RagSystem {
    fn respond(&self, question: &str, cancel: &Cancel) -> Result<Response> {
        let mut query = self.query.clone();
        question.clone_into(&mut query.text);
        let answer = ask(&self.rag, query, cancel)?;
        let mut response = Response::from(&answer);
        response.confidence = response.confidence.or_else(|| self.best(&answer));
        Ok(response)
    }
}

fn ask(rag: &Rag, query: Query, cancel: &Cancel) -> Result<Answer> {
    cancel.check()?;
    for event in rag.stream(query)?.cancelled_by(cancel.clone()) {
        if let RagEvent::Done(answer) = event? {
            return Ok(*answer);
        }
    }
    Err(Error::Answerer {
        reason: "ended without an answer".to_owned(),
    })
}
