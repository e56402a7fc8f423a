//! Documents to passages.

mod blocks;
mod chunker;
mod outline;
mod paragraph;
mod semantic;
mod sentence;
mod sentence_chunker;
mod size;
mod split;
mod token;

pub use chunker::{ChunkSpan, Chunker};
pub(crate) use outline::markdown_options;
pub use paragraph::ParagraphChunker;
pub use semantic::SemanticChunker;
pub use sentence::sentences;
pub use sentence_chunker::SentenceChunker;
pub use token::TokenChunker;
