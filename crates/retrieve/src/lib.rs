//! Documents, chunks, indexes and retrievers of ragtune.

pub mod chunk;
pub mod error;
mod fusion;
pub mod index;
mod knowledge_base;
pub mod load;
pub mod measure;
#[cfg(doctest)]
mod pages;
mod retriever;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use chunk::{ChunkSpan, Chunker};
pub use error::{Error, Result};
pub use fusion::Fusion;
pub use index::{ExactIndex, Language, LexicalIndex, LexicalOptions, Metric, Neighbor, SlotSet, VectorIndex};
pub use knowledge_base::{
    AddReport, CheckReport, EmbeddingReport, FileOutcome, KnowledgeBase, Mode, ReembedOptions, SearchOptions,
    Skipped, SyncEvent, SyncOptions, SyncReport,
};
pub use load::{Loaded, Loader};
pub use retriever::Retriever;
pub use store::Stats;
