//! Documents to passages.

mod chunker;

pub use chunker::{ChunkSpan, Chunker};
