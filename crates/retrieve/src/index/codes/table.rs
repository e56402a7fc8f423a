//! The table of codes: for every vector its components in int8 and what is known of the error of that.
//!
//! A vector is `x = s c + e` with the scale `s`, the code `c` and an error whose length is kept; a query is coded in the
//! same way, `q = s' c' + e'`. So `q x` differs from `s s' (c' c)` by at most `|s' c'| |e| + |e'| |x|` (Cauchy and
//! Schwarz). Similarities are such that the nearer vector has the greater one, under every metric:
//!
//! - cosine, dot: `q x`
//! - L2: `q x - |x|^2 / 2`, which is `(|q|^2 - |q - x|^2) / 2`
//!
//! Among members of an index that compares by the dot product, vectors get one more component that makes all of them
//! equally long, so that nearness is symmetric and a graph over it can be walked (Bachrach et al. 2014, section 3); a
//! query has zero there.

use rayon::prelude::*;

use super::instructions::Instructions;
use super::line::{LINE_BYTES, Line};
use crate::index::Metric;

/// The greatest code.
const LARGEST: f32 = 127.0;
/// What rounding may take from a length that was summed in double precision and stored in single.
const UP: f64 = 1.000_001;

/// Codes of many vectors.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    pub(crate) metric: Metric,
    pub(crate) dim: usize,
    pub(crate) instructions: Instructions,
    /// Row by row, [`Line::per_row`] each.
    pub(crate) lines: Vec<Line>,
    pub(crate) scales: Vec<f32>,
    /// Length of the error that coding made, rounded up.
    pub(crate) errors: Vec<f32>,
    /// What the metric adds to a product: `-|x|^2 / 2` under L2, the additional component under dot, nothing under cosine.
    pub(crate) extras: Vec<f32>,
    /// Length of the longest vector, rounded up.
    pub(crate) longest: f32,
}

/// A vector that others are compared with.
#[derive(Clone, Debug)]
pub(crate) struct CodedQuery {
    pub(crate) lines: Vec<Line>,
    pub(crate) sum: i32,
    pub(crate) scale: f32,
    /// What `extras` is multiplied with.
    pub(crate) weight: f32,
    /// What makes the similarity of two members symmetric.
    pub(crate) offset: f32,
    /// Length of what the code stands for, and of its error.
    pub(crate) length: f32,
    pub(crate) error: f32,
    /// What rounding may add to the difference of a similarity and a score.
    pub(crate) slack: f32,
}

/// What coding a vector gave.
struct Coded {
    scale: f32,
    error: f32,
    squares: f64,
}

impl Codes {
    /// A table without vectors.
    pub(crate) fn new(metric: Metric, dim: usize) -> Self {
        Self {
            metric,
            dim,
            instructions: Instructions::detect(),
            lines: Vec::new(),
            scales: Vec::new(),
            errors: Vec::new(),
            extras: Vec::new(),
            longest: 0.0,
        }
    }

    /// Appends vectors, which are as the metric wants them: of unit length under cosine.
    pub(crate) fn extend(&mut self, vectors: &[f32]) {
        let (from, per_row) = (self.len(), self.per_row());
        let count = vectors.len() / self.dim;
        self.lines.resize((from + count) * per_row, Line::ZERO);
        let coded: Vec<Coded> = self.lines[from * per_row..]
            .par_chunks_exact_mut(per_row)
            .zip(vectors.par_chunks_exact(self.dim))
            .map(|(lines, vector)| code(vector, lines))
            .collect();
        for coded in coded {
            self.scales.push(coded.scale);
            self.errors.push(coded.error);
            self.longest = self.longest.max((coded.squares.sqrt() * UP) as f32);
            match self.metric {
                Metric::Cosine => {}
                Metric::Dot => self.extras.push(coded.squares.sqrt() as f32),
                Metric::L2 => self.extras.push((-coded.squares / 2.0) as f32),
            }
        }
    }

    /// Turns the lengths of an index by dot product into the additional components, once all vectors are known.
    pub(crate) fn lift(&mut self) {
        if self.metric == Metric::Dot {
            let longest = f64::from(self.longest);
            for extra in &mut self.extras {
                let length = f64::from(*extra);
                *extra = (longest * longest - length * length).max(0.0).sqrt() as f32;
            }
        }
    }

    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    /// Lines of a row.
    pub(crate) fn per_row(&self) -> usize {
        Line::per_row(self.dim)
    }

    /// The codes of a vector.
    #[inline(always)]
    pub(crate) fn row(&self, id: u32) -> &[Line] {
        let per_row = self.per_row();
        &self.lines[id as usize * per_row..][..per_row]
    }

    /// Codes a query, which is as the metric wants it.
    pub(crate) fn query(&self, vector: &[f32]) -> CodedQuery {
        let mut lines = vec![Line::ZERO; self.per_row()];
        let coded = code(vector, &mut lines);
        CodedQuery {
            sum: sum(&lines),
            scale: coded.scale,
            weight: if self.metric == Metric::L2 { 1.0 } else { 0.0 },
            offset: 0.0,
            length: ((coded.squares.sqrt() + f64::from(coded.error)) * UP) as f32,
            error: coded.error,
            slack: 0.0,
            lines,
        }
    }

    /// A query that is none yet, to be filled by [`Codes::member`].
    pub(crate) fn blank(&self) -> CodedQuery {
        CodedQuery {
            lines: vec![Line::ZERO; self.per_row()],
            sum: 0,
            scale: 0.0,
            weight: 0.0,
            offset: 0.0,
            length: 0.0,
            error: 0.0,
            slack: 0.0,
        }
    }

    /// Makes a member the query; the similarity of two members does not depend on which of them is.
    #[inline]
    pub(crate) fn member(&self, id: u32, query: &mut CodedQuery) {
        query.lines.copy_from_slice(self.row(id));
        query.sum = sum(&query.lines);
        query.scale = self.scales[id as usize];
        let extra = self.extras.get(id as usize).copied().unwrap_or(0.0);
        (query.weight, query.offset) = match self.metric {
            Metric::Cosine => (0.0, 0.0),
            Metric::Dot => (extra, 0.0),
            Metric::L2 => (1.0, extra),
        };
    }

    /// The similarity that a product of codes stands for.
    #[inline(always)]
    pub(crate) fn similarity(&self, query: &CodedQuery, id: u32, product: i32) -> f32 {
        let similarity = product as f32 * (query.scale * self.scales[id as usize]);
        match self.extras.get(id as usize) {
            Some(extra) => similarity + (query.weight * extra + query.offset),
            None => similarity,
        }
    }

    /// The similarities of a query with these members.
    pub(crate) fn similarities(
        &self,
        query: &CodedQuery,
        ids: &[u32],
        sums: &mut Vec<i32>,
    ) -> impl Iterator<Item = f32> {
        self.instructions
            .gather(&self.lines, &query.lines, query.sum, ids, sums);
        ids.iter()
            .zip(sums)
            .map(|(id, sum)| self.similarity(query, *id, *sum))
    }

    /// How far the similarity of a query with a member may lie from the exact one.
    #[inline(always)]
    pub(crate) fn bound(&self, query: &CodedQuery, id: u32) -> f32 {
        query.length * self.errors[id as usize] + self.constant_bound(query)
    }

    /// The part of [`Codes::bound`] that is the same for all members.
    #[inline(always)]
    pub(crate) fn constant_bound(&self, query: &CodedQuery) -> f32 {
        query.error * self.longest + query.slack
    }
}

/// Codes one vector into lines of zeros.
fn code(vector: &[f32], lines: &mut [Line]) -> Coded {
    let largest = vector.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    // A scale that is no normal number would make codes that mean nothing.
    let scale = if largest / LARGEST >= f32::MIN_POSITIVE {
        largest / LARGEST
    } else {
        1.0
    };
    let (mut errors, mut squares) = (0f64, 0f64);
    for (line, part) in lines.iter_mut().zip(vector.chunks(LINE_BYTES)) {
        for (byte, x) in line.0.iter_mut().zip(part) {
            let value = (x / scale).round_ties_even().clamp(-LARGEST, LARGEST);
            *byte = (value as i16 + 128) as u8;
            let error = f64::from(*x) - f64::from(scale) * f64::from(value);
            errors += error * error;
            squares += f64::from(*x) * f64::from(*x);
        }
    }
    Coded {
        scale,
        error: (errors.sqrt() * UP) as f32,
        squares,
    }
}

/// The sum of codes.
#[inline]
fn sum(lines: &[Line]) -> i32 {
    let line =
        |line: &Line| line.0.iter().map(|byte| i32::from(*byte)).sum::<i32>() - 128 * LINE_BYTES as i32;
    lines.iter().map(line).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(metric: Metric, query: &[f32], vector: &[f32]) -> f64 {
        let pairs = query.iter().zip(vector);
        let dot: f64 = pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        let squares: f64 = vector.iter().map(|x| f64::from(*x).powi(2)).sum();
        if metric == Metric::L2 {
            dot - squares / 2.0
        } else {
            dot
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn similarities_lie_within_their_bound(
            dim in 1usize..150, scale in -20i32..20, seed: u32,
        ) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * 2f32.powi(scale)
            };
            let vectors: Vec<f32> = (0..dim * 20).map(|_| next()).collect();
            let query: Vec<f32> = (0..dim).map(|_| next()).collect();
            for metric in [Metric::Dot, Metric::L2] {
                let mut codes = Codes::new(metric, dim);
                codes.extend(&vectors);
                let coded = codes.query(&query);
                let ids: Vec<u32> = (0..20).collect();
                let mut sums = Vec::new();
                let found: Vec<f32> = codes.similarities(&coded, &ids, &mut sums).collect();
                for (id, found) in found.into_iter().enumerate() {
                    let wanted = exact(metric, &query, &vectors[id * dim..][..dim]);
                    let bound = f64::from(codes.bound(&coded, id as u32)) + wanted.abs() * 1e-5;
                    prop_assert!((f64::from(found) - wanted).abs() <= bound, "{} {} {}", found, wanted, bound);
                }
            }
        }

        #[test]
        fn members_are_equally_similar_either_way(dim in 1usize..70, seed: u32) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            };
            let vectors: Vec<f32> = (0..dim * 4).map(|_| next()).collect();
            for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
                let mut codes = Codes::new(metric, dim);
                codes.extend(&vectors);
                codes.lift();
                let mut query = codes.blank();
                let mut between = |a: u32, b: u32| {
                    codes.member(a, &mut query);
                    codes.similarities(&query, &[b], &mut Vec::new()).next().unwrap()
                };
                let (forth, back) = (between(1, 3), between(3, 1));
                prop_assert!((forth - back).abs() <= 1e-6 * forth.abs().max(1.0), "{} {}", forth, back);
            }
        }
    }
}
