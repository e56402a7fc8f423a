//! The source of truth: documents, chunks and vectors in one SQLite database.

mod database;
pub(crate) mod documents;
mod header;
mod lock;
pub(crate) mod meta;
mod metadata;
pub(crate) mod passages;
mod place;
mod schema;
pub(crate) mod sums;
pub(crate) mod vectors;

pub(crate) use database::Store;
pub(crate) use documents::{NewChunk, NewDocument, StoredDocument, SyncedFile};
pub(crate) use lock::WriterLock;
pub(crate) use meta::Generation;
pub use meta::Stats;
pub(crate) use passages::{ChunkKey, DocumentInfo, Passage};
