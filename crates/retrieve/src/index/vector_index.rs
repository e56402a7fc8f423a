//! The trait of every index of vectors, exact or approximate.

use std::sync::Arc;

use ragtune_core::forward_trait;
use ragtune_core::text::ScoreKind;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// How near two vectors are; higher is nearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Cosine of the angle.
    #[default]
    Cosine,
    /// Dot product.
    Dot,
    /// Minus the Euclidean distance.
    L2,
}

impl Metric {
    /// The kind of score that the metric gives.
    pub fn score_kind(self) -> ScoreKind {
        match self {
            Self::Cosine => ScoreKind::Cosine,
            Self::Dot => ScoreKind::Dot,
            Self::L2 => ScoreKind::L2,
        }
    }
}

/// A vector found in an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// Position of the vector in the index.
    pub slot: u32,
    /// Its score by the index's [`Metric`]; higher is nearer.
    pub score: f32,
}

/// A set of slots, one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotSet {
    words: Vec<u64>,
    len: usize,
}

impl SlotSet {
    /// No slot.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a slot.
    pub fn insert(&mut self, slot: u32) {
        let (word, bit) = (slot as usize / 64, 1u64 << (slot % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Whether the slot is in the set.
    pub fn contains(&self, slot: u32) -> bool {
        self.words
            .get(slot as usize / 64)
            .is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of slots below `len`.
    pub(crate) fn count_below(&self, len: usize) -> usize {
        let whole = self.words.iter().take(len / 64).map(|word| word.count_ones());
        let last = self
            .words
            .get(len / 64)
            .map_or(0, |word| (word & ((1 << (len % 64)) - 1)).count_ones());
        (whole.sum::<u32>() + last) as usize
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(i, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    i as u32 * 64 + bit
                })
            })
        })
    }
}

impl FromIterator<u32> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u32>>(slots: I) -> Self {
        let mut set = Self::new();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

/// Searches a fixed set of vectors; slot `i` is the `i`-th vector that the index was built from.
pub trait VectorIndex: Send + Sync {
    /// How vectors are compared.
    fn metric(&self) -> Metric;

    /// Number of vectors.
    fn len(&self) -> usize;

    /// Whether there is no vector.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `top_k` nearest vectors, among `allowed` slots only where given, best first, ties by slot. Fewer come back
    /// only when fewer are allowed.
    ///
    /// # Errors
    /// A query of another dimension, with a component that is not finite, or of length zero under the cosine metric.
    fn search(&self, query: &[f32], top_k: usize, allowed: Option<&SlotSet>) -> Result<Vec<Neighbor>>;

    /// The score of each of these slots, in order.
    ///
    /// # Errors
    /// As [`VectorIndex::search`], and a slot that does not exist.
    fn scores(&self, query: &[f32], slots: &[u32]) -> Result<Vec<f32>>;
}

forward_trait!(VectorIndex {
    fn metric(&self) -> Metric;
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
    fn search(&self, query: &[f32], top_k: usize, allowed: Option<&SlotSet>) -> Result<Vec<Neighbor>>;
    fn scores(&self, query: &[f32], slots: &[u32]) -> Result<Vec<f32>>;
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_sets_hold_what_was_inserted() {
        let set: SlotSet = [3, 64, 3, 200].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 64, 200]);
        assert_eq!(set.len(), 3);
        assert_eq!(
            [0, 3, 4, 64, 65, 300].map(|len| set.count_below(len)),
            [0, 0, 1, 1, 2, 3]
        );
        assert!(set.contains(64) && !set.contains(65) && !set.contains(100_000));
    }
}
