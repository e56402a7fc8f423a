//! What a run takes of memory, foretold before its first step.

mod footprint;
mod plan;

pub use footprint::Footprint;
pub use plan::{Fit, MemoryPlan};
