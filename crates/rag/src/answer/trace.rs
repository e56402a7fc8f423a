//! How an answer came about: nothing that was done for it is hidden.

use ragtune_core::text::{FinishReason, Prompt, ScoreKind, Span, Usage};
use serde::{Deserialize, Serialize};

/// Every step between question and answer.
///
/// Model calls inside a retriever are its own; they are part of [`Timings::retrieve_ms`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trace {
    /// The text that was searched for.
    pub search_text: String,
    /// How many earlier turns of the person were folded into it, because the question leans on them.
    pub folded_turns: usize,
    /// Passages that were found and not given to the model, with the reason.
    pub dropped: Vec<DroppedChunk>,
    /// Oldest turns of the conversation that did not fit into the prompt.
    pub dropped_turns: usize,
    /// The exact prompt, where a language model answered.
    pub prompt: Option<Prompt>,
    /// Every model call that was made, in order.
    pub calls: Vec<ModelCall>,
    /// Citations that failed the check and are not part of the answer.
    pub rejected_citations: Vec<RejectedCitation>,
    /// Where the time went.
    pub timings: Timings,
}

/// A passage that was found and left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DroppedChunk {
    /// Its id.
    pub chunk_id: String,
    /// Its document.
    pub document_id: String,
    /// Why.
    pub reason: DropReason,
}

/// Why a passage was left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// It has no text.
    Empty,
    /// Its span does not cover as many bytes as its text has, so nothing in it could be cited.
    InvalidSpan {
        /// The span.
        span: Span,
        /// Bytes of the text.
        text_bytes: usize,
    },
    /// A score of it is not a number.
    InvalidScore {
        /// The kind of the score.
        kind: ScoreKind,
    },
    /// A better hit has the same text, or covers all its bytes.
    Duplicate {
        /// The better hit's chunk id.
        of: String,
    },
    /// It scored below the threshold.
    Threshold {
        /// The kind of score.
        kind: ScoreKind,
        /// Its score.
        score: f32,
        /// The least score that passes.
        min: f32,
    },
    /// More passages were found than the question wants.
    TopK {
        /// Passages that are wanted.
        top_k: usize,
    },
    /// With it, the prompt would have been too long.
    TokenBudget {
        /// Tokens that there would have been.
        needed: usize,
        /// Tokens that there may be.
        available: usize,
    },
}

/// A call of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCall {
    /// What the model does.
    pub component: Component,
    /// Which model, where it says so.
    pub id: Option<String>,
    /// Texts or prompts that it was given.
    pub texts: usize,
    /// Tokens that it read and wrote, where it says so.
    pub usage: Option<Usage>,
    /// Why it stopped writing, where it writes; an answer that was cut ends with [`FinishReason::Length`].
    pub finish: Option<FinishReason>,
    /// Wall-clock time in milliseconds.
    pub ms: f64,
}

/// What a model does in the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Component {
    /// Texts to vectors.
    Embedder,
    /// Question and passage to a probability.
    Reranker,
    /// Prompt to text.
    Generator,
    /// Question and passages to the part that answers.
    Reader,
}

/// A citation that was not accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RejectedCitation {
    /// The source's number as the answerer gave it.
    pub source: usize,
    /// Bytes of the answer that it was for.
    pub answer_span: Span,
    /// What is wrong with it.
    pub fault: CitationFault,
}

/// What is wrong with a citation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CitationFault {
    /// There is no source of that number.
    UnknownSource,
    /// The source was not shown to the model.
    NotInPrompt,
    /// The span lies outside the passage, is empty, or cuts a character.
    InvalidSpan {
        /// The span.
        span: Span,
    },
    /// The document's stored text under the span is not that of the passage.
    TextDiffers {
        /// The span.
        span: Span,
    },
    /// The document had a text under the span when the passage was found, and has none any more.
    TextMissing {
        /// The span.
        span: Span,
    },
    /// The part of the answer lies outside the answer or cuts a character.
    InvalidAnswerSpan,
}

/// Wall-clock times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Timings {
    /// Finding passages.
    pub retrieve_ms: f64,
    /// Judging them with the reranker.
    pub rerank_ms: f64,
    /// Making the answer, its prompt included.
    pub answer_ms: f64,
    /// All of it.
    pub total_ms: f64,
}
