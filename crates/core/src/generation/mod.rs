//! From a model's logits to text: choosing tokens, ending answers, and pieces of text that are whole characters.

pub mod processors;
mod random;
mod sampler;
mod stop;

pub use random::Random;
pub use sampler::{Chosen, Sampler};
pub use stop::StopTexts;
