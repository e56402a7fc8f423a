//! From a prompt to text: choosing tokens, the token loop with its caches, ending answers, and pieces of text that are
//! whole characters.
//!
//! [`LocalGenerator`] is the whole behind [`crate::text::Generator`]; the parts can be used alone.

mod constraint;
mod decode;
mod limits;
mod local;
mod perplexity;
mod prefix;
pub mod processors;
mod random;
mod sampler;
mod sequence;
mod streams;

pub use crate::text::StopTexts;
pub use decode::PREFILL_TOKENS;
pub use limits::{Room, fit};
pub use local::LocalGenerator;
pub use perplexity::{Perplexity, perplexity};
pub use random::Random;
pub use sampler::{Chosen, Sampler};
