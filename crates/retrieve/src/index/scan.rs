//! Exact search on codes: every vector is compared in int8, and those that may be among the nearest are compared exactly.
//!
//! The similarity by codes is known to lie within a bound of the exact one (`codes/table.rs`). A vector whose similarity
//! plus its bound is below what the last of the best so far has at least cannot be among the nearest, whatever the
//! rounding; all others are scored exactly. So the result is that of a scan in f32, bit for bit.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::best::Best;
use super::codes::{Codes, Line};
use super::query::Prepared;
use super::segment::Segment;
use crate::error::Result;

/// Rows whose products are computed before they are looked at.
const BLOCK: usize = 256;
/// Queries that go over a block of rows while it is in the cache.
pub(crate) const QUERIES: usize = 8;
/// Candidates above which those that fell below the floor are thrown away.
const CROWD: usize = 4096;

/// A number as bits whose order is that of the numbers.
fn ordered(x: f32) -> u32 {
    let bits = x.to_bits();
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 0x8000_0000
    }
}

/// Whether what a vector has at most is not enough; what is no number may be.
#[inline(always)]
fn is_below(most: f32, floor: f32) -> bool {
    most < floor
}

/// What may be among the `top_k` nearest.
#[derive(Debug)]
pub(crate) struct Sieve {
    top_k: usize,
    /// What the best so far have at least, the least on top.
    least: BinaryHeap<Reverse<(u32, u32)>>,
    /// What a vector must reach at most.
    floor: f32,
    /// With what each has at most.
    candidates: Vec<(f32, u32)>,
}

impl Sieve {
    pub(crate) fn new(top_k: usize) -> Self {
        Self {
            top_k,
            least: BinaryHeap::new(),
            floor: f32::NEG_INFINITY,
            candidates: Vec::new(),
        }
    }

    /// Takes what is similar enough.
    #[inline]
    pub(crate) fn offer(&mut self, id: u32, similarity: f32, bound: f32) {
        let most = similarity + bound;
        if is_below(most, self.floor) {
            return;
        }
        self.candidates.push((most, id));
        let least = similarity - bound;
        self.least.push(Reverse((ordered(least), id)));
        if self.least.len() > self.top_k {
            self.least.pop();
        }
        if self.least.len() == self.top_k
            && let Some(Reverse((bits, _))) = self.least.peek()
        {
            let bits = if bits >> 31 == 1 {
                bits & 0x7FFF_FFFF
            } else {
                !bits
            };
            self.floor = f32::from_bits(bits);
        }
        if self.candidates.len() == CROWD + self.top_k {
            let floor = self.floor;
            self.candidates.retain(|(most, _)| !is_below(*most, floor));
        }
    }

    /// Takes what another one of the same query kept.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.floor = self.floor.max(other.floor);
        self.candidates.extend(other.candidates);
        self
    }

    /// Scores the candidates exactly, the most promising first, and gives each score to `offer`; returns how many.
    ///
    /// # Errors
    /// Damage of mapped vectors.
    pub(crate) fn finish(
        self,
        segment: &Segment,
        query: &Prepared,
        best: &mut Best,
        offer: impl Fn(&mut Best, u32, f32),
    ) -> Result<usize> {
        self.finish_as(segment, query, best, |id| id, offer)
    }

    /// As [`Sieve::finish`], where what was offered stands for a node.
    ///
    /// # Errors
    /// Damage of mapped vectors.
    pub(crate) fn finish_as(
        self,
        segment: &Segment,
        query: &Prepared,
        best: &mut Best,
        node_of: impl Fn(u32) -> u32,
        offer: impl Fn(&mut Best, u32, f32),
    ) -> Result<usize> {
        const AHEAD: usize = 3;
        let floor = self.floor;
        let mut candidates = self.candidates;
        candidates.retain(|(most, _)| !is_below(*most, floor));
        candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (count, (most, id)) in candidates.iter().enumerate() {
            if let Some(floor) = best.floor()
                && *most < query.least_similarity(floor)
            {
                return Ok(count);
            }
            if let Some((_, next)) = candidates.get(count + AHEAD) {
                segment.rows.fetch(node_of(*next), segment.codes.instructions);
            }
            offer(best, *id, segment.score(query, node_of(*id))?);
        }
        Ok(candidates.len())
    }
}

/// Compares queries with all nodes of a range that `admits`.
pub(crate) fn sift(
    codes: &Codes,
    queries: &[&Prepared],
    range: Range<usize>,
    admits: impl Fn(u32) -> bool,
    sieves: &mut [Sieve],
) {
    let per_row = codes.per_row();
    let lines: Vec<Line> = queries
        .iter()
        .flat_map(|query| query.coded.lines.iter().copied())
        .collect();
    let query_sums: Vec<i32> = queries.iter().map(|query| query.coded.sum).collect();
    let mut sums = vec![0i32; BLOCK * queries.len()];
    let mut most = [0f32; BLOCK];
    for start in range.clone().step_by(BLOCK) {
        let end = (start + BLOCK).min(range.end);
        let count = end - start;
        let rows = &codes.lines[start * per_row..end * per_row];
        let sums = &mut sums[..count * queries.len()];
        codes.instructions.scan(rows, per_row, &lines, &query_sums, sums);
        for ((query, sums), sieve) in queries
            .iter()
            .zip(sums.chunks_exact(count))
            .zip(sieves.iter_mut())
        {
            let most = &mut most[..count];
            reach(codes, query, start..end, sums, most);
            for (at, most) in most.iter().enumerate() {
                if !is_below(*most, sieve.floor) {
                    let node = (start + at) as u32;
                    if admits(node) {
                        let similarity = codes.similarity(&query.coded, node, sums[at]);
                        sieve.offer(node, similarity, codes.bound(&query.coded, node));
                    }
                }
            }
        }
    }
}

/// The most that the similarity of each node of a range can be.
#[inline]
fn reach(codes: &Codes, query: &Prepared, range: Range<usize>, sums: &[i32], most: &mut [f32]) {
    let coded = &query.coded;
    let scales = &codes.scales[range.clone()];
    let errors = &codes.errors[range.clone()];
    let constant = codes.constant_bound(coded);
    for (((most, sum), scale), error) in most.iter_mut().zip(sums).zip(scales).zip(errors) {
        *most = *sum as f32 * (coded.scale * scale) + (coded.length * error + constant);
    }
    if coded.weight != 0.0 {
        for (most, extra) in most.iter_mut().zip(&codes.extras[range]) {
            *most += coded.weight * extra;
        }
    }
}

/// Compares a query with these slots.
pub(crate) fn sift_slots(
    codes: &Codes,
    query: &Prepared,
    slots: &[u32],
    node_of: impl Fn(u32) -> u32,
    sieve: &mut Sieve,
) {
    let (mut nodes, mut sums) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
    for slots in slots.chunks(BLOCK) {
        nodes.clear();
        nodes.extend(slots.iter().map(|slot| node_of(*slot)));
        let similarities = codes.similarities(&query.coded, &nodes, &mut sums);
        for ((slot, node), similarity) in slots.iter().zip(&nodes).zip(similarities) {
            sieve.offer(*slot, similarity, codes.bound(&query.coded, *node));
        }
    }
}
