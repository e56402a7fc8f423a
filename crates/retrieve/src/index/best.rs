//! The best neighbours so far.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::vector_index::Neighbor;

/// A neighbour whose order puts the worse one first: lower score, then higher slot.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ranked(Neighbor);

impl Eq for Ranked {}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.0.score.total_cmp(&self.0.score);
        by_score.then(self.0.slot.cmp(&other.0.slot))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best neighbours so far, the worst of them on top of the heap.
#[derive(Clone, Debug)]
pub(crate) struct Best {
    top_k: usize,
    heap: BinaryHeap<Ranked>,
}

impl Best {
    /// Keeps `top_k`.
    pub(crate) fn new(top_k: usize) -> Self {
        Self {
            top_k,
            heap: BinaryHeap::new(),
        }
    }

    /// Keeps a neighbour if it is among the best so far.
    #[inline]
    pub(crate) fn offer(&mut self, neighbor: Neighbor) {
        let new = Ranked(neighbor);
        if self.heap.len() < self.top_k {
            self.heap.push(new);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && new < *worst
        {
            *worst = new;
        }
    }

    /// The score that a further neighbour must reach at least; `None` while any will do.
    #[inline]
    pub(crate) fn floor(&self) -> Option<f32> {
        (self.heap.len() >= self.top_k).then(|| self.heap.peek().map_or(f32::INFINITY, |worst| worst.0.score))
    }

    /// Neighbours held.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The best of both.
    pub(crate) fn merge(self, other: Self) -> Self {
        let (mut large, small) = if self.heap.len() < other.heap.len() {
            (other, self)
        } else {
            (self, other)
        };
        for Ranked(neighbor) in small.heap {
            large.offer(neighbor);
        }
        large
    }

    /// The neighbours, best first.
    pub(crate) fn into_sorted(self) -> Vec<Neighbor> {
        let ranked = self.heap.into_sorted_vec();
        ranked.into_iter().map(|Ranked(neighbor)| neighbor).collect()
    }
}
