//! From a question to a checked answer: the pipeline and its parts.

mod builder;
mod history;
mod limits;
mod pipeline;
mod retrieval;
mod stream;
mod verify;

pub use builder::RagBuilder;
pub use history::SearchText;
pub use limits::Limits;
pub use pipeline::Rag;
pub use stream::{RagEvent, RagStream};
