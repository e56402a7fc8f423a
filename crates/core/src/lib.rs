//! What a language model does with text, as traits ([`text`]), and the models that do it on your own machine.
//!
//! The traits know no tensors: an application that brings its own models builds without the `models` feature.

#[cfg(feature = "models")]
pub mod adapters;
#[cfg(feature = "models")]
pub mod chat;
#[cfg(feature = "models")]
pub mod device;
pub mod error;
#[cfg(feature = "models")]
pub mod generation;
#[cfg(any(feature = "hub", feature = "openai"))]
mod http;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "models")]
pub mod kernels;
#[cfg(feature = "models")]
pub mod models;
#[cfg(feature = "models")]
pub mod nn;
#[cfg(feature = "openai")]
pub mod openai;
pub mod progress;
pub mod statistics;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
#[cfg(feature = "models")]
pub mod weights;

pub use error::{Error, Result};
pub use progress::Cancel;
