//! Vectors and words to passages.

pub mod lexical;
mod vector_index;

pub use lexical::{Language, LexicalEntry, LexicalIndex, LexicalOptions};
pub use vector_index::{Metric, Neighbor, SlotSet, VectorIndex};
