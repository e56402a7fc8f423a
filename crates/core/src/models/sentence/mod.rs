//! Sentence encoders: a folder of sentence-transformers as it is.

mod dense;
mod encoder;
mod folder;
mod head;
mod pooling;
mod prompts;
mod save;

pub use encoder::Encoder;
pub(super) use encoder::to_host;
pub use folder::SentenceModule;
pub(super) use folder::{TRANSFORMER_CONFIGS, max_length, transformer_files};
pub(super) use head::SentenceHead;
pub use pooling::PoolingMode;
pub(super) use pooling::{first_tokens, last_tokens};
pub(super) use save::SentenceFolder;
