//! Which examples make a step: seeded order, batches by examples or by tokens, accumulation windows.
//!
//! All of it is a pure function of plan, lengths and epoch, so a run that stopped is resumed from two numbers: the epoch
//! and the step in it.

mod packing;
mod plan;

pub use plan::{BatchPlan, BatchSize};
pub use ragtune_core::statistics::{Purpose, Random};
