//! Vectors and words to passages.

mod vector_index;

pub use vector_index::{Metric, Neighbor, SlotSet, VectorIndex};
