//! Attention where gradients are recorded: queries, keys, values, the result and one number for each query and head are
//! kept, never a matrix of scores.
//!
//! Letters as in [`attention`](super::attention()).

use burn::tensor::{Bool, Tensor, TensorData, activation};

use super::AttentionOptions;
use super::attention::{factors, hidden, runs_of_equal_length};
use super::gradient::{self, Gradient, Input};

/// `softmax(q k^T scale + position_bias) v` within each text; the position bias gets no gradient.
///
/// # Shapes
///
/// `q [t, a d]`, `k [t, g d]`, `v [t, g d]`, `position_bias [a, m, m] -> [t, a d]`.
pub(super) fn attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    position_bias: Option<&Tensor<3>>,
    offsets: &[usize],
    options: AttentionOptions,
) -> Tensor<2> {
    let inputs = [Input::from(&q), Input::from(&k), Input::from(&v)];
    let inner = [q.inner(), k.inner(), v.inner()];
    let bias = position_bias.map(|bias| bias.clone().inner());
    let offsets = offsets.to_vec();
    #[cfg(feature = "cpu")]
    let inner = match fused::Record::new(inner, bias.clone(), offsets.clone(), options) {
        Ok((y, record)) => {
            return gradient::record(inputs, y, move |dy: Tensor<2>, wanted| {
                named(record.backward(dy), wanted)
            });
        }
        Err(inner) => inner,
    };
    let [q, k, v] = inner.clone();
    let y = super::attention::composed(q, k, v, bias.as_ref(), &offsets, options);
    gradient::record(inputs, y, move |dy: Tensor<2>, wanted| {
        named(
            composed_backward(inner.clone(), bias.as_ref(), dy, &offsets, options),
            wanted,
        )
    })
}

fn named(gradients: [Tensor<2>; 3], wanted: [bool; 3]) -> [Option<Gradient>; 3] {
    let mut wanted = wanted.into_iter();
    gradients.map(|gradient| wanted.next().unwrap_or(false).then(|| Gradient::from(gradient)))
}

/// The gradients of queries, keys and values.
pub(super) fn composed_backward(
    inputs: [Tensor<2>; 3],
    position_bias: Option<&Tensor<3>>,
    dy: Tensor<2>,
    offsets: &[usize],
    options: AttentionOptions,
) -> [Tensor<2>; 3] {
    if dy.dims()[0] == 0 {
        return inputs;
    }
    let mut parts: [Vec<Tensor<2>>; 3] = Default::default();
    for (start, b, n) in runs_of_equal_length(offsets) {
        let rows = |x: &Tensor<2>| x.clone().slice([start..start + b * n, 0..x.dims()[1]]);
        let bias = position_bias.map(|bias| bias.clone().slice([0..options.heads, 0..n, 0..n]));
        let found = mix_backward(inputs.each_ref().map(rows), bias, rows(&dy), (start, b), options);
        for (parts, found) in parts.iter_mut().zip(found) {
            parts.push(found);
        }
    }
    parts.map(|parts| Tensor::cat(parts, 0))
}

/// The gradients of `b` texts of equal length, the first of which begins at token `start`.
///
/// # Shapes
///
/// `q [b n, a d]`, `k [b n, g d]`, `v [b n, g d]`, `bias [a, n, n]`, `dy [b n, a d]`; the result has the shapes of q, k, v.
fn mix_backward(
    [q, k, v]: [Tensor<2>; 3],
    bias: Option<Tensor<3>>,
    dy: Tensor<2>,
    (start, b): (usize, usize),
    options: AttentionOptions,
) -> [Tensor<2>; 3] {
    let ([tokens, width], kv_width) = (q.dims(), k.dims()[1]);
    let (a, g) = (options.heads, options.kv_heads);
    let (n, d) = (tokens / b, width / a);
    let device = q.device();
    let grouped = |x: Tensor<2>| {
        x.reshape([b, n, a, d])
            .swap_dims(1, 2)
            .reshape([b, g, a / g * n, d])
    };
    let heads = |x: Tensor<2>| x.reshape([b, n, g, d]).swap_dims(1, 2); // [b, g, n, d]
    let (q, dy, k, v) = (grouped(q), grouped(dy), heads(k), heads(v));
    // 1. The weights again.
    let scores = q.clone().matmul(k.clone().transpose()) * options.scale; // [b, g, a/g n, n]
    let scores = scores.reshape([b, a, n, n]);
    let scores = match bias {
        Some(bias) => scores + bias.unsqueeze(),
        None => scores,
    };
    let scores = match hidden(n, n, (0, 0), options) {
        Some(hidden) => {
            let hidden = Tensor::<1, Bool>::from_data(TensorData::from(hidden.as_slice()), &scores.device());
            scores.mask_fill(
                hidden.reshape([1, 1, n, n]).expand([b, a, n, n]),
                f32::NEG_INFINITY,
            )
        }
        None => scores,
    };
    let weights = activation::softmax(scores, 3).reshape([b, g, a / g * n, n]);
    // 2. Their gradients, and those of the scores.
    let dropped = factors([b, a, n, n], start, options)
        .map(|factors| Tensor::<4>::from_data(factors, &device).reshape([b, g, a / g * n, n]));
    let dweights = dy.clone().matmul(v.transpose());
    let dweights = match &dropped {
        Some(factors) => dweights * factors.clone(),
        None => dweights,
    };
    let mean = (dweights.clone() * weights.clone()).sum_dim(3);
    let dscores = weights.clone() * (dweights - mean) * options.scale;
    // 3. The matrix products; the sum over the query heads of a key head is part of them.
    let dq = dscores.clone().matmul(k).reshape([b, a, n, d]);
    let dk = dscores.transpose().matmul(q);
    let weights = match dropped {
        Some(factors) => weights * factors,
        None => weights,
    };
    let dv = weights.transpose().matmul(dy);
    [
        dq.swap_dims(1, 2).reshape([tokens, width]),
        dk.swap_dims(1, 2).reshape([tokens, kv_width]),
        dv.swap_dims(1, 2).reshape([tokens, kv_width]),
    ]
}

#[cfg(feature = "cpu")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use burn::tensor::Tensor;

    use crate::kernels::AttentionOptions;
    use crate::kernels::cpu::{self, from_flex, into_flex};

    /// What the way back needs.
    pub(super) struct Record {
        inputs: [FlexTensor; 3],
        bias: Option<FlexTensor>,
        out: FlexTensor,
        log_sums: Vec<f32>,
        offsets: Vec<usize>,
        options: AttentionOptions,
    }

    impl Record {
        /// The attention and what its way back needs, or the inputs where not everything is on the CPU.
        pub(super) fn new(
            inputs: [Tensor<2>; 3],
            bias: Option<Tensor<3>>,
            offsets: Vec<usize>,
            options: AttentionOptions,
        ) -> Result<(Tensor<2>, Self), [Tensor<2>; 3]> {
            let [q, k, v] = &inputs;
            let fits = options.fits_texts([q.dims(), k.dims(), v.dims()], bias.as_ref(), &offsets);
            let bias = bias.map(into_flex);
            let [q, k, v] = inputs.map(into_flex);
            match (q, k, v, bias) {
                (Ok(q), Ok(k), Ok(v), bias @ (None | Some(Ok(_)))) if fits => {
                    let inputs = [q, k, v].map(cpu::row_major);
                    let bias = bias.and_then(Result::ok);
                    let (out, log_sums) = cpu::attention_with_sums(&inputs, bias.as_ref(), &offsets, options);
                    let y = from_flex(out.clone());
                    let record = Self {
                        inputs,
                        bias,
                        out,
                        log_sums,
                        offsets,
                        options,
                    };
                    Ok((y, record))
                }
                (q, k, v, _) => Err([q, k, v].map(|side| side.map_or_else(|tensor| tensor, from_flex))),
            }
        }

        /// The gradients of queries, keys and values.
        pub(super) fn backward(&self, dy: Tensor<2>) -> [Tensor<2>; 3] {
            let kept = cpu::Kept {
                inputs: &self.inputs,
                position_bias: self.bias.as_ref(),
                out: &self.out,
                log_sums: &self.log_sums,
            };
            match into_flex(dy) {
                Ok(dy) => cpu::attention_backward(&kept, dy, &self.offsets, self.options).map(from_flex),
                // A gradient that is not f32 is none of this graph's.
                Err(dy) => {
                    let inputs = self.inputs.clone().map(from_flex);
                    let bias = self.bias.clone().map(from_flex);
                    super::composed_backward(inputs, bias.as_ref(), dy, &self.offsets, self.options)
                }
            }
        }
    }
}
