//! Softmax attention over packed texts (Vaswani et al. 2017, arXiv:1706.03762, equation 1).
//!
//! Letters: `t` tokens of all texts, `n` tokens of one text, `b` neighbouring texts of equal length, `a` heads, `d` width
//! of a head, `m` side of the position bias, `m >= n`.

use burn::tensor::{Tensor, activation};

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AttentionOptions {
    /// Number of heads `a`; the width of the rows is `a d`.
    pub heads: usize,
    /// What the scores are multiplied by before the softmax, usually `1 / sqrt(d)`.
    pub scale: f64,
}

impl AttentionOptions {
    /// Attention with so many heads whose scores are multiplied by `scale`.
    #[must_use]
    pub fn new(heads: usize, scale: f64) -> Self {
        Self { heads, scale }
    }
}

/// `softmax(q k^T scale + position_bias) v` within each text; no text sees another.
///
/// `offsets` holds where each text starts, and `t` at its end.
///
/// # Shapes
///
/// `q [t, a d]`, `k [t, a d]`, `v [t, a d]`, `position_bias [a, m, m] -> [t, a d]`.
#[must_use]
pub fn attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    position_bias: Option<&Tensor<3>>,
    offsets: &[usize],
    options: AttentionOptions,
) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    let (q, k, v) = {
        use super::cpu::{self, from_flex, into_flex};
        let longest = offsets
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or(0);
        let fits = q.dims() == k.dims()
            && q.dims() == v.dims()
            && q.dims()[1].is_multiple_of(options.heads)
            && offsets.last() == Some(&q.dims()[0])
            && position_bias.is_none_or(|bias| bias.dims()[0] == options.heads && bias.dims()[2] >= longest)
            && position_bias.is_none_or(|bias| bias.dims()[1] == bias.dims()[2]);
        let bias = position_bias.map(|bias| into_flex(bias.clone()));
        match (into_flex(q), into_flex(k), into_flex(v), bias) {
            (Ok(q), Ok(k), Ok(v), None) if fits => {
                return from_flex(cpu::attention(q, k, v, None, offsets, options));
            }
            (Ok(q), Ok(k), Ok(v), Some(Ok(bias))) if fits => {
                return from_flex(cpu::attention(q, k, v, Some(&bias), offsets, options));
            }
            (q, k, v, _) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(q), tensor(k), tensor(v))
            }
        }
    };
    composed(q, k, v, position_bias, offsets, options)
}

pub(super) fn composed(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    position_bias: Option<&Tensor<3>>,
    offsets: &[usize],
    options: AttentionOptions,
) -> Tensor<2> {
    let [t, width] = q.dims();
    if t == 0 {
        return q;
    }
    let (a, d) = (options.heads, width / options.heads);
    let mut parts = Vec::new();
    for (start, b, n) in runs_of_equal_length(offsets) {
        let rows = start..start + b * n;
        let heads = |x: &Tensor<2>| {
            x.clone()
                .slice([rows.clone(), 0..width])
                .reshape([b, n, a, d])
                .swap_dims(1, 2) // [b, a, n, d]
        };
        let scores = heads(&q).matmul(heads(&k).transpose()) * options.scale; // [b, a, n, n]
        let scores = match position_bias {
            Some(bias) => scores + bias.clone().slice([0..a, 0..n, 0..n]).unsqueeze(),
            None => scores,
        };
        let mixed = activation::softmax(scores, 3).matmul(heads(&v)); // [b, a, n, d]
        parts.push(mixed.swap_dims(1, 2).reshape([b * n, width]));
    }
    Tensor::cat(parts, 0)
}

/// Neighbouring texts of equal length as (first token, texts, tokens of each); empty texts are left out.
fn runs_of_equal_length(offsets: &[usize]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for pair in offsets.windows(2) {
        let (start, n) = (pair[0], pair[1] - pair[0]);
        match runs.last_mut() {
            _ if n == 0 => {}
            Some((_, b, length)) if *length == n => *b += 1,
            _ => runs.push((start, 1, n)),
        }
    }
    runs
}
