//! How sure a measured number is, and random numbers that are the same on every machine. Knows no tensor.

mod bootstrap;
mod random;
mod randomisation;

pub use bootstrap::{Bootstrap, Difference, Interval};
pub use random::{Purpose, Random};
pub use randomisation::RandomisationTest;
