//! The pre-norm transformer decoder, one for all families.

mod rope;
mod rope_config;

pub use rope::{Rope, RopeRegime};
pub(in crate::models) use rope_config::RopeFields;
