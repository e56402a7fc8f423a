//! Conversations to the text that a model was trained on, by the chat template beside its tokenizer.
//!
//! [`ChatTemplate`] renders a [`crate::text::Prompt`] into a [`RenderedPrompt`]: the exact text, and the places where
//! text of messages imitates a control token, which [`crate::models::TextTokenizer::encode_prompt`] then reads as the
//! plain text that it is.

mod budget;
mod builtins;
mod date;
mod environment;
mod guard;
mod instrument;
mod methods;
mod options;
mod python;
mod source;
mod template;
mod tokens;
mod turns;

pub use date::ChatDate;
pub use guard::RenderedPrompt;
pub use options::ChatOptions;
pub use template::ChatTemplate;
