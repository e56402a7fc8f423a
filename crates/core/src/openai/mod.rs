//! Language models and encoders behind any OpenAI-compatible server.
//!
//! The way of an answer is [`OpenAiGenerator`] → the request (`chat`) → one connection, tried again while nothing was
//! answered (`client`, `backoff`) → the server's events ([`SseParser`]) → text (`stream`). Nothing is sent anywhere but
//! to the base URL that the caller names, redirects are not followed, and a key is shown to that server only.

mod answer;
mod backoff;
mod chat;
mod client;
mod embedder;
mod error;
mod generator;
mod options;
mod refusal;
mod sse;
mod stream;

pub use embedder::OpenAiEmbedder;
pub use error::OpenAiError;
pub use generator::OpenAiGenerator;
pub use options::{OpenAiOptions, TokenLimit};
pub use sse::{SseEvent, SseParser, SseTooLong};
