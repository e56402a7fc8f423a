//! From gradients to changed weights.

mod adamw;
mod clip;
mod schedule;

pub use adamw::{AdamW, AdamWOptions};
pub use clip::global_norm;
pub use schedule::{Decay, Schedule};
