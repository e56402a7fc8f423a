//! `Rag::builder()`: answers with citations over the user's own documents.
//!
//! A question goes [`Query`] → [`Retriever`] → [`ScoredChunk`] → [`Reranker`] → [`Answerer`] → [`Answer`]; every
//! stage is a small trait that can be replaced. [`core`], [`retrieve`] and (with models) `train` are the crates below.

pub mod answer;
mod answerer;
#[cfg(feature = "tokio")]
mod asynchronous;
mod code;
#[cfg(feature = "train")]
pub mod compare;
mod error;
#[cfg(feature = "train")]
pub mod evaluate;
#[cfg(feature = "train")]
pub mod experiment;
mod extractive;
mod generative;
#[cfg(feature = "train")]
pub mod html;
#[cfg(all(doctest, feature = "builtin", feature = "testing"))]
mod pages;
mod passages;
pub mod promotion;
mod rag;
#[cfg(feature = "train")]
pub mod reader;
mod remembering;
mod sentences;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "train")]
pub mod training_data;
mod words;

pub use ragtune_core as core;
pub use ragtune_retrieve as retrieve;
#[cfg(feature = "train")]
pub use ragtune_train as train;

pub use answer::{Abstention, Answer, Citation, Source, Trace};
pub use answerer::{AnswerEvent, AnswerStream, Answerer, CitationClaim};
#[cfg(feature = "tokio")]
pub use asynchronous::{AsyncRag, AsyncRagStream, sync_folder};
pub use error::{BuildProblem, Error, Result};
pub use extractive::{Evidence, ExtractiveAnswerer, ExtractiveOptions, SentenceEvidence};
pub use generative::{GenerativeAnswerer, PromptExample, PromptTemplate};
pub use rag::{Limits, Rag, RagBuilder, RagEvent, RagStream, SearchText};

#[cfg(feature = "train")]
pub use reader::ExtractiveReader;

pub use ragtune_core::Cancel;
#[cfg(feature = "models")]
pub use ragtune_core::generation::LocalGenerator;
#[cfg(feature = "models")]
pub use ragtune_core::models::{CausalLm, CrossEncoder, Encoder};
pub use ragtune_core::text::{
    Chunk, Document, Embedder, Embeddings, Filter, GenerateOptions, Generator, Locator, Message, Metadata,
    Prompt, Query, Reranker, Role, ScoreKind, ScoredChunk, Span, Threshold, Value,
};
pub use ragtune_retrieve::{KnowledgeBase, Retriever, SyncOptions, SyncReport};
