//! Vectors as they are kept for exact scores, and the checks that each has passed.

use super::codes::Instructions;
use super::file::MappedRows;
use super::vector_index::Metric;
use crate::error::{Error, Result};

/// Vectors row by row; of unit length under the cosine metric.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    dim: usize,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    Owned(Vec<f32>),
    Mapped(MappedRows),
}

impl Rows {
    /// No rows.
    pub(crate) fn new(dim: usize) -> Self {
        Self::owned(dim, Vec::new())
    }

    /// Rows in memory.
    pub(crate) fn owned(dim: usize, data: Vec<f32>) -> Self {
        Self {
            dim,
            data: Data::Owned(data),
        }
    }

    /// All rows, where they are in memory.
    pub(crate) fn in_memory(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Owned(data) => Some(data),
            Data::Mapped(_) => None,
        }
    }

    /// Rows in a file.
    pub(crate) fn mapped(dim: usize, rows: MappedRows) -> Self {
        Self {
            dim,
            data: Data::Mapped(rows),
        }
    }

    /// A row.
    ///
    /// # Errors
    /// Where it lies in a file whose part that holds it is damaged.
    #[inline]
    pub(crate) fn row(&self, row: u32) -> Result<&[f32]> {
        match &self.data {
            Data::Owned(data) => Ok(&data[row as usize * self.dim..][..self.dim]),
            Data::Mapped(rows) => rows.row(row),
        }
    }

    /// Asks for the memory of a row that will be read soon.
    #[inline]
    pub(crate) fn fetch(&self, row: u32, instructions: Instructions) {
        match &self.data {
            Data::Owned(data) => instructions.fetch(&data[row as usize * self.dim..][..self.dim]),
            Data::Mapped(rows) => instructions.fetch(rows.peek(row).unwrap_or(&[])),
        }
    }
}

/// Checks a vector and brings it into the form in which it is kept.
///
/// # Errors
/// Another dimension, a component that is not finite, and length zero under the cosine metric.
pub(crate) fn accept(
    vector: &mut [f32],
    metric: Metric,
    dim: usize,
    what: impl Fn() -> String,
) -> Result<()> {
    check(vector, dim, &what)?;
    if metric == Metric::Cosine && !normalise(vector) {
        return Err(Error::ZeroVector { what: what() });
    }
    Ok(())
}

/// The score of two vectors in the form in which they are kept.
#[inline]
pub(crate) fn score(metric: Metric, instructions: Instructions, query: &[f32], row: &[f32]) -> f32 {
    match metric {
        Metric::Cosine => instructions.dot(query, row).clamp(-1.0, 1.0),
        Metric::Dot => instructions.dot(query, row),
        Metric::L2 => -instructions.squared_distance(query, row).sqrt(),
    }
}

fn check(vector: &[f32], dim: usize, what: &impl Fn() -> String) -> Result<()> {
    if vector.len() != dim {
        return Err(Error::Core(ragtune_core::Error::Dimension {
            what: what(),
            expected: dim,
            found: vector.len(),
        }));
    }
    match vector.iter().position(|component| !component.is_finite()) {
        Some(at) => Err(Error::Core(ragtune_core::Error::NotFinite {
            what: format!("component {at} of {}", what()),
            value: vector[at],
        })),
        None => Ok(()),
    }
}

/// Scales to unit length; `false` for a vector of length zero. Scaled by the largest component first, so that
/// squares neither overflow nor vanish.
fn normalise(vector: &mut [f32]) -> bool {
    let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return false;
    }
    let squares: f64 = vector.iter().map(|x| f64::from(x / largest).powi(2)).sum();
    let norm = squares.sqrt();
    for component in vector {
        *component = (f64::from(*component / largest) / norm) as f32;
    }
    true
}
