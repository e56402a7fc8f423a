//! BLEU of translations, as sacreBLEU computes it.

mod score;
mod tokenizer;

pub use score::{Bleu, BleuScore, Smoothing};
pub use tokenizer::Tokenizer;
