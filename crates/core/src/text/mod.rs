//! What a model does with text: the vocabulary of documents, questions and scores, and the traits over it.
//!
//! Nothing here knows a tensor. The way of a question is [`Query`] → [`ScoredChunk`] → [`Prompt`] → text; the way of
//! a document is [`Document`] → [`Chunk`] → [`Embeddings`].

mod chunk;
mod document;
mod embedder;
mod filter;
mod forward;
mod generator;
mod metadata;
mod prompt;
mod query;
mod reranker;
mod score;
mod span;

pub use chunk::{Chunk, ScoredChunk};
pub use document::{Document, Locator, Marker};
pub use embedder::{Embedder, Embeddings, Role, TokenCount};
pub use filter::Filter;
pub use generator::{
    FinishReason, GenerateEvent, GenerateOptions, Generation, Generator, TokenStream, Usage,
};
pub use metadata::{Metadata, Value};
pub use prompt::{Message, MessageRole, Prompt};
pub use query::Query;
pub use reranker::Reranker;
pub use score::{ScoreKind, Scores, Threshold};
pub use span::Span;
