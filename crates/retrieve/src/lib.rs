//! Documents, chunks, indexes and retrievers of ragtune.

pub mod chunk;
pub mod error;
mod fusion;
pub mod index;
pub mod load;
pub mod measure;
mod retriever;
#[cfg(feature = "testing")]
pub mod testing;

pub use chunk::{ChunkSpan, Chunker};
pub use error::{Error, Result};
pub use fusion::Fusion;
pub use index::{Language, LexicalIndex, LexicalOptions, Metric, Neighbor, SlotSet, VectorIndex};
pub use load::{Loaded, Loader};
pub use retriever::Retriever;
