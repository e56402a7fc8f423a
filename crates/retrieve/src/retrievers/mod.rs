//! Retrievers that search, combine, enlarge and choose, each over the trait [`Retriever`](crate::Retriever), so that they
//! can be put into each other and around a retriever of one's own.
//!
//! All apply access rule and filter before they score, and refuse what they cannot honour; docs/retrieval.md tells when
//! to take which.

mod auto_merging;
mod direction;
mod enlarge;
mod hybrid;
mod lists;
mod mmr;
mod multi_query;
mod namespace;
mod parent_document;
mod rerank;
mod restricted;
mod router;
mod sentence_window;
mod tune;
mod views;

pub use auto_merging::AutoMergingRetriever;
pub use hybrid::HybridRetriever;
pub use mmr::{MmrRetriever, Relevance};
pub use multi_query::MultiQueryRetriever;
pub use namespace::NamespaceRetriever;
pub use parent_document::{Parent, ParentDocumentRetriever};
pub use rerank::RerankRetriever;
pub use restricted::RestrictedRetriever;
pub use router::{Route, RouterRetriever};
pub use sentence_window::SentenceWindowRetriever;
pub use tune::{TuneOptions, Tuning};
pub use views::{DenseRetriever, LexicalRetriever};
