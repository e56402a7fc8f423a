//! Softmax attention within each text of a packed batch, without copies of whole heads and without an n x n matrix.
//!
//! Letters: `t` tokens of all texts, `n` tokens of one text, `a` heads, `d` width of a head, `m` side of the position bias.
//!
//! A task is a text, or up to 128 queries of a long one, with all its heads. For each head its keys and values are
//! packed; then 16 queries at a time get their scores, the softmax, and the mixed values, all in the first-level cache.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::panels::Panels;
use super::product::{Sink, product};
use super::rows::Rows;
use super::tensor::{from_vec, row_major, rows, with_slice};
use super::vector_math::exp;
use crate::kernels::AttentionOptions;

/// Most queries of a task.
const TASK_QUERIES: usize = 128;
/// Queries whose scores are in memory at once.
const BLOCK_QUERIES: usize = 16;
/// Below so many multiplications the work is not divided.
const MIN_PARALLEL_PRODUCTS: usize = 1 << 18;

/// `softmax(q k^T scale + position_bias) v` within each text.
///
/// # Shapes
///
/// `q [t, a d]`, `k [t, a d]`, `v [t, a d]`, `position_bias [a, m, m] -> [t, a d]`.
pub fn attention(
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    position_bias: Option<&FlexTensor>,
    offsets: &[usize],
    options: AttentionOptions,
) -> FlexTensor {
    let (q, k, v) = (row_major(q), row_major(k), row_major(v));
    let (q, k, v) = (rows(&q), rows(&k), rows(&v));
    let (t, width) = (q.len(), q.width());
    let mut out = vec![0.0; t * width];
    let work = |bias: Option<PositionBias<'_>>, out: &mut [f32]| {
        let inputs = Inputs {
            q,
            k,
            v,
            bias,
            options,
        };
        compute(&inputs, offsets, out);
    };
    match position_bias {
        Some(bias) => {
            let side = bias.layout().shape()[2];
            with_slice(bias, |data| work(Some(PositionBias { data, side }), &mut out));
        }
        None => work(None, &mut out),
    }
    from_vec(out, [t, width])
}

/// What all tasks read.
struct Inputs<'a> {
    q: Rows<'a>,
    k: Rows<'a>,
    v: Rows<'a>,
    bias: Option<PositionBias<'a>>,
    options: AttentionOptions,
}

/// `[a, m, m]`, added to the scaled scores.
#[derive(Clone, Copy)]
struct PositionBias<'a> {
    data: &'a [f32],
    /// `m`.
    side: usize,
}

impl<'a> PositionBias<'a> {
    /// What is added to the first `n` scores of a query of a head.
    #[inline(always)]
    fn row(&self, head: usize, query: usize, n: usize) -> &'a [f32] {
        &self.data[(head * self.side + query) * self.side..][..n]
    }
}

fn compute(inputs: &Inputs<'_>, offsets: &[usize], out: &mut [f32]) {
    let width = inputs.q.width();
    let mut tasks = Vec::new();
    let mut products = 0;
    let mut rest = out;
    for pair in offsets.windows(2) {
        let (start, n) = (pair[0], pair[1] - pair[0]);
        products += n * n * width * 2;
        for first in (0..n).step_by(TASK_QUERIES) {
            let queries = TASK_QUERIES.min(n - first);
            let (out, others) = std::mem::take(&mut rest).split_at_mut(queries * width);
            rest = others;
            tasks.push(Task {
                inputs,
                start,
                n,
                first,
                queries,
                out,
            });
        }
    }
    if products < MIN_PARALLEL_PRODUCTS {
        tasks.into_iter().for_each(|task| Arch::new().dispatch(task));
    } else {
        tasks.into_par_iter().for_each(|task| Arch::new().dispatch(task));
    }
}

/// Some queries of one text, with all heads.
struct Task<'a> {
    inputs: &'a Inputs<'a>,
    /// First token of the text, and how many it has.
    start: usize,
    n: usize,
    /// First query within the text, and how many.
    first: usize,
    queries: usize,
    /// `[queries, a d]`.
    out: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            inputs,
            start,
            n,
            first,
            queries,
            out,
        } = self;
        let AttentionOptions { heads, scale, .. } = inputs.options;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the precision of the computation is f32"
        )]
        let scale = scale as f32;
        let width = inputs.q.width();
        let d = width / heads;
        let stride = n.next_multiple_of(S::F32_LANES);
        let mut scores = vec![0.0; BLOCK_QUERIES * stride];
        let mut sums = [0.0; BLOCK_QUERIES];
        let (mut keys, mut values) = (Panels::empty(), Panels::empty());
        for head in 0..heads {
            keys.fill_transposed(simd, inputs.k.part(start, n, head * d, d));
            values.fill(simd, inputs.v.part(start, n, head * d, d));
            for block in (0..queries).step_by(BLOCK_QUERIES) {
                let count = BLOCK_QUERIES.min(queries - block);
                // 1. Scores of the block: [count, n], rows `stride` apart.
                let q = inputs.q.part(start + first + block, count, head * d, d);
                let mut raw = Scores {
                    scores: &mut scores,
                    stride,
                };
                product(simd, q, &keys, 0..keys.panels(), &mut raw);
                // 2. Softmax without its division.
                for row in 0..count {
                    let bias = inputs.bias.map(|bias| bias.row(head, first + block + row, n));
                    sums[row] = soften(simd, &mut scores[row * stride..][..stride], n, scale, bias);
                }
                // 3. Mixed values, divided by the sums on their way out.
                let weights = Rows::new(&scores, stride, count, n);
                let mut mixed = Mixed {
                    out: &mut out[block * width..],
                    width,
                    first_column: head * d,
                    d,
                    sums: &sums,
                };
                product(simd, weights, &values, 0..values.panels(), &mut mixed);
            }
        }
    }
}

/// Turns the scores of one query into `exp(score - maximum)` and returns their sum; what lies behind `n` becomes 0.
#[inline(always)]
fn soften<S: Simd>(simd: S, row: &mut [f32], n: usize, scale: f32, bias: Option<&[f32]>) -> f32 {
    if let Some(bias) = bias {
        for (score, bias) in row.iter_mut().zip(bias) {
            *score = *score * scale + bias;
        }
    }
    let scale = simd.splat_f32s(if bias.is_some() { 1.0 } else { scale });
    row[n..].fill(f32::NEG_INFINITY);
    let (vectors, _) = S::as_mut_simd_f32s(row);
    let mut maximum = simd.splat_f32s(f32::NEG_INFINITY);
    for vector in vectors.iter_mut() {
        *vector = simd.mul_f32s(*vector, scale);
        maximum = simd.select_f32s(simd.less_than_f32s(maximum, *vector), *vector, maximum);
    }
    let maximum = simd.splat_f32s(simd.reduce_max_f32s(maximum));
    let mut sum = simd.splat_f32s(0.0);
    for vector in vectors {
        *vector = exp(simd, simd.sub_f32s(*vector, maximum));
        sum = simd.add_f32s(sum, *vector);
    }
    simd.reduce_sum_f32s(sum)
}

/// Stores raw scores.
struct Scores<'a> {
    scores: &'a mut [f32],
    stride: usize,
}

impl Sink for Scores<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, _simd: S, row: usize, column: usize, values: S::f32s) {
        let target = &mut self.scores[row * self.stride + column..][..S::F32_LANES];
        if let Some(target) = S::as_mut_simd_f32s(target).0.first_mut() {
            *target = values;
        }
    }
}

/// Stores mixed values in the columns of their head.
struct Mixed<'a> {
    out: &'a mut [f32],
    width: usize,
    first_column: usize,
    d: usize,
    sums: &'a [f32; BLOCK_QUERIES],
}

impl Sink for Mixed<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, column: usize, values: S::f32s) {
        let used = (self.d - column).min(S::F32_LANES);
        let target = &mut self.out[row * self.width + self.first_column + column..][..used];
        let values = simd.mul_f32s(values, simd.splat_f32s(1.0 / self.sums[row]));
        match S::as_mut_simd_f32s(target).0.first_mut() {
            Some(target) => *target = values,
            None => simd.partial_store_f32s(target, values),
        }
    }
}
