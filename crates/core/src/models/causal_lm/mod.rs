//! A causal language model as a folder holds it: decoder and tokenizer.

mod model;

pub use model::CausalLm;
