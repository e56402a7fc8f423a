//! What is in a model's folder, read from configurations and the headers of weights.

mod adapter;
mod decoder;
mod encoder;
mod folder;
mod tensors;

pub use folder::{Found, find};
