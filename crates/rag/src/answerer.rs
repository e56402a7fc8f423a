//! The trait of everything that makes an answer of passages.

use std::sync::Arc;

use ragtune_core::forward_trait;
use ragtune_core::text::{Prompt, Query, ScoredChunk, Span};

use crate::answer::{Abstention, DroppedChunk, ModelCall, RejectedCitation};
use crate::error::Result;

/// Makes an answer of the passages that were found.
///
/// The passages come best first and have been checked: not empty, no duplicates, spans as long as their texts. The
/// first is source number 1. [`crate::Rag`] collects the events and checks every citation.
///
/// ```
/// use ragtune::{AnswerEvent, AnswerStream, Answerer, CitationClaim, Query, ScoredChunk, Span};
///
/// /// Answers with the best passage as it is.
/// struct Best;
///
/// impl Answerer for Best {
///     fn answer(&self, _: &Query, chunks: Vec<ScoredChunk>) -> ragtune::Result<AnswerStream> {
///         let Some(best) = chunks.into_iter().next() else {
///             return Ok(AnswerStream::abstain(ragtune::Abstention::NoHits));
///         };
///         let claim = CitationClaim { source: 1, span: best.chunk.span, answer_span: Span::new(0, best.chunk.text.len()) };
///         Ok(AnswerStream::new([AnswerEvent::Text(best.chunk.text), AnswerEvent::Citation(claim)].map(Ok).into_iter()))
///     }
/// }
/// ```
pub trait Answerer: Send + Sync {
    /// Starts to answer. The stream owns what it needs; pulling it does the work, dropping it stops the work.
    ///
    /// # Errors
    /// Whatever keeps it from starting. That the passages do not hold the answer is no error but
    /// [`AnswerEvent::Abstain`].
    fn answer(&self, question: &Query, chunks: Vec<ScoredChunk>) -> Result<AnswerStream>;
}

forward_trait!(Answerer {
    fn answer(&self, question: &Query, chunks: Vec<ScoredChunk>) -> Result<AnswerStream>;
});

/// A step of an answer in the making.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnswerEvent {
    /// The next piece of the answer's text, whole characters; an empty one only shows that the work goes on, so that
    /// it can be cancelled.
    Text(String),
    /// A part of the text so far rests on a passage.
    Citation(CitationClaim),
    /// A citation that the answerer itself found to be wrong, for the trace.
    Rejected(RejectedCitation),
    /// The passages do not hold the answer; no text precedes or follows.
    Abstain(Abstention),
    /// How likely the answer is right, 0 to 1; the last one holds.
    Confidence(f32),
    /// The exact prompt, for the trace.
    Prompt(Prompt),
    /// A passage that was not used, for the trace.
    Dropped(DroppedChunk),
    /// The number of the conversation's oldest turns that were left out of the prompt, for the trace.
    DroppedTurns(usize),
    /// A model was called, for the trace.
    Call(ModelCall),
}

/// What an answerer says of a part of its answer; it becomes a [`crate::Citation`] when it proves true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CitationClaim {
    /// Number of the passage, counted from 1 in the order in which the answerer was given them.
    pub source: usize,
    /// Bytes of the stored document, within the passage.
    pub span: Span,
    /// Bytes of the answer's text so far.
    pub answer_span: Span,
}

/// An answer in the making; pull it to go on, drop it to stop.
pub struct AnswerStream(Box<dyn Iterator<Item = Result<AnswerEvent>> + Send>);

impl AnswerStream {
    /// A stream from any iterator of events.
    pub fn new(events: impl Iterator<Item = Result<AnswerEvent>> + Send + 'static) -> Self {
        Self(Box::new(events))
    }

    /// A stream that says only that there is no answer.
    pub fn abstain(reason: Abstention) -> Self {
        Self::new(std::iter::once(Ok(AnswerEvent::Abstain(reason))))
    }
}

impl Iterator for AnswerStream {
    type Item = Result<AnswerEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl std::fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnswerStream")
    }
}
