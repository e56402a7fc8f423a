//! Test doubles and conformance suites: test a pipeline without weights, and a part of your own against its contract.

pub mod conformance;
mod one_document;

pub use one_document::OneDocument;
pub use ragtune_core::testing::{HashingEmbedder, OverlapReranker, ScriptedGenerator};
