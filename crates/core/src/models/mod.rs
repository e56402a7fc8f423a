//! Models that run on this machine: sentence encoders and rerankers of the BERT family, and causal language models.
//!
//! An architecture is configured, not copied: a family (BERT, DistilBERT, RoBERTa, MPNet, ...) is a small file that
//! translates `config.json` and tensor names into the shared blocks of [`crate::nn`]. The way of a text is
//! [`TextTokenizer`] → batches of similar length → [`EncoderModel`] → pooling ([`Encoder`]) or a classification head
//! ([`CrossEncoder`]). A language model ([`CausalLm`]) is a [`Decoder`] with its tokenizer. Classification heads stand on
//! both ([`SequenceClassifier`]).

mod batch;
#[cfg(feature = "builtin")]
mod builtin;
mod causal_lm;
mod config_file;
mod cross_encoder;
mod decoder;
mod dropout;
mod encoder;
mod heads;
pub mod layered;
mod saving;
mod sentence;
mod tokenizer;
mod transformer;

pub use causal_lm::{CausalLm, LoadOptions};
pub use cross_encoder::CrossEncoder;
pub use decoder::{
    DECODER_FAMILIES, Decoder, DecoderConfig, DecoderModel, ExpertsConfig, LayerConfig, NormKind, Positions,
    Rope, RopeRegime,
};
pub use dropout::DropoutConfig;
pub use encoder::{EncoderConfig, EncoderModel, FAMILIES};
pub use heads::{
    AnswerSpan, Classification, HeadPooling, Labels, NewHead, ProblemType, SequenceClassifier, SpanOptions,
    SpanReader, SpanReading, TokenClassifier, WordTag,
};
pub use layered::{LayerState, Layered};
pub use sentence::{Encoder, PoolingMode, SentenceModule};
pub use tokenizer::{Detokenizer, Encoded, PairWindow, TextTokenizer, Tokens, WordWindow};
pub use transformer::Transformer;
