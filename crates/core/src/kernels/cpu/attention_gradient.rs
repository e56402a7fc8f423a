//! The way back of softmax attention within each text of a packed batch: the scores are computed again, block by block
//! (Dao et al. 2022, arXiv:2205.14135, algorithm 4), so no n x n matrix is ever kept.
//!
//! Letters: `t` tokens of all texts, `n` tokens of one text, `a` heads of queries, `g` heads of keys and values, `d` width of
//! a head.
//!
//! A task is one head of keys and values of one text with all query heads that share it; so every sum is made by one thread
//! in one order.

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::attention::{MIN_PARALLEL_PRODUCTS, Scores, Text, with_texts};
use super::panels::{PANEL_VECTORS, Panels};
use super::product::{Sink, product};
use super::rows::Rows;
use super::tensor::{from_vec, row_major, rows};
use super::transposed_product::transposed_product;
use super::vector_math::exp;
use crate::kernels::AttentionOptions;
use crate::kernels::attention::first_weight;

/// Queries whose scores are in memory at once.
const BLOCK_QUERIES: usize = 32;

/// What the way back reads.
pub struct Kept<'a> {
    /// `q [t, a d]`, `k [t, g d]`, `v [t, g d]`, with rows that lie row by row.
    pub inputs: &'a [FlexTensor; 3],
    /// `[a, m, m]`.
    pub position_bias: Option<&'a FlexTensor>,
    /// `[t, a d]`.
    pub out: &'a FlexTensor,
    /// The logarithms of the sums of the softmax, `[t, a]`.
    pub log_sums: &'a [f32],
}

/// The gradients of queries, keys and values.
///
/// # Shapes
///
/// `dy [t, a d] -> [t, a d], [t, g d], [t, g d]`.
pub fn attention_backward(
    kept: &Kept<'_>,
    dy: FlexTensor,
    offsets: &[usize],
    options: AttentionOptions,
) -> [FlexTensor; 3] {
    let dy = row_major(dy);
    let dy = rows(&dy);
    let out = rows(kept.out);
    let [q, k, v] = kept.inputs.each_ref().map(rows);
    let t = q.len();
    let (width, kv_width) = (q.width(), k.width());
    let AttentionOptions { heads, kv_heads, .. } = options;
    let d = width / heads;
    let mut gradients = [
        vec![0.0; t * width],
        vec![0.0; t * kv_width],
        vec![0.0; t * kv_width],
    ];
    with_texts([q, k, v], kept.position_bias, offsets, options, |texts| {
        let mut rest = gradients.each_mut().map(Vec::as_mut_slice);
        let mut tasks = Vec::new();
        let mut products = 0;
        for (text, pair) in texts.iter().zip(offsets.windows(2)) {
            let n = pair[1] - pair[0];
            products += n * n * width * 5;
            let mut own: Vec<Task<'_>> = (0..kv_heads)
                .map(|kv_head| Task {
                    text,
                    dy: dy.part(pair[0], n, 0, width),
                    out: out.part(pair[0], n, 0, width),
                    log_sums: &kept.log_sums[pair[0] * heads..pair[1] * heads],
                    kv_head,
                    gradients: std::array::from_fn(|_| Vec::with_capacity(n)),
                })
                .collect();
            let widths = [width / kv_heads, d, d];
            for (which, rest) in rest.iter_mut().enumerate() {
                let row = widths[which] * kv_heads;
                let (here, others) = std::mem::take(rest).split_at_mut(n * row);
                *rest = others;
                for row in here.chunks_exact_mut(row) {
                    for (task, piece) in own.iter_mut().zip(row.chunks_exact_mut(widths[which])) {
                        task.gradients[which].push(piece);
                    }
                }
            }
            tasks.append(&mut own);
        }
        if products < MIN_PARALLEL_PRODUCTS {
            tasks.into_iter().for_each(|task| Arch::new().dispatch(task));
        } else {
            tasks.into_par_iter().for_each(|task| Arch::new().dispatch(task));
        }
    });
    let [dq, dk, dv] = gradients;
    [
        from_vec(dq, [t, width]),
        from_vec(dk, [t, kv_width]),
        from_vec(dv, [t, kv_width]),
    ]
}

/// One head of keys and values of one text.
struct Task<'a> {
    text: &'a Text<'a>,
    /// `[n, a d]`.
    dy: Rows<'a>,
    out: Rows<'a>,
    /// `[n, a]`.
    log_sums: &'a [f32],
    kv_head: usize,
    /// Row by row those of the queries `[n, a/g d]`, the key and the value `[n, d]`.
    gradients: [Vec<&'a mut [f32]>; 3],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            text,
            dy,
            out,
            log_sums,
            kv_head,
            gradients: [mut dq, dk, dv],
        } = self;
        let AttentionOptions { heads, kv_heads, .. } = text.options;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the precision of the computation is f32"
        )]
        let scale = text.options.scale as f32;
        let mask = text.options.mask();
        let (n, d, group) = (text.q.len(), text.d(), heads / kv_heads);
        let panel_width = PANEL_VECTORS * S::F32_LANES;
        let stride = n.next_multiple_of(S::F32_LANES);
        let padded = d.next_multiple_of(S::F32_LANES);
        let [mut scores, mut changes] = [(); 2].map(|()| vec![0.0; BLOCK_QUERIES * stride]);
        let [mut key_sums, mut value_sums] = [(); 2].map(|()| vec![0.0; n * padded]);
        let [mut keys_across, mut values_across, mut keys, mut block_rows] =
            [(); 4].map(|()| Panels::empty());
        keys_across.fill_transposed(simd, text.k.part(0, n, kv_head * d, d));
        values_across.fill_transposed(simd, text.v.part(0, n, kv_head * d, d));
        keys.fill(simd, text.k.part(0, n, kv_head * d, d));
        for (index, head) in (kv_head * group..(kv_head + 1) * group).enumerate() {
            for block in (0..n).step_by(BLOCK_QUERIES) {
                let count = BLOCK_QUERIES.min(n - block);
                let (first, last) = (text.visible(block), text.visible(block + count - 1));
                let panels = first.start / panel_width..last.end.div_ceil(panel_width);
                let columns = panels.start * panel_width..(panels.end * panel_width).min(stride);
                let [q, dy, out] = [text.q, dy, out].map(|rows| rows.part(block, count, head * d, d));
                // 1. Raw scores, and the gradients of the weights that the softmax gave: [count, n], rows `stride` apart.
                for (left, right, target) in
                    [(q, &keys_across, &mut scores), (dy, &values_across, &mut changes)]
                {
                    let mut raw = Scores {
                        scores: target,
                        stride,
                    };
                    product(simd, left, right, 0..d, panels.clone(), &mut raw);
                }
                // 2. The weights P themselves, and the gradients of the scores P (dP - dy out). Where a mask M dropped some, dP
                // is that of P M, times M, and dy out is still the mean of dP under P.
                for row in 0..count {
                    let query = block + row;
                    let seen = text.visible(query);
                    let at = row * stride;
                    let first = first_weight(text.token + query, head, heads, columns.start);
                    if let Some(mask) = mask {
                        mask.apply(first, &mut changes[at..][columns.clone()]);
                    }
                    let line = Line {
                        weights: &mut scores[at..][columns.clone()],
                        changes: &mut changes[at..][columns.clone()],
                        seen: seen.start - columns.start..seen.end - columns.start,
                        bias: text.bias.map(|bias| bias.row(head, query, columns.start)),
                        log_sum: log_sums[query * heads + head],
                        mean: dot(simd, dy.row(row), out.row(row)),
                        scale,
                    };
                    line.soften(simd);
                    if let Some(mask) = mask {
                        mask.apply(first, &mut scores[at..][columns.clone()]);
                    }
                }
                // 3. The gradients of the queries, each complete.
                let steps = columns.start..columns.end.min(n);
                let [weights, changes] = [&scores, &changes]
                    .map(|matrix| Rows::new(&matrix[steps.start..], stride, count, steps.len()));
                let mut target = Pieces {
                    rows: &mut dq[block..block + count],
                    first_column: index * d,
                    d,
                };
                product(simd, changes, &keys, steps.clone(), 0..keys.panels(), &mut target);
                // 4. What the block adds to those of keys and values.
                for (left, right, sums) in [(changes, q, &mut key_sums), (weights, dy, &mut value_sums)] {
                    block_rows.fill(simd, right);
                    let mut target = Added {
                        sums: &mut sums[steps.start * padded..],
                        padded,
                    };
                    transposed_product(simd, left, &block_rows, &mut target);
                }
            }
        }
        for (rows, sums) in [(dk, key_sums), (dv, value_sums)] {
            for (row, sums) in rows.into_iter().zip(sums.chunks_exact(padded)) {
                row.copy_from_slice(&sums[..d]);
            }
        }
    }
}

/// The scores of one query.
struct Line<'a> {
    /// Raw scores, which become the weights of the softmax.
    weights: &'a mut [f32],
    /// The gradients of the weights, which become those of the raw scores.
    changes: &'a mut [f32],
    /// The keys that the query sees.
    seen: Range<usize>,
    bias: Option<&'a [f32]>,
    log_sum: f32,
    /// `dy out`, the mean of the gradients of the weights.
    mean: f32,
    scale: f32,
}

impl Line<'_> {
    #[inline(always)]
    fn soften<S: Simd>(self, simd: S) {
        let mut scale = simd.splat_f32s(self.scale);
        if let Some(bias) = self.bias {
            for (score, bias) in self.weights.iter_mut().zip(bias) {
                *score = *score * self.scale + bias;
            }
            scale = simd.splat_f32s(1.0);
        }
        let (log_sum, mean) = (simd.splat_f32s(self.log_sum), simd.splat_f32s(self.mean));
        let factor = simd.splat_f32s(self.scale);
        let (weights, _) = S::as_mut_simd_f32s(self.weights);
        let (changes, _) = S::as_mut_simd_f32s(self.changes);
        for (weight, change) in weights.iter_mut().zip(changes) {
            *weight = exp(simd, simd.sub_f32s(simd.mul_f32s(*weight, scale), log_sum));
            *change = simd.mul_f32s(simd.mul_f32s(*weight, factor), simd.sub_f32s(*change, mean));
        }
        for row in [self.weights, self.changes] {
            row[..self.seen.start].fill(0.0);
            row[self.seen.end..].fill(0.0);
        }
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let mut sum = simd.splat_f32s(0.0);
    for (a, b) in a.iter().zip(b) {
        sum = simd.mul_add_e_f32s(*a, *b, sum);
    }
    simd.reduce_sum_f32s(sum) + a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum::<f32>()
}

/// Stores complete gradients in the columns of their head.
struct Pieces<'a, 'y> {
    rows: &'a mut [&'y mut [f32]],
    first_column: usize,
    d: usize,
}

impl Sink for Pieces<'_, '_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, column: usize, values: S::f32s) {
        let used = (self.d - column).min(S::F32_LANES);
        let target = &mut self.rows[row][self.first_column + column..][..used];
        match S::as_mut_simd_f32s(target).0.first_mut() {
            Some(target) => *target = values,
            None => simd.partial_store_f32s(target, values),
        }
    }
}

/// Adds to sums whose rows are whole vectors.
struct Added<'a> {
    sums: &'a mut [f32],
    padded: usize,
}

impl Sink for Added<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, column: usize, values: S::f32s) {
        let target = &mut self.sums[row * self.padded + column..][..S::F32_LANES];
        if let Some(target) = S::as_mut_simd_f32s(target).0.first_mut() {
            *target = simd.add_f32s(*target, values);
        }
    }
}
