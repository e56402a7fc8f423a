//! Models by repository name: downloaded once from a Hugging Face hub, checked, and used offline afterwards.
//!
//! The way of a download is [`Hub::fetch`] → the repository's file list (`listing`) → the files that a model folder
//! needs (`select`) → one verified file after the other (`download`, `digest`) → a snapshot folder in the standard
//! cache layout (`cache`).

mod cache;
mod client;
mod digest;
mod download;
mod error;
mod event;
mod fetch;
mod http;
mod listing;
mod name;
mod select;

pub use client::Hub;
pub use error::HubError;
pub use event::{HubEvent, Origin, Snapshot};
