//! Which of the nearest nodes become a node's links.

use super::walk::{Key, node_of, similarity_of};
use crate::index::codes::{CodedQuery, Codes, Line};

/// Kept nodes that a candidate is compared with at once.
const GROUP: usize = 4;

/// Selects links; holds the memory that it needs.
pub(super) struct Selector {
    query: CodedQuery,
    /// The codes of the kept nodes, one behind the other.
    kept_lines: Vec<Line>,
    sums: [i32; GROUP],
}

impl Selector {
    pub(super) fn new(codes: &Codes) -> Self {
        Self {
            query: codes.blank(),
            kept_lines: Vec::new(),
            sums: [0; GROUP],
        }
    }

    /// Of candidates, best first, the nearest, and of the others those that are nearer to the node than to any that was
    /// kept before (Malkov and Yashunin 2018, algorithm 4, without its extensions): so links go into all directions.
    pub(super) fn select(&mut self, codes: &Codes, candidates: &[Key], limit: usize) -> Vec<u32> {
        let mut kept: Vec<u32> = Vec::with_capacity(limit);
        self.kept_lines.clear();
        for candidate in candidates {
            if kept.len() == limit {
                break;
            }
            let node = node_of(*candidate);
            codes.member(node, &mut self.query);
            if self.is_apart(codes, &kept, similarity_of(*candidate)) {
                kept.push(node);
                self.kept_lines.extend_from_slice(codes.row(node));
            }
        }
        kept
    }

    /// Whether the candidate, which is the query now, is less similar to all that were kept than to the node.
    fn is_apart(&mut self, codes: &Codes, kept: &[u32], similarity: f32) -> bool {
        let per_row = codes.per_row();
        for (nodes, rows) in kept.chunks(GROUP).zip(self.kept_lines.chunks(GROUP * per_row)) {
            let sums = &mut self.sums[..nodes.len()];
            codes
                .instructions
                .scan(rows, per_row, &self.query.lines, &[self.query.sum], sums);
            let mut others = nodes.iter().zip(sums.iter());
            if others.any(|(node, sum)| codes.similarity(&self.query, *node, *sum) >= similarity) {
                return false;
            }
        }
        true
    }
}
