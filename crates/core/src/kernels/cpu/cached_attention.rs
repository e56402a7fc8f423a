//! Attention of few new tokens to what a cache holds, without packing: every key and value is read once where it lies.
//!
//! Letters: `n` new tokens of a text, `p` tokens that its cache holds, `a` heads of queries, `g` heads of keys and values,
//! `d` width of a head.
//!
//! A task is one head of keys and values of one text with all the queries that look at it; a long text is divided among
//! the threads by keys, and the parts are put together by their maxima and sums (Milakov and Gimelshein 2018,
//! arXiv:1805.02867, section 3.1).

#![allow(
    clippy::needless_range_loop,
    reason = "one index runs through several arrays of equal length"
)]

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::attention::{MIN_PARALLEL_PRODUCTS, Text, compute, soften};
use super::rows::Rows;
use super::tensor::{from_vec, row_major, rows, whole};
use crate::kernels::AttentionOptions;

/// Up to so many new tokens a text is not packed.
const FEW_QUERIES: usize = 4;
/// Fewest keys of a task where a text is divided.
const MIN_TASK_KEYS: usize = 128;

/// What the cache of one text holds, the new tokens included.
pub struct Cached {
    /// `[rows, g d]`, of which the first `held` count.
    pub keys: FlexTensor,
    pub values: FlexTensor,
    pub held: usize,
    /// The row of the first new token.
    pub position: usize,
}

/// `store` with other rows from row `at` on, changed in place where nobody else holds the memory.
///
/// # Shapes
///
/// `store [rows, w]`, `new [t, w] -> [rows, w]`.
pub fn write_rows(store: FlexTensor, at: usize, new: FlexTensor) -> FlexTensor {
    let new = row_major(new);
    let new = rows(&new);
    let width = new.width();
    let mut store = whole(store);
    if width > 0 {
        let target = &mut store.storage_mut::<f32>()[at * width..];
        for (index, target) in target.chunks_exact_mut(width).take(new.len()).enumerate() {
            target.copy_from_slice(new.row(index));
        }
    }
    store
}

/// Attention of new tokens to what each text's cache holds.
///
/// # Shapes
///
/// `q [t, a d] -> [t, a d]`.
pub fn attention_cached(
    q: FlexTensor,
    caches: &[Cached],
    offsets: &[usize],
    options: AttentionOptions,
) -> FlexTensor {
    let q = row_major(q);
    let q = rows(&q);
    let mut out = vec![0.0; q.len() * q.width()];
    let texts: Vec<Text<'_>> = caches
        .iter()
        .zip(offsets.windows(2))
        .map(|(cache, pair)| {
            let held = |store| {
                let rows: Rows<'_> = rows(store);
                rows.part(0, cache.held, 0, rows.width())
            };
            Text {
                q: q.part(pair[0], pair[1] - pair[0], 0, q.width()),
                k: held(&cache.keys),
                v: held(&cache.values),
                bias: None,
                position: cache.position,
                token: pair[0],
                options,
            }
        })
        .collect();
    if texts.iter().all(|text| text.q.len() <= FEW_QUERIES) {
        few(&texts, &mut out);
    } else {
        compute(&texts, &mut out, None);
    }
    from_vec(out, [q.len(), q.width()])
}

/// The attention of texts with few queries.
fn few(texts: &[Text<'_>], out: &mut [f32]) {
    let seen = |text: &Text<'_>| match text.q.len() {
        0 => 0..0,
        n => text.visible(0).start..text.visible(n - 1).end,
    };
    let products: usize = texts
        .iter()
        .map(|text| 2 * text.q.len() * text.q.width() * seen(text).len())
        .sum();
    let threads = rayon::current_num_threads();
    let alone = threads == 1 || products < MIN_PARALLEL_PRODUCTS;
    let mut tasks = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let keys = seen(text);
        let share = match alone {
            true => keys.len(),
            false => keys.len().div_ceil(2 * threads).max(MIN_TASK_KEYS),
        };
        for kv_head in 0..text.options.kv_heads {
            for first in keys.clone().step_by(share.max(1)) {
                tasks.push(Task {
                    index,
                    text,
                    kv_head,
                    keys: first..(first + share).min(keys.end),
                });
            }
        }
    }
    let parts: Vec<Part> = match alone {
        true => tasks.into_iter().map(|task| Arch::new().dispatch(task)).collect(),
        false => tasks
            .into_par_iter()
            .map(|task| Arch::new().dispatch(task))
            .collect(),
    };
    let mut rest = out;
    for (index, text) in texts.iter().enumerate() {
        let (out, others) = std::mem::take(&mut rest).split_at_mut(text.q.len() * text.q.width());
        rest = others;
        for kv_head in 0..text.options.kv_heads {
            let of_head = |part: &&Part| (part.index, part.kv_head) == (index, kv_head);
            let parts: Vec<&Part> = parts.iter().filter(of_head).collect();
            put_together(&parts, text, kv_head, out);
        }
    }
}

/// One head of keys and values of one text, and some of its keys.
struct Task<'a> {
    index: usize,
    text: &'a Text<'a>,
    kv_head: usize,
    keys: Range<usize>,
}

/// What some keys contribute to the queries of a head of keys; the query heads of one token stand next to each other.
struct Part {
    index: usize,
    kv_head: usize,
    /// The largest score and the sum of `exp(score - largest)` of each query.
    softmax: Vec<(f32, f32)>,
    /// `[n a/g, d]`: the values weighted by `exp(score - largest)`.
    mixed: Vec<f32>,
}

impl WithSimd for Task<'_> {
    type Output = Part;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Part {
        let (text, d, keys) = (self.text, self.text.d(), self.keys);
        let group = text.options.heads / text.options.kv_heads;
        let column = self.kv_head * d;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the precision of the computation is f32"
        )]
        let scale = text.options.scale as f32;
        let count = text.q.len() * group;
        let stride = keys.len().next_multiple_of(S::F32_LANES);
        let mut scores = vec![0.0; count * stride];
        // 1. Scores: [n a/g, keys].
        let queries: Vec<&[f32]> = (0..count)
            .map(|row| &text.q.row(row / group)[(self.kv_head * group + row % group) * d..][..d])
            .collect();
        let k = text.k.part(keys.start, keys.len(), column, d);
        let mut row = 0;
        while row + 3 <= count {
            dots::<S, 3>(simd, &queries[row..], k, &mut scores[row * stride..], stride);
            row += 3;
        }
        while row < count {
            dots::<S, 1>(simd, &queries[row..], k, &mut scores[row * stride..], stride);
            row += 1;
        }
        // 2. Softmax without its division.
        let mut softmax = Vec::with_capacity(count);
        for (row, scores) in scores.chunks_exact_mut(stride).enumerate() {
            let seen = text.visible(row / group);
            let seen = seen.start.max(keys.start)..seen.end.min(keys.end);
            softmax.push(match seen.is_empty() {
                true => {
                    scores.fill(0.0);
                    (f32::NEG_INFINITY, 0.0)
                }
                false => {
                    let seen = seen.start - keys.start..seen.end - keys.start;
                    soften(simd, scores, seen, scale, None)
                }
            });
        }
        // 3. Mixed values: [n a/g, d].
        let mut mixed = vec![0.0; count * d];
        let v = text.v.part(keys.start, keys.len(), column, d);
        let mut row = 0;
        while row + 3 <= count {
            mix::<S, 3>(simd, &scores[row * stride..], stride, v, &mut mixed[row * d..]);
            row += 3;
        }
        while row < count {
            mix::<S, 1>(simd, &scores[row * stride..], stride, v, &mut mixed[row * d..]);
            row += 1;
        }
        Part {
            index: self.index,
            kv_head: self.kv_head,
            softmax,
            mixed,
        }
    }
}

/// The products of `R` queries with all keys, in rows of `scores` that are `stride` apart.
#[inline(always)]
fn dots<S: Simd, const R: usize>(
    simd: S,
    queries: &[&[f32]],
    keys: Rows<'_>,
    scores: &mut [f32],
    stride: usize,
) {
    for index in 0..keys.len() {
        let (key, key_tail) = S::as_simd_f32s(keys.row(index));
        for r in 0..R {
            let (query, query_tail) = S::as_simd_f32s(queries[r]);
            let mut sum = simd.splat_f32s(0.0);
            for (q, k) in query.iter().zip(key) {
                sum = simd.mul_add_e_f32s(*q, *k, sum);
            }
            if !key_tail.is_empty() {
                let (q, k) = (
                    simd.partial_load_f32s(query_tail),
                    simd.partial_load_f32s(key_tail),
                );
                sum = simd.mul_add_e_f32s(q, k, sum);
            }
            scores[r * stride + index] = simd.reduce_sum_f32s(sum);
        }
    }
}

/// The sums of all values, weighted by `R` rows of `weights` that are `stride` apart.
#[inline(always)]
fn mix<S: Simd, const R: usize>(
    simd: S,
    weights: &[f32],
    stride: usize,
    values: Rows<'_>,
    mixed: &mut [f32],
) {
    let d = values.width();
    let lanes = S::F32_LANES;
    let mut column = 0;
    while column + 4 * lanes <= d {
        mix_columns::<S, R, 4>(simd, weights, stride, values, column, mixed);
        column += 4 * lanes;
    }
    while column + lanes <= d {
        mix_columns::<S, R, 1>(simd, weights, stride, values, column, mixed);
        column += lanes;
    }
    for index in 0..values.len() {
        let tail = &values.row(index)[column..];
        for r in 0..R {
            let weight = weights[r * stride + index];
            for (sum, value) in mixed[r * d + column..(r + 1) * d].iter_mut().zip(tail) {
                *sum += weight * value;
            }
        }
    }
}

/// The same for `NV` vectors of columns from `column` on.
#[inline(always)]
fn mix_columns<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    weights: &[f32],
    stride: usize,
    values: Rows<'_>,
    column: usize,
    mixed: &mut [f32],
) {
    let (d, width) = (values.width(), NV * S::F32_LANES);
    let mut sums = [[simd.splat_f32s(0.0); NV]; R];
    for index in 0..values.len() {
        let (vectors, _) = S::as_simd_f32s(&values.row(index)[column..][..width]);
        let vectors = &vectors[..NV];
        for r in 0..R {
            let weight = simd.splat_f32s(weights[r * stride + index]);
            for v in 0..NV {
                sums[r][v] = simd.mul_add_e_f32s(weight, vectors[v], sums[r][v]);
            }
        }
    }
    for r in 0..R {
        let (targets, _) = S::as_mut_simd_f32s(&mut mixed[r * d + column..][..width]);
        targets.copy_from_slice(&sums[r]);
    }
}

/// Adds what the parts contribute to a head of keys and divides by the sum of all weights.
fn put_together(parts: &[&Part], text: &Text<'_>, kv_head: usize, out: &mut [f32]) {
    let (d, width) = (text.d(), text.q.width());
    let group = text.options.heads / text.options.kv_heads;
    for row in 0..text.q.len() * group {
        let maximum = parts
            .iter()
            .map(|part| part.softmax[row].0)
            .fold(f32::NEG_INFINITY, f32::max);
        // Where every score is NaN the largest is minus infinity, and the weights stay what they are.
        let factor = |part: &Part| match part.softmax[row].0 {
            largest if largest == maximum => 1.0,
            largest => (largest - maximum).exp(),
        };
        let sum: f32 = parts.iter().map(|part| part.softmax[row].1 * factor(part)).sum();
        let column = (row / group) * width + (kv_head * group + row % group) * d;
        let target = &mut out[column..][..d];
        for part in parts {
            let factor = factor(part) / sum;
            for (target, mixed) in target.iter_mut().zip(&part.mixed[row * d..][..d]) {
                *target += mixed * factor;
            }
        }
    }
}
