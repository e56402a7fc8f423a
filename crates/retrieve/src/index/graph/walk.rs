//! Walks over the graph, on codes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::layers::{Layers, NONE};
use crate::index::codes::{CodedQuery, Codes};

/// A node with its similarity, so that the better one has the smaller key: the similarity's order reversed in the upper
/// half, the node in the lower, and in the last bit whether its links were followed. Ties are broken by the node.
pub(crate) type Key = u64;

/// Nodes that a graph can have, for the sake of [`Key`].
pub(crate) const MOST_NODES: usize = 1 << 31;

/// The key of a node whose links were not followed yet.
#[inline(always)]
pub(crate) fn key(similarity: f32, node: u32) -> Key {
    let bits = similarity.to_bits();
    let ordered = if bits >> 31 == 1 {
        !bits
    } else {
        bits | 0x8000_0000
    };
    u64::from(!ordered) << 32 | u64::from(node) << 1
}

/// The node of a key.
#[inline(always)]
pub(crate) fn node_of(key: Key) -> u32 {
    (key as u32) >> 1
}

/// The similarity of a key.
#[inline(always)]
pub(crate) fn similarity_of(key: Key) -> f32 {
    let ordered = !((key >> 32) as u32);
    f32::from_bits(if ordered >> 31 == 1 {
        ordered & 0x7FFF_FFFF
    } else {
        !ordered
    })
}

const FOLLOWED: Key = 1;

/// Which nodes a walk has seen; forgotten in constant time, mostly.
#[derive(Default)]
struct Visited {
    tags: Vec<u8>,
    tag: u8,
}

impl Visited {
    fn begin(&mut self, nodes: usize) {
        self.tag = self.tag.wrapping_add(1);
        if self.tags.len() != nodes || self.tag == 0 {
            self.tags.clear();
            self.tags.resize(nodes, 0);
            self.tag = 1;
        }
    }

    /// Whether the node was not seen before.
    #[inline(always)]
    fn insert(&mut self, node: u32) -> bool {
        let tag = &mut self.tags[node as usize];
        let is_new = *tag != self.tag;
        *tag = self.tag;
        is_new
    }
}

/// The memory of walks, used again and again.
#[derive(Default)]
pub(crate) struct Walker {
    visited: Visited,
    /// The best nodes met, best first.
    pool: Vec<Key>,
    fresh: Vec<u32>,
    sums: Vec<i32>,
    open: BinaryHeap<Reverse<Key>>,
    kept: BinaryHeap<Key>,
    /// Vectors compared since the count was taken last.
    compared: usize,
}

impl Walker {
    /// Vectors compared since the last call.
    pub(crate) fn take_compared(&mut self) -> usize {
        std::mem::take(&mut self.compared)
    }

    /// From a node on level `from` to the nearest that a greedy walk over the levels down to `to` comes by.
    pub(crate) fn descend(
        &mut self,
        (layers, codes): (&Layers, &Codes),
        query: &CodedQuery,
        start: u32,
        from: usize,
        to: usize,
    ) -> u32 {
        let first = codes.similarities(query, &[start], &mut self.sums).next();
        let mut best = key(first.unwrap_or(f32::NEG_INFINITY), start);
        for level in (to..=from).rev() {
            loop {
                let before = best;
                let links = layers.links(node_of(best), level);
                self.compared += links.len();
                let found = codes.similarities(query, links, &mut self.sums);
                for (link, similarity) in links.iter().zip(found) {
                    best = best.min(key(similarity, *link));
                }
                if best == before {
                    break;
                }
            }
        }
        node_of(best)
    }

    /// The `ef` best nodes of a level that a walk from these nodes meets, best first.
    pub(crate) fn search(
        &mut self,
        (layers, codes): (&Layers, &Codes),
        query: &CodedQuery,
        starts: &[u32],
        level: usize,
        ef: usize,
    ) -> &[Key] {
        self.visited.begin(layers.len());
        self.pool.clear();
        self.fresh.clear();
        for start in starts {
            if self.visited.insert(*start) {
                self.fresh.push(*start);
            }
        }
        let mut cursor = 0;
        loop {
            cursor = self.absorb(codes, query, ef, cursor);
            while cursor < self.pool.len() && self.pool[cursor] & FOLLOWED != 0 {
                cursor += 1;
            }
            let Some(next) = self.pool.get_mut(cursor) else {
                break;
            };
            *next |= FOLLOWED;
            let node = node_of(*next);
            self.gather_fresh(layers.list(node, level));
            // The best of the rest is likely to be next.
            if let Some(after) = self.pool.get(cursor + 1) {
                codes.instructions.fetch(layers.list(node_of(*after), level));
            }
            cursor += 1;
        }
        &self.pool
    }

    /// Puts the unseen ones of a list into `fresh`.
    #[inline(always)]
    fn gather_fresh(&mut self, list: &[u32]) {
        self.fresh.clear();
        self.fresh.resize(list.len(), 0);
        let mut count = 0;
        for link in list {
            if *link == NONE {
                break;
            }
            // Without a branch that would be foretold wrongly every other time.
            self.fresh[count] = *link;
            count += usize::from(self.visited.insert(*link));
        }
        self.fresh.truncate(count);
    }

    /// Puts the fresh nodes that are good enough into the pool; returns the least place whose links may have to be
    /// followed.
    #[inline(always)]
    fn absorb(&mut self, codes: &Codes, query: &CodedQuery, ef: usize, mut cursor: usize) -> usize {
        self.compared += self.fresh.len();
        let similarities = codes.similarities(query, &self.fresh, &mut self.sums);
        for (node, similarity) in self.fresh.iter().zip(similarities) {
            let key = key(similarity, *node);
            if self.pool.len() >= ef {
                if self.pool.last().is_none_or(|last| key >= *last) {
                    continue;
                }
                self.pool.pop();
            }
            let place = self.pool.partition_point(|other| *other < key);
            self.pool.insert(place, key);
            cursor = cursor.min(place);
        }
        cursor
    }

    /// As [`Walker::search`] on level 0, but only nodes that `admits` are kept, while all are walked over. `None` when
    /// more than `most` vectors would have to be compared.
    pub(crate) fn search_among(
        &mut self,
        (layers, codes): (&Layers, &Codes),
        query: &CodedQuery,
        starts: &[u32],
        (ef, most): (usize, usize),
        admits: impl Fn(u32) -> bool,
    ) -> Option<&[Key]> {
        self.visited.begin(layers.len());
        self.open.clear();
        self.kept.clear();
        self.fresh.clear();
        for start in starts {
            if self.visited.insert(*start) {
                self.fresh.push(*start);
            }
        }
        let mut compared = 0;
        loop {
            compared += self.fresh.len();
            let similarities = codes.similarities(query, &self.fresh, &mut self.sums);
            for (node, similarity) in self.fresh.iter().zip(similarities) {
                let key = key(similarity, *node);
                if self.kept.len() >= ef && self.kept.peek().is_some_and(|worst| key > *worst) {
                    continue;
                }
                self.open.push(Reverse(key));
                if admits(*node) {
                    self.kept.push(key);
                    if self.kept.len() > ef {
                        self.kept.pop();
                    }
                }
            }
            let Some(Reverse(next)) = self.open.pop() else {
                break;
            };
            if self.kept.len() >= ef && self.kept.peek().is_some_and(|worst| next > *worst) {
                break;
            }
            if compared > most {
                self.compared += compared;
                return None;
            }
            self.gather_fresh(layers.list(node_of(next), 0));
        }
        self.compared += compared;
        self.pool.clear();
        self.pool.extend(self.kept.drain());
        self.pool.sort_unstable();
        Some(&self.pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_similarities_and_hold_them() {
        let rising = [
            f32::NEG_INFINITY,
            -2.0,
            -1e-30,
            0.0,
            1e-30,
            0.5,
            3.0,
            f32::INFINITY,
        ];
        for pair in rising.windows(2) {
            assert!(key(pair[0], 1) > key(pair[1], 2));
        }
        for similarity in rising {
            assert_eq!(similarity_of(key(similarity, 7)), similarity);
            assert_eq!(node_of(key(similarity, 7) | FOLLOWED), 7);
        }
        assert!(key(0.5, 3) < key(0.5, 4));
        assert_eq!(
            node_of(key(0.5, (MOST_NODES - 1) as u32)),
            (MOST_NODES - 1) as u32
        );
    }
}
