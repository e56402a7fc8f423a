//! Conformance suites of this crate's traits, to run against your own implementations.

pub mod conformance;
