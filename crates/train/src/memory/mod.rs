//! What a run takes of memory, foretold before its first step.

mod footprint;
mod plan;

pub use footprint::{Features, Footprint};
pub use plan::{Fit, MemoryPlan};
