//! Sentence encoders: a folder of sentence-transformers as it is.

mod dense;
mod encoder;
mod folder;
mod pooling;
mod prompts;

pub use encoder::Encoder;
pub(super) use encoder::to_host;
pub use folder::SentenceModule;
pub(super) use folder::{max_length, transformer_files};
pub use pooling::PoolingMode;
pub(super) use pooling::first_tokens;
