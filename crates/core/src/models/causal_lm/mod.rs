//! A causal language model as a folder holds it: decoder and tokenizer.

mod generation_config;
mod model;
mod options;
mod save;

pub use model::CausalLm;
pub use options::LoadOptions;
