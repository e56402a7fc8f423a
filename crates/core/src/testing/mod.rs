//! Test doubles and conformance suites: test a pipeline without weights, and a part of your own against its contract.

pub mod conformance;
mod doubles;

pub use doubles::{HashingEmbedder, OverlapReranker, ScriptedGenerator};
