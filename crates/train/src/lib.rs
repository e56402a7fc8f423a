//! Fine-tuning: data, what is trained, objectives, the trainer.
//!
//! The way of a training example: a [`data`] record is read from a file and cleaned, [`encode`] turns it
//! into tokens with targets, [`batch`] says which examples make a step. What comes out is
//! measured by [`metrics`].

pub mod batch;
pub mod data;
pub mod doctor;
pub mod encode;
pub mod error;
pub mod memory;
pub mod metrics;
pub mod mining;
pub mod objective;
pub mod optimiser;
pub mod report;
pub mod search;
pub mod trainer;
pub mod tuning;

pub use error::{Error, Result};
