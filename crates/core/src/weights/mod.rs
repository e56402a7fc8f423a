//! Checkpoints: safetensors files, whole or sharded, mapped from disk or held in memory, read as f32 tensors.
//!
//! The way of a tensor: [`ModelFiles`] finds the file, [`Checkpoint`] maps it and checks its header, a [`Loader`]
//! reads the tensors that a model names and keeps account, and a [`LoadReport`] says what was applied and what was
//! left over.

mod checkpoint;
mod convert;
mod error;
mod files;
mod header;
mod int4;
mod loader;
mod mapped;
mod matrix;
mod precision;
mod quantise;
mod rewrite;
pub(crate) mod save;
mod staging;
mod suggest;

pub use checkpoint::Checkpoint;
pub use convert::QUANTISATION_GROUP;
pub use error::CheckpointError;
pub use files::ModelFiles;
pub use int4::{INT4_GROUP, Int4Matrix, dequantise_int4, quantise_int4};
pub use loader::{LoadReport, Loader, MissingTensor};
pub use matrix::{Content, StoredMatrix};
pub use precision::Precision;
pub use quantise::{QuantisedMatrix, quantise};
pub use rewrite::{quantise_checkpoint, quantise_to_file};
pub use save::FloatType;
pub use staging::StagedFolder;
pub use suggest::nearest;
