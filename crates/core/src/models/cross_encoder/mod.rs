//! Rerankers: a classification head over an encoder that reads question and passage together.

mod model;

pub use model::CrossEncoder;
