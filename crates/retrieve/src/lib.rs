//! Documents, chunks, indexes and retrievers of ragtune.

pub mod chunk;
pub mod error;
pub mod index;
pub mod load;
mod retriever;

pub use chunk::{ChunkSpan, Chunker};
pub use error::{Error, Result};
pub use index::{Metric, Neighbor, SlotSet, VectorIndex};
pub use load::{Loaded, Loader};
pub use retriever::Retriever;
