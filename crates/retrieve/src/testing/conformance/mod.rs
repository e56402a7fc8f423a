//! What every implementation of a trait must do, to run against your own.
//!
//! Each suite returns the list of violations, each a sentence; an empty list is a pass.

mod chunker;
mod loader;
mod retriever;
mod vector_index;

pub use chunker::{chunker, chunker_on};
pub use loader::loader;
pub use retriever::retriever;
pub use vector_index::vector_index;
