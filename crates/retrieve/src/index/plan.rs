//! Which way a search goes, chosen for each query and told with its result.

use ragtune_core::text::Plan;

use super::vector_index::Neighbor;

/// How the way of a search is chosen.
///
/// ```
/// use ragtune_retrieve::PlanOptions;
/// let options = PlanOptions::default().with_graph_from(100_000).with_ef_search(64);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanOptions {
    /// Vectors from which on the graph is walked; below, all are compared.
    pub graph_from: usize,
    /// Nodes that a walk keeps, instead of as many as the graph's recall was found to take.
    pub ef_search: Option<usize>,
}

impl PlanOptions {
    /// Below so many vectors comparing all of them, which is exact, takes a fifth of a millisecond at most (384
    /// components, one thread; benches/record).
    pub const DEFAULT_GRAPH_FROM: usize = 20_000;

    /// The options with the graph from so many vectors on; `usize::MAX` for exact results always.
    pub fn with_graph_from(mut self, vectors: usize) -> Self {
        self.graph_from = vectors;
        self
    }

    /// The options with walks that keep so many nodes, at least as many as neighbours are asked for.
    pub fn with_ef_search(mut self, ef: usize) -> Self {
        self.ef_search = Some(ef);
        self
    }
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            graph_from: Self::DEFAULT_GRAPH_FROM,
            ef_search: None,
        }
    }
}

/// What a search found, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The neighbours, best first, ties by slot.
    pub neighbors: Vec<Neighbor>,
    /// The way that the search went.
    pub plan: Plan,
    /// Vectors compared by their codes.
    pub compared: usize,
    /// Vectors scored exactly.
    pub scored: usize,
}

/// Vectors that a walk compares for each node that it keeps.
const COMPARED_PER_KEPT: usize = 16;
/// Matches that are always compared one by one.
const FEW_MATCHES: usize = 1_000;

/// Nodes that a walk keeps for `top_k` neighbours, where it keeps `ef` for ten.
pub(crate) fn ef_for(ef: usize, top_k: usize) -> usize {
    ef.saturating_add(2 * top_k.saturating_sub(10)).max(top_k)
}

/// Whether so many matches among so many nodes are better compared one by one than walked for.
pub(crate) fn are_few(matches: usize, nodes: usize, ef: usize) -> bool {
    let walked = (ef * COMPARED_PER_KEPT).saturating_mul(nodes) / matches.max(1);
    matches <= FEW_MATCHES.max(walked)
}
