//! Cleaning as a step of its own, which says what it took out and why.

mod cleaning;
mod min_hash;
mod near;
mod normal;
mod report;
mod work;

pub use cleaning::{Cleaning, Conflicts};
pub(super) use normal::normal;
pub use report::{CleaningReport, CleaningRule, Removed};
