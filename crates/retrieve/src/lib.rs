//! Documents, chunks, indexes and retrievers of ragtune.

pub mod chunk;
mod document_store;
pub mod error;
mod fusion;
pub mod index;
mod knowledge_base;
pub mod load;
pub mod measure;
#[cfg(doctest)]
mod pages;
mod retriever;
pub mod retrievers;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use chunk::{ChunkSpan, Chunker};
pub use document_store::{DividedDocument, DocumentPassage, DocumentStore};
pub use error::{Error, Result};
pub use fusion::{Fusion, FusionMethod, Normalisation, RankedList};
pub use index::{
    ExactIndex, Found, GraphEvent, GraphIndex, GraphOptions, Language, LexicalIndex, LexicalOptions, Metric,
    Neighbor, Plan, PlanOptions, SlotSet, VectorIndex,
};
pub use knowledge_base::{
    AddReport, CheckReport, EmbeddingReport, Explained, FileOutcome, KnowledgeBase, MergeEvent, MergeOptions,
    MergeReport, Mode, PartlyRead, ReembedOptions, SearchOptions, Skipped, SyncEvent, SyncOptions,
    SyncReport,
};
pub use load::{Loaded, Loader};
pub use retriever::Retriever;
pub use retrievers::{
    AutoMergingRetriever, DenseRetriever, HybridRetriever, LexicalRetriever, MmrRetriever,
    MultiQueryRetriever, NamespaceRetriever, Parent, ParentDocumentRetriever, RerankRetriever,
    RestrictedRetriever, Route, RouterRetriever, SentenceWindowRetriever,
};
pub use store::Stats;
