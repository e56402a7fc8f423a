//! Exact search: every vector is compared with the query.
//!
//! Vectors lie in one array, so that a scan reads memory in order. Under the cosine metric normalised copies are kept
//! and a score is one dot product. Large scans are divided among rayon's threads; a row's score does not depend on
//! the division, so neither does the result.

use rayon::prelude::*;

use super::best::Best;
use super::codes::Instructions;
use super::rows::{accept, score};
use super::vector_index::{Metric, Neighbor, SlotSet, VectorIndex};
use crate::error::{Error, Result};

/// Below so many components a scan stays on the caller's thread.
const PARALLEL_COMPONENTS: usize = 1 << 20;
/// Rows that one task scans.
const BLOCK_ROWS: usize = 1024;

/// An index that compares the query with every vector.
///
/// ```
/// use ragtune_retrieve::{ExactIndex, Metric, VectorIndex};
/// let index = ExactIndex::new(Metric::Cosine, 2, [[3.0, 0.0].as_slice(), &[0.0, 2.0]])?;
/// assert_eq!(index.search(&[1.0, 0.1], 1, None)?[0].slot, 0);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExactIndex {
    metric: Metric,
    dim: usize,
    /// `[len * dim]`, row by row.
    data: Vec<f32>,
    instructions: Instructions,
}

impl ExactIndex {
    /// An index without vectors, to be filled by [`ExactIndex::push`].
    pub fn empty(metric: Metric, dim: usize) -> Self {
        Self {
            metric,
            dim,
            data: Vec::new(),
            instructions: Instructions::detect(),
        }
    }

    /// An index of these vectors; slot `i` is the `i`-th of them.
    ///
    /// # Errors
    /// As [`ExactIndex::push`].
    pub fn new<'v>(metric: Metric, dim: usize, vectors: impl IntoIterator<Item = &'v [f32]>) -> Result<Self> {
        let mut index = Self::empty(metric, dim);
        for vector in vectors {
            index.push(vector)?;
        }
        Ok(index)
    }

    /// Appends a vector, whose slot is the former length.
    ///
    /// # Errors
    /// A vector of another dimension, with a component that is not finite, or of length zero under the cosine metric;
    /// the index is then unchanged.
    pub fn push(&mut self, vector: &[f32]) -> Result<()> {
        let start = self.data.len();
        let slot = self.len();
        self.data.extend_from_slice(vector);
        let accepted = accept(&mut self.data[start..], self.metric, self.dim, || {
            format!("vector {slot}")
        });
        if accepted.is_err() {
            self.data.truncate(start);
        }
        accepted
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The query as the rows are kept.
    fn prepare(&self, query: &[f32]) -> Result<Vec<f32>> {
        let mut query = query.to_vec();
        accept(&mut query, self.metric, self.dim, || {
            "the query's vector".to_owned()
        })?;
        Ok(query)
    }

    fn row(&self, slot: usize) -> &[f32] {
        &self.data[slot * self.dim..(slot + 1) * self.dim]
    }

    fn score(&self, query: &[f32], slot: usize) -> f32 {
        score(self.metric, self.instructions, query, self.row(slot))
    }

    fn best_of(&self, query: &[f32], top_k: usize, slots: impl Iterator<Item = usize>) -> Best {
        let mut best = Best::new(top_k);
        for slot in slots {
            best.offer(Neighbor {
                slot: slot as u32,
                score: self.score(query, slot),
            });
        }
        best
    }
}

impl VectorIndex for ExactIndex {
    fn metric(&self) -> Metric {
        self.metric
    }

    fn len(&self) -> usize {
        self.data.len().checked_div(self.dim).unwrap_or(0)
    }

    fn search(&self, query: &[f32], top_k: usize, allowed: Option<&SlotSet>) -> Result<Vec<Neighbor>> {
        let query = self.prepare(query)?;
        if top_k == 0 {
            return Ok(Vec::new());
        }
        let len = self.len();
        let chosen: Option<Vec<u32>> =
            allowed.map(|set| set.iter().take_while(|slot| (*slot as usize) < len).collect());
        let rows = chosen.as_ref().map_or(len, Vec::len);
        let top_k = top_k.min(rows);
        let block = |at: usize| {
            let rows = at * BLOCK_ROWS..((at + 1) * BLOCK_ROWS).min(rows);
            match &chosen {
                Some(slots) => self.best_of(&query, top_k, slots[rows].iter().map(|slot| *slot as usize)),
                None => self.best_of(&query, top_k, rows),
            }
        };
        let blocks = rows.div_ceil(BLOCK_ROWS);
        let best = if rows.saturating_mul(self.dim) >= PARALLEL_COMPONENTS {
            (0..blocks)
                .into_par_iter()
                .map(block)
                .reduce(|| Best::new(top_k), Best::merge)
        } else {
            (0..blocks).map(block).fold(Best::new(top_k), Best::merge)
        };
        Ok(best.into_sorted())
    }

    fn scores(&self, query: &[f32], slots: &[u32]) -> Result<Vec<f32>> {
        let query = self.prepare(query)?;
        let score = |slot: &u32| match (*slot as usize) < self.len() {
            true => Ok(self.score(&query, *slot as usize)),
            false => Err(Error::NoSuchSlot {
                slot: *slot,
                len: self.len(),
            }),
        };
        slots.iter().map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_vectors_are_refused_and_leave_the_index_as_it_was() {
        let mut index = ExactIndex::empty(Metric::Cosine, 2);
        index.push(&[1.0, 1.0]).unwrap();
        assert!(matches!(index.push(&[0.0, 0.0]), Err(Error::ZeroVector { .. })));
        let nan = index.push(&[f32::NAN, 0.0]);
        assert!(matches!(
            nan,
            Err(Error::Core(ragtune_core::Error::NotFinite { .. }))
        ));
        let short = index.push(&[1.0]);
        assert!(matches!(
            short,
            Err(Error::Core(ragtune_core::Error::Dimension { .. }))
        ));
        assert_eq!(index.len(), 1);
        assert!(matches!(
            index.search(&[0.0, 0.0], 1, None),
            Err(Error::ZeroVector { .. })
        ));
        assert!(matches!(
            index.scores(&[1.0, 0.0], &[1]),
            Err(Error::NoSuchSlot { slot: 1, len: 1 })
        ));
    }

    #[test]
    fn lengths_near_the_limits_of_f32_are_normalised() {
        let index = ExactIndex::new(Metric::Cosine, 2, [[1e-38, 0.0].as_slice(), &[3e38, 3e38]]).unwrap();
        let scores = index.scores(&[1.0, 0.0], &[0, 1]).unwrap();
        assert!(
            (scores[0] - 1.0).abs() < 1e-6 && (scores[1] - 0.5f32.sqrt()).abs() < 1e-6,
            "{scores:?}"
        );
    }

    #[test]
    fn a_scan_in_parallel_equals_a_scan_on_one_thread() {
        let dim = 40;
        let component = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 20) as f32 / 4096.0 - 0.5;
        let data: Vec<f32> = (0..30_000 * dim).map(component).collect();
        let index = ExactIndex::new(Metric::Dot, dim, data.chunks(dim)).unwrap();
        let found = index.search(&data[..dim], 50, None).unwrap();
        let alone = index.best_of(&data[..dim], 50, 0..30_000).into_sorted();
        assert_eq!(found, alone);
    }
}
