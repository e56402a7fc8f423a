//! How a search by vectors went, told with its hits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The way that a search by vectors went.
///
/// ```
/// use ragtune_core::text::Plan;
/// assert!(Plan::Scan.is_exact());
/// assert_eq!(Plan::Graph { ef: 64 }.to_string(), "the graph, 64 nodes kept");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Plan {
    /// All vectors were compared in int8 and those in question exactly: the result is exact.
    Scan,
    /// The vectors that the filter lets through were compared likewise: the result is exact.
    Matches,
    /// The graph was walked, and what is not in it yet was compared.
    Graph {
        /// Nodes that the walk kept.
        ef: usize,
    },
    /// The graph was walked with the filter inside.
    FilteredGraph {
        /// Nodes that the walk kept.
        ef: usize,
    },
}

impl Plan {
    /// Whether the result is that of comparing every vector.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Scan | Self::Matches)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scan => write!(f, "all vectors compared"),
            Self::Matches => write!(f, "all vectors that pass the filter compared"),
            Self::Graph { ef } => write!(f, "the graph, {ef} nodes kept"),
            Self::FilteredGraph { ef } => write!(f, "the graph with the filter inside, {ef} nodes kept"),
        }
    }
}
