//! Vectors and words to passages.

mod exact;
pub mod lexical;
mod vector_index;

pub use exact::ExactIndex;
pub use lexical::{Language, LexicalEntry, LexicalIndex, LexicalOptions};
pub use vector_index::{Metric, Neighbor, SlotSet, VectorIndex};
