//! Softmax attention over packed texts (Vaswani et al. 2017, arXiv:1706.03762, equation 1).
//!
//! Letters: `t` tokens of all texts, `n` tokens of one text, `p` keys that it sees, `b` neighbouring texts of equal length, `a`
//! heads of queries, `g` heads of keys and values, `d` width of a head, `m` side of the position bias, `m >= n`.

use burn::tensor::{Bool, Tensor, TensorData, activation};

use super::LayerCache;
use super::dropout::Mask;

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AttentionOptions {
    /// Number of query heads `a`; the width of the query rows is `a d`.
    pub heads: usize,
    /// Number of key and value heads `g`, a divisor of `a`: so many query heads in a row share each of them.
    pub kv_heads: usize,
    /// What the scores are multiplied by before the softmax, usually `1 / sqrt(d)`.
    pub scale: f64,
    /// Whether a token sees only itself and what stands before it.
    pub causal: bool,
    /// With causal attention, how many tokens a token sees, itself included; all where there is none.
    pub window: Option<usize>,
    /// Probability and key of the dropout of the weights, which the softmax gives; used once, as any key of a
    /// [dropout](super::dropout()). Attention to a cache has none.
    pub dropout: Option<(f64, u64)>,
}

impl AttentionOptions {
    /// Attention with so many heads whose scores are multiplied by `scale`; every token of a text sees every other.
    #[must_use]
    pub fn new(heads: usize, scale: f64) -> Self {
        Self {
            heads,
            kv_heads: heads,
            scale,
            causal: false,
            window: None,
            dropout: None,
        }
    }

    /// Fewer key and value heads than query heads (Ainslie et al. 2023, arXiv:2305.13245).
    #[must_use]
    pub fn with_kv_heads(mut self, kv_heads: usize) -> Self {
        self.kv_heads = kv_heads;
        self
    }

    /// A token sees only itself and what stands before it, of that at most a window.
    #[must_use]
    pub fn with_causal(mut self, window: Option<usize>) -> Self {
        self.causal = true;
        self.window = window;
        self
    }

    /// What drops weights.
    pub(super) fn mask(&self) -> Option<Mask> {
        self.dropout.map(|(probability, key)| Mask::new(probability, key))
    }

    /// Whether rows of these shapes have the heads that the options say.
    #[cfg(feature = "cpu")]
    fn fits(&self, q: [usize; 2], k: [usize; 2], v: [usize; 2]) -> bool {
        q[1].is_multiple_of(self.heads)
            && self.heads.is_multiple_of(self.kv_heads)
            && k == v
            && k[1] == q[1] / self.heads * self.kv_heads
    }

    /// Whether these inputs of packed texts fit each other.
    #[cfg(feature = "cpu")]
    pub(super) fn fits_texts(
        self,
        [q, k, v]: [[usize; 2]; 3],
        position_bias: Option<&Tensor<3>>,
        offsets: &[usize],
    ) -> bool {
        let longest = offsets
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or(0);
        let bias_fits = |bias: &Tensor<3>| {
            let [heads, rows, columns] = bias.dims();
            heads == self.heads && columns >= longest && rows == columns
        };
        self.fits(q, k, v)
            && q[0] == k[0]
            && offsets.last() == Some(&q[0])
            && position_bias.is_none_or(bias_fits)
    }

    /// Whether the token at position `query` sees the one at `key`.
    fn sees(&self, query: usize, key: usize) -> bool {
        !self.causal || (key <= query && self.window.is_none_or(|window| query - key < window))
    }
}

/// `softmax(q k^T scale + position_bias) v` within each text; no text sees another.
///
/// `offsets` holds where each text starts, and `t` at its end.
///
/// # Shapes
///
/// `q [t, a d]`, `k [t, g d]`, `v [t, g d]`, `position_bias [a, m, m] -> [t, a d]`.
#[must_use]
pub fn attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    position_bias: Option<&Tensor<3>>,
    offsets: &[usize],
    options: AttentionOptions,
) -> Tensor<2> {
    #[cfg(feature = "autodiff")]
    if [&q, &k, &v].into_iter().any(Tensor::is_tracked) && !position_bias.is_some_and(Tensor::is_tracked) {
        return super::attention_gradient::attention(q, k, v, position_bias, offsets, options);
    }
    #[cfg(feature = "cpu")]
    let (q, k, v) = {
        use super::cpu::{self, from_flex, into_flex};
        let fits = options.fits_texts([q.dims(), k.dims(), v.dims()], position_bias, offsets);
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

/// Causal attention of new tokens to themselves and to what each text's cache holds; their keys and values go into the
/// caches.
///
/// # Shapes
///
/// `q [t, a d]`, `k [t, g d]`, `v [t, g d]`, one cache for each text `-> [t, a d]`.
#[must_use]
pub fn attention_cached(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    caches: &mut [&mut LayerCache],
    offsets: &[usize],
    options: AttentionOptions,
) -> Tensor<2> {
    let positions = append(k, v, caches, offsets);
    #[cfg(feature = "cpu")]
    let q = match fused_cached(q, caches, &positions, offsets, options) {
        Ok(mixed) => return mixed,
        Err(q) => q,
    };
    mix_cached(q, caches, &positions, offsets, options)
}

/// Puts the new rows of each text into its cache, and returns the positions that they begin at.
fn append(k: Tensor<2>, v: Tensor<2>, caches: &mut [&mut LayerCache], offsets: &[usize]) -> Vec<usize> {
    let [t, width] = k.dims();
    let mut positions = Vec::with_capacity(caches.len());
    for (cache, pair) in caches.iter_mut().zip(offsets.windows(2)) {
        let rows = |x: &Tensor<2>| match (pair[0], pair[1]) {
            (0, end) if end == t => x.clone(),
            (start, end) => x.clone().slice([start..end, 0..width]),
        };
        positions.push(cache.len());
        if pair[0] < pair[1] {
            cache.append(rows(&k), rows(&v));
        }
    }
    positions
}

/// The fused form, or `q` where not everything is on the CPU.
#[cfg(feature = "cpu")]
fn fused_cached(
    q: Tensor<2>,
    caches: &[&mut LayerCache],
    positions: &[usize],
    offsets: &[usize],
    options: AttentionOptions,
) -> Result<Tensor<2>, Tensor<2>> {
    use super::cpu::{self, from_flex, into_flex};
    let [t, width] = q.dims();
    let kv_width = width / options.heads * options.kv_heads;
    let fits = width.is_multiple_of(options.heads)
        && options.heads.is_multiple_of(options.kv_heads)
        && offsets.last() == Some(&t)
        && caches.iter().all(|cache| cache.width() == kv_width);
    let stores: Option<Vec<cpu::Cached>> = caches
        .iter()
        .zip(positions)
        .map(|(cache, position)| {
            let (keys, values) = cache.stores();
            Some(cpu::Cached {
                keys: into_flex(keys).ok()?,
                values: into_flex(values).ok()?,
                held: cache.len() - cache.first(),
                // A text without new tokens may have dropped rows; it asks nothing of them.
                position: position.saturating_sub(cache.first()),
            })
        })
        .collect();
    match (into_flex(q)?, stores) {
        (q, Some(stores)) if fits => Ok(from_flex(cpu::attention_cached(q, &stores, offsets, options))),
        (q, _) => Err(from_flex(q)),
    }
}

#[cfg(test)]
pub(super) fn composed_cached(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    caches: &mut [&mut LayerCache],
    offsets: &[usize],
    options: AttentionOptions,
) -> Tensor<2> {
    let positions = append(k, v, caches, offsets);
    mix_cached(q, caches, &positions, offsets, options)
}

/// Attention of new tokens that stand in the caches already.
fn mix_cached(
    q: Tensor<2>,
    caches: &[&mut LayerCache],
    positions: &[usize],
    offsets: &[usize],
    options: AttentionOptions,
) -> Tensor<2> {
    let width = q.dims()[1];
    let mut parts = Vec::new();
    for ((cache, position), pair) in caches.iter().zip(positions).zip(offsets.windows(2)) {
        if pair[0] == pair[1] {
            continue;
        }
        let q = q.clone().slice([pair[0]..pair[1], 0..width]);
        let (keys, values) = cache.rows(); // [p, g d]
        let visible = (*position, cache.first());
        parts.push(mix([q, keys, values], None, (0, 1), visible, options));
    }
    match parts.is_empty() {
        true => q,
        false => Tensor::cat(parts, 0),
    }
}

pub(super) fn composed(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    position_bias: Option<&Tensor<3>>,
    offsets: &[usize],
    options: AttentionOptions,
) -> Tensor<2> {
    if q.dims()[0] == 0 {
        return q;
    }
    let mut parts = Vec::new();
    for (start, b, n) in runs_of_equal_length(offsets) {
        let rows = |x: &Tensor<2>| x.clone().slice([start..start + b * n, 0..x.dims()[1]]);
        let bias = position_bias.map(|bias| bias.clone().slice([0..options.heads, 0..n, 0..n]));
        parts.push(mix(
            [rows(&q), rows(&k), rows(&v)],
            bias,
            (start, b),
            (0, 0),
            options,
        ));
    }
    Tensor::cat(parts, 0)
}

/// Attention of `b` texts of equal length, the first of which begins at token `start`; `positions` are those of the first query and of the first key.
///
/// # Shapes
///
/// `q [b n, a d]`, `k [b p, g d]`, `v [b p, g d]`, `bias [a, n, p] -> [b n, a d]`.
fn mix(
    [q, k, v]: [Tensor<2>; 3],
    bias: Option<Tensor<3>>,
    (start, b): (usize, usize),
    positions: (usize, usize),
    options: AttentionOptions,
) -> Tensor<2> {
    let ([tokens, width], [keys, _]) = (q.dims(), k.dims());
    let (a, g) = (options.heads, options.kv_heads);
    let (n, p, d) = (tokens / b, keys / b, width / a);
    let device = q.device();
    // 1. The query heads that share a key head stand below each other.
    let q = q
        .reshape([b, n, a, d])
        .swap_dims(1, 2)
        .reshape([b, g, a / g * n, d]);
    let heads = |x: Tensor<2>| x.reshape([b, p, g, d]).swap_dims(1, 2); // [b, g, p, d]
    // 2. Scores.
    let scores = q.matmul(heads(k).transpose()) * options.scale; // [b, g, a/g n, p]
    let scores = scores.reshape([b, a, n, p]);
    let scores = match bias {
        Some(bias) => scores + bias.unsqueeze(),
        None => scores,
    };
    let scores = match hidden(n, p, positions, options) {
        Some(hidden) => {
            let hidden = Tensor::<1, Bool>::from_data(TensorData::from(hidden.as_slice()), &scores.device());
            let hidden = hidden.reshape([1, 1, n, p]).expand([b, a, n, p]);
            scores.mask_fill(hidden, f32::NEG_INFINITY)
        }
        None => scores,
    };
    // 3. Mixed values.
    let weights = activation::softmax(scores, 3);
    let weights = match factors([b, a, n, p], start, options) {
        Some(factors) => weights * Tensor::from_data(factors, &device),
        None => weights,
    };
    let weights = weights.reshape([b, g, a / g * n, p]);
    let mixed = weights.matmul(heads(v)).reshape([b, a, n, d]);
    mixed.swap_dims(1, 2).reshape([tokens, width])
}

/// What the weights of texts are multiplied by where some are dropped, `[b, a, n, p]`; the first text begins at token `start`.
pub(super) fn factors(
    [b, a, n, p]: [usize; 4],
    start: usize,
    options: AttentionOptions,
) -> Option<TensorData> {
    let mask = options.mask()?;
    let mut factors = vec![1.0; b * a * n * p];
    for (row, factors) in factors.chunks_exact_mut(p.max(1)).enumerate() {
        let (text, head, query) = (row / (a * n), row / n % a, row % n);
        let token = start + text * n + query;
        mask.apply(first_weight(token, head, a, 0), factors);
    }
    Some(TensorData::new(factors, [b, a, n, p]))
}

/// The number of the weight that a token of the batch has for key `key` of its text, in one of `heads` heads: its upper half is
/// of token and head, its lower of the key.
#[inline(always)]
pub(super) fn first_weight(token: usize, head: usize, heads: usize, key: usize) -> usize {
    ((token * heads + head) << 32) | key
}

/// Which keys each query does not see, row by row; `None` where every query sees every key.
pub(super) fn hidden(
    n: usize,
    p: usize,
    positions: (usize, usize),
    options: AttentionOptions,
) -> Option<Vec<bool>> {
    let pairs = (0..n).flat_map(|query| (0..p).map(move |key| (positions.0 + query, positions.1 + key)));
    let hidden: Vec<bool> = pairs.map(|(query, key)| !options.sees(query, key)).collect();
    hidden.contains(&true).then_some(hidden)
}

/// Neighbouring texts of equal length as (first token, texts, tokens of each); empty texts are left out.
pub(super) fn runs_of_equal_length(offsets: &[usize]) -> Vec<(usize, usize, usize)> {
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
