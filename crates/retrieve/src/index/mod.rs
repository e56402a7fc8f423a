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
#[cfg(test)]
pub(crate) use file::limit_writing;
pub(crate) use file::{Keys, STAGED, Stamp, open as open_file, save as save_file};
pub use graph::{GraphEvent, GraphOptions};
pub use graph_index::GraphIndex;
pub use lexical::{Language, LexicalEntry, LexicalIndex, LexicalOptions};
pub use plan::{Found, PlanOptions};
pub use ragtune_core::text::Plan;
pub(crate) use rows::accept;
pub(crate) use segment::Segment;
pub(crate) use slots::{Hashes, NO_NODE, SlotMap, Unique};
pub(crate) use snapshot::{Snapshot, Walkers};
pub use vector_index::{Metric, Neighbor, SlotSet, VectorIndex};
