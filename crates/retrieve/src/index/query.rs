//! A query, ready to be compared.

use super::codes::{CodedQuery, Codes};
use super::rows::accept;
use super::vector_index::Metric;
use crate::error::Result;

/// A query in the forms that searches compare with.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    metric: Metric,
    /// As vectors are kept for exact scores.
    pub(crate) vector: Vec<f32>,
    pub(crate) coded: CodedQuery,
    squares: f64,
}

impl Prepared {
    /// A query to vectors of this table and others like it, of which the longest is so long.
    ///
    /// # Errors
    /// Another dimension, a component that is not finite, and length zero under the cosine metric.
    pub(crate) fn new(codes: &Codes, longest: f32, query: &[f32]) -> Result<Self> {
        let mut vector = query.to_vec();
        accept(&mut vector, codes.metric, codes.dim, || {
            "the query's vector".to_owned()
        })?;
        let squares = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let mut coded = codes.query(&vector);
        // Sums run in 16 lanes and then over these; more than twice what can come together (Higham 2002, section 3.1).
        let rounding = (codes.dim as f64 / 16.0 + 32.0) * f64::from(f32::EPSILON);
        coded.slack = ((squares.sqrt() + f64::from(longest)).powi(2) * rounding) as f32;
        Ok(Self {
            metric: codes.metric,
            coded,
            squares,
            vector,
        })
    }

    /// The least that the similarity of a vector can be whose exact score is at least `score`, as that is computed.
    pub(crate) fn least_similarity(&self, score: f32) -> f32 {
        let score = f64::from(score);
        let least = match self.metric {
            Metric::Cosine | Metric::Dot => score,
            Metric::L2 => (self.squares - score * score) / 2.0,
        };
        (least - f64::from(self.coded.slack)) as f32
    }
}
