//! A graph over vectors, in which the nearest ones are found by walking.

mod build;
mod layers;
mod options;
mod repair;
mod select;
mod walk;

pub(crate) use build::MOST_LEVEL;
pub(crate) use layers::{Layers, NONE};
pub use options::{GraphEvent, GraphOptions};
pub(crate) use walk::{Key, MOST_NODES, Walker, node_of, similarity_of};
