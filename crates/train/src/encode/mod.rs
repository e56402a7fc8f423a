//! Examples to tokens with targets.
//!
//! [`ChatEncoder`] turns conversations into [`Sequence`]s in which exactly what the assistant says is trained, with any
//! chat template; [`TextEncoder`] does classification, scored pairs, tags and questions. Nothing is padded. What does not
//! fit is treated by an [`Overflow`] policy, and every [`EncodeReport`] says how often.

mod blocks;
mod chat;
mod pairs;
mod preferences;
mod questions;
mod regions;
mod report;
mod sequence;
mod tags;
mod texts;

pub use blocks::blocks;
pub use chat::ChatEncoder;
pub use pairs::{TextTuple, pairs};
pub use preferences::PreferenceSequences;
pub use questions::{Window, WindowLimits};
pub use report::{EncodeReport, EncodedSet, Limits, Overflow, TokenCount};
pub use sequence::Sequence;
pub use tags::TaggedTokens;
pub use texts::{ClassifiedTokens, JudgedTokens, TextEncoder};
