//! Answers by a language model behind a prompt, with citations that it writes as `[1]`.

mod answerer;
mod budget;
mod marker;
pub(crate) mod neutral;
mod support;
mod template;
mod writer;

pub use answerer::GenerativeAnswerer;
#[cfg(feature = "train")]
pub(crate) use budget::cautious;
pub use template::{PromptExample, PromptTemplate};

#[cfg(feature = "train")]
pub(crate) use marker::Marks;
#[cfg(feature = "train")]
pub(crate) use neutral::text as neutral_text;
