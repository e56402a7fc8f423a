//! Softmax attention within each text of a packed batch, without copies of whole heads and without an n x n matrix.
//!
//! Letters: `t` tokens of all texts, `n` queries of one text, `p` keys that it has, `a` heads of queries, `g` heads of keys
//! and values, `d` width of a head, `m` side of the position bias.
//!
//! A task is a text, or up to 128 queries of a long one, with all its heads. For each head of keys, those that the task
//! sees are packed, and their values; then 16 queries at a time get their scores, the softmax, and the mixed values, all
//! in the nearest caches. Panels of keys that no query of a block sees are left out.

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::panels::{PANEL_VECTORS, Panels};
use super::product::{Sink, product};
use super::rows::Rows;
use super::tensor::{from_vec, row_major, rows, with_slice};
use super::vector_math::exp;
use crate::kernels::AttentionOptions;
use crate::kernels::attention::first_weight;

/// Most queries of a task.
const TASK_QUERIES: usize = 128;
/// Most queries of a task where later ones see more keys, so that the threads get equal shares.
const CAUSAL_TASK_QUERIES: usize = 64;
/// Queries whose scores are in memory at once.
const BLOCK_QUERIES: usize = 16;
/// Values that are summed before the sum goes to the output, so that rounding does not grow with the length of a text.
const SUMMED_VALUES: usize = 256;
/// Below so many multiplications the work is not divided.
pub const MIN_PARALLEL_PRODUCTS: usize = 1 << 18;

/// `softmax(q k^T scale + position_bias) v` within each text.
///
/// # Shapes
///
/// `q [t, a d]`, `k [t, g d]`, `v [t, g d]`, `position_bias [a, m, m] -> [t, a d]`.
pub fn attention(
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    position_bias: Option<&FlexTensor>,
    offsets: &[usize],
    options: AttentionOptions,
) -> FlexTensor {
    let (q, k, v) = (row_major(q), row_major(k), row_major(v));
    let mut out = vec![0.0; rows(&q).len() * rows(&q).width()];
    let shape = [rows(&q).len(), rows(&q).width()];
    let inputs = [rows(&q), rows(&k), rows(&v)];
    with_texts(inputs, position_bias, offsets, options, |texts| {
        compute(texts, &mut out, None);
    });
    from_vec(out, shape)
}

/// The same, and the logarithm of what the softmax of each query and head was divided by, for the way back.
///
/// # Shapes
///
/// As [`attention`], and `[t, a]`.
#[cfg(feature = "autodiff")]
pub fn attention_with_sums(
    [q, k, v]: &[FlexTensor; 3],
    position_bias: Option<&FlexTensor>,
    offsets: &[usize],
    options: AttentionOptions,
) -> (FlexTensor, Vec<f32>) {
    let inputs = [rows(q), rows(k), rows(v)];
    let (t, width) = (inputs[0].len(), inputs[0].width());
    let (mut out, mut sums) = (vec![0.0; t * width], vec![0.0; t * options.heads]);
    with_texts(inputs, position_bias, offsets, options, |texts| {
        compute(texts, &mut out, Some(&mut sums));
    });
    (from_vec(out, [t, width]), sums)
}

/// Calls `work` with the texts of a packed batch.
///
/// # Shapes
///
/// `q [t, a d]`, `k [t, g d]`, `v [t, g d]`, `position_bias [a, m, m]`.
pub fn with_texts<R>(
    [q, k, v]: [Rows<'_>; 3],
    position_bias: Option<&FlexTensor>,
    offsets: &[usize],
    options: AttentionOptions,
    work: impl FnOnce(&[Text<'_>]) -> R,
) -> R {
    let cut = |bias: Option<PositionBias<'_>>| {
        let texts = offsets.windows(2).map(|pair| {
            let (first, n) = (pair[0], pair[1] - pair[0]);
            Text {
                q: q.part(first, n, 0, q.width()),
                k: k.part(first, n, 0, k.width()),
                v: v.part(first, n, 0, v.width()),
                bias,
                position: 0,
                token: first,
                options,
            }
        });
        work(&texts.collect::<Vec<_>>())
    };
    match position_bias {
        Some(bias) => {
            let side = bias.layout().shape()[2];
            with_slice(bias, |data| cut(Some(PositionBias { data, side })))
        }
        None => cut(None),
    }
}

/// What is read of one text.
pub struct Text<'a> {
    /// `[n, a d]`.
    pub q: Rows<'a>,
    /// `[p, g d]`.
    pub k: Rows<'a>,
    pub v: Rows<'a>,
    pub bias: Option<PositionBias<'a>>,
    /// The key that stands where the first query does.
    pub position: usize,
    /// The number of its first token in the batch.
    pub token: usize,
    pub options: AttentionOptions,
}

impl Text<'_> {
    /// The keys that a query sees.
    #[inline(always)]
    pub fn visible(&self, query: usize) -> Range<usize> {
        if !self.options.causal {
            return 0..self.k.len();
        }
        let end = (self.position + query + 1).min(self.k.len());
        let start = self.options.window.map_or(0, |window| end.saturating_sub(window));
        start..end
    }

    /// Width `d` of a head.
    #[inline(always)]
    pub fn d(&self) -> usize {
        self.q.width() / self.options.heads
    }
}

/// `[a, m, m]`, added to the scaled scores.
#[derive(Clone, Copy)]
pub struct PositionBias<'a> {
    data: &'a [f32],
    /// `m`.
    side: usize,
}

impl<'a> PositionBias<'a> {
    /// What is added to the scores of a query of a head, from key `first` on.
    #[inline(always)]
    pub fn row(&self, head: usize, query: usize, first: usize) -> &'a [f32] {
        &self.data[(head * self.side + query) * self.side..][first..self.side]
    }
}

/// The attention of all texts, behind each other in `out [t, a d]`; where wanted, the logarithms of the sums of the
/// softmax in `sums [t, a]`.
pub fn compute(texts: &[Text<'_>], out: &mut [f32], sums: Option<&mut [f32]>) {
    let mut tasks = Vec::new();
    let mut products = 0;
    let mut rest = out;
    let mut rest_of_sums = sums;
    for text in texts {
        let (n, width) = (text.q.len(), text.q.width());
        products += n * text.k.len() * width * 2;
        let most = match text.options.causal {
            true => CAUSAL_TASK_QUERIES,
            false => TASK_QUERIES,
        };
        for first in (0..n).step_by(most) {
            let queries = most.min(n - first);
            let (out, others) = std::mem::take(&mut rest).split_at_mut(queries * width);
            rest = others;
            let sums = rest_of_sums.take().map(|sums| {
                let (sums, others) = sums.split_at_mut(queries * text.options.heads);
                rest_of_sums = Some(others);
                sums
            });
            tasks.push(Task {
                text,
                first,
                queries,
                out,
                log_sums: sums,
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
    text: &'a Text<'a>,
    /// First query within the text, and how many.
    first: usize,
    queries: usize,
    /// `[queries, a d]`.
    out: &'a mut [f32],
    /// `[queries, a]`.
    log_sums: Option<&'a mut [f32]>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            text,
            first,
            queries,
            out,
            mut log_sums,
        } = self;
        let AttentionOptions {
            heads,
            kv_heads,
            scale,
            ..
        } = text.options;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the precision of the computation is f32"
        )]
        let scale = scale as f32;
        let mask = text.options.mask();
        let (width, d) = (text.q.width(), text.d());
        // The keys of this task are counted from its first visible one on.
        let start = text.visible(first).start;
        let n = text.visible(first + queries - 1).end - start;
        let panel_width = PANEL_VECTORS * S::F32_LANES;
        let stride = n.next_multiple_of(S::F32_LANES);
        let mut scores = vec![0.0; BLOCK_QUERIES * stride];
        let mut sums = [0.0; BLOCK_QUERIES];
        let (mut keys, mut values) = (Panels::empty(), Panels::empty());
        for head in 0..heads {
            let kv_head = head / (heads / kv_heads);
            if head.is_multiple_of(heads / kv_heads) {
                keys.fill_transposed(simd, text.k.part(start, n, kv_head * d, d));
                values.fill(simd, text.v.part(start, n, kv_head * d, d));
            }
            for block in (0..queries).step_by(BLOCK_QUERIES) {
                let count = BLOCK_QUERIES.min(queries - block);
                let visible = |row: usize| {
                    let range = text.visible(first + block + row);
                    range.start - start..range.end - start
                };
                let panels = visible(0).start / panel_width..visible(count - 1).end.div_ceil(panel_width);
                let columns = panels.start * panel_width..(panels.end * panel_width).min(stride);
                // 1. Scores of the block: [count, n], rows `stride` apart.
                let q = text.q.part(first + block, count, head * d, d);
                let mut raw = Scores {
                    scores: &mut scores,
                    stride,
                };
                product(simd, q, &keys, 0..d, panels, &mut raw);
                // 2. Softmax without its division.
                for row in 0..count {
                    let seen = visible(row);
                    let bias = text
                        .bias
                        .map(|bias| bias.row(head, first + block + row, start + columns.start));
                    let row_scores = &mut scores[row * stride..][columns.clone()];
                    let seen = seen.start - columns.start..seen.end - columns.start;
                    let maximum;
                    (maximum, sums[row]) = soften(simd, row_scores, seen, scale, bias);
                    // Dropped weights are part of the sums all the same.
                    if let Some(mask) = mask {
                        let token = text.token + first + block + row;
                        mask.apply(
                            first_weight(token, head, heads, start + columns.start),
                            row_scores,
                        );
                    }
                    if let Some(log_sums) = &mut log_sums {
                        log_sums[(block + row) * heads + head] = maximum + sums[row].ln();
                    }
                }
                // 3. Mixed values, divided by the sums on their way out.
                let end = columns.end.min(n);
                for first in columns.clone().step_by(SUMMED_VALUES) {
                    let steps = first..end.min(first + SUMMED_VALUES);
                    let weights = Rows::new(&scores[first..], stride, count, steps.len());
                    let mut mixed = Mixed {
                        out: &mut out[block * width..],
                        width,
                        first_column: head * d,
                        d,
                        sums: &sums,
                        add: first > columns.start,
                    };
                    product(simd, weights, &values, steps, 0..values.panels(), &mut mixed);
                }
            }
        }
    }
}

/// Turns the scores of one query into `exp(score - maximum)` and returns that maximum and their sum; what the query does
/// not see becomes 0.
#[inline(always)]
pub fn soften<S: Simd>(
    simd: S,
    row: &mut [f32],
    seen: Range<usize>,
    scale: f32,
    bias: Option<&[f32]>,
) -> (f32, f32) {
    if let Some(bias) = bias {
        for (score, bias) in row.iter_mut().zip(bias) {
            *score = *score * scale + bias;
        }
    }
    let scale = simd.splat_f32s(if bias.is_some() { 1.0 } else { scale });
    row[..seen.start].fill(f32::NEG_INFINITY);
    row[seen.end..].fill(f32::NEG_INFINITY);
    let (vectors, _) = S::as_mut_simd_f32s(row);
    let mut maxima = simd.splat_f32s(f32::NEG_INFINITY);
    for vector in vectors.iter_mut() {
        *vector = simd.mul_f32s(*vector, scale);
        maxima = simd.select_f32s(simd.less_than_f32s(maxima, *vector), *vector, maxima);
    }
    let maximum = simd.reduce_max_f32s(maxima);
    let maxima = simd.splat_f32s(maximum);
    let mut sum = simd.splat_f32s(0.0);
    for vector in vectors {
        *vector = exp(simd, simd.sub_f32s(*vector, maxima));
        sum = simd.add_f32s(sum, *vector);
    }
    (maximum, simd.reduce_sum_f32s(sum))
}

/// Stores raw scores.
pub struct Scores<'a> {
    pub scores: &'a mut [f32],
    pub stride: usize,
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
    /// Whether they are added to what is there.
    add: bool,
}

impl Sink for Mixed<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, column: usize, values: S::f32s) {
        let used = (self.d - column).min(S::F32_LANES);
        let target = &mut self.out[row * self.width + self.first_column + column..][..used];
        let values = simd.mul_f32s(values, simd.splat_f32s(1.0 / self.sums[row]));
        match S::as_mut_simd_f32s(target).0.first_mut() {
            Some(target) if self.add => *target = simd.add_f32s(*target, values),
            Some(target) => *target = values,
            None if self.add => {
                let sum = simd.add_f32s(simd.partial_load_f32s(target), values);
                simd.partial_store_f32s(target, sum);
            }
            None => simd.partial_store_f32s(target, values),
        }
    }
}
