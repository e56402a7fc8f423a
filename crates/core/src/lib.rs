//! What a language model does with text, as traits ([`text`]), and the models that do it on your own machine.
//!
//! The traits know no tensors: an application that brings its own models builds without the `models` feature.

pub mod error;
pub mod progress;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;

pub use error::{Error, Result};
pub use progress::Cancel;
