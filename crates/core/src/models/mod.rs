//! Models that run on this machine: sentence encoders and rerankers of the BERT family.
//!
//! An architecture is configured, not copied: a family (BERT, DistilBERT, RoBERTa, MPNet, ...) is a small file that
//! translates `config.json` and tensor names into the shared blocks of [`crate::nn`]. The way of a text is
//! [`TextTokenizer`] → batches of similar length → [`EncoderModel`] → pooling ([`Encoder`]) or a classification head
//! ([`CrossEncoder`]).

mod batch;
#[cfg(feature = "builtin")]
mod builtin;
mod config_file;
mod cross_encoder;
mod decoder;
mod encoder;
mod sentence;
mod tokenizer;

pub use cross_encoder::CrossEncoder;
pub use decoder::{Rope, RopeRegime};
pub use encoder::{EncoderConfig, EncoderModel, FAMILIES};
pub use sentence::{Encoder, PoolingMode};
pub use tokenizer::{Encoded, TextTokenizer};
