//! The examples of the written documentation, compiled and run with the other doc tests.

#[doc = include_str!("../../../docs/retrieval.md")]
struct Retrieval;

#[cfg(all(feature = "pdf", feature = "office"))]
#[doc = include_str!("../../../docs/loaders.md")]
struct Loaders;
