//! Vectors and words to passages.

mod best;
mod codes;
mod exact;
mod file;
mod graph;
mod graph_index;
pub mod lexical;
mod plan;
mod query;
mod rows;
mod scan;
mod segment;
mod slots;
mod snapshot;
mod vector_index;

pub use exact::ExactIndex;
pub use graph::{GraphEvent, GraphOptions};
pub use graph_index::GraphIndex;
pub use lexical::{Language, LexicalEntry, LexicalIndex, LexicalOptions};
pub use plan::{Found, Plan, PlanOptions};
pub use vector_index::{Metric, Neighbor, SlotSet, VectorIndex};
