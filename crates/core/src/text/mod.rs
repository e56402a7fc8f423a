//! What a model does with text: the vocabulary of documents, questions and scores, and the traits over it.
//!
//! Nothing here knows a tensor. The way of a question is [`Query`] → [`ScoredChunk`] → [`Prompt`] → text; the way of
//! a document is [`Document`] → [`Chunk`] → [`Embeddings`].

mod chunk;
mod constraint;
mod document;
mod embedder;
mod filter;
mod forward;
mod generate_options;
mod generator;
mod metadata;
mod plan;
mod prompt;
mod query;
mod reranker;
mod score;
mod span;
mod stop;

pub use chunk::{Chunk, ScoredChunk};
pub use constraint::Constraint;
pub use document::{Document, Locator, Marker};
pub use embedder::{Embedder, Embeddings, Role, TokenCount};
pub use filter::Filter;
pub use generate_options::{GenerateOptions, Overflow};
pub use generator::{FinishReason, GenerateEvent, Generation, Generator, TokenLogprob, TokenStream, Usage};
pub use metadata::{Metadata, Value};
pub use plan::Plan;
pub use prompt::{Message, MessageRole, Prompt};
pub use query::Query;
pub use reranker::Reranker;
pub use score::{ScoreKind, Scores, Threshold};
pub use span::Span;
pub use stop::StopTexts;
