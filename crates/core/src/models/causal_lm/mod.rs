//! A causal language model as a folder holds it: decoder and tokenizer.

mod generation_config;
mod model;
mod save;

pub use model::CausalLm;
