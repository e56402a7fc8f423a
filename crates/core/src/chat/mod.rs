//! Conversations to the text that a model was trained on, by the chat template beside its tokenizer.
//!
//! [`ChatTemplate`] renders a [`crate::text::Prompt`] into a [`RenderedPrompt`]: the exact text, and the places where
//! text of messages imitates a control token, which [`crate::models::TextTokenizer::encode_prompt`] then reads as the
//! plain text that it is.

mod date;
mod environment;
mod guard;
mod python;
mod source;
mod template;

pub use date::ChatDate;
pub use guard::RenderedPrompt;
pub use template::{ChatOptions, ChatTemplate};
