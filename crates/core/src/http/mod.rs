//! What the model hub and the OpenAI-compatible server have in common: secrets, addresses, headers.

mod address;
mod header;
mod secret;

pub(crate) use address::{is_local, server_address};
pub(crate) use header::header_text;
pub(crate) use secret::Secret;
