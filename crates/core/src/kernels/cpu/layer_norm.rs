//! Layer normalisation with the residual sum, row by row in the first-level cache.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::blocks::for_each_block;
use super::rows::Rows;
use super::tensor::{row_major, rows, whole, with_slice};

/// `(y - mean) / sqrt(variance + eps) * weight + bias` of each row of `y = x + residual`.
///
/// # Shapes
///
/// `x [t, h]`, `residual [t, h]`, `weight [h]`, `bias [h] -> [t, h]`.
pub fn layer_norm(
    x: FlexTensor,
    residual: Option<FlexTensor>,
    weight: &FlexTensor,
    bias: &FlexTensor,
    eps: f64,
) -> FlexTensor {
    let mut x = whole(x);
    let residual = residual.map(row_major);
    let residual = residual.as_ref().map(rows);
    let (t, h) = (x.layout().shape()[0], x.layout().shape()[1]);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the precision of the computation is f32"
    )]
    let eps = eps as f32;
    if t > 0 && h > 0 {
        let y = x.storage_mut::<f32>();
        with_slice(weight, |weight| {
            with_slice(bias, |bias| {
                for_each_block(y, h, |first, y| {
                    Arch::new().dispatch(Task {
                        residual: residual.map(|rows| rows.part(first, y.len() / h, 0, h)),
                        y,
                        weight,
                        bias,
                        eps,
                    });
                });
            });
        });
    }
    x
}

/// Some rows, replaced by their norms.
struct Task<'a> {
    y: &'a mut [f32],
    residual: Option<Rows<'a>>,
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let h = self.weight.len();
        #[allow(
            clippy::cast_precision_loss,
            reason = "a row has far fewer than 2^24 components"
        )]
        let count = h as f32;
        for (index, row) in self.y.chunks_exact_mut(h).enumerate() {
            if let Some(residual) = self.residual {
                add(simd, row, residual.row(index));
            }
            let mean = sum(simd, row) / count;
            let variance = sum_of_squares(simd, row, mean) / count;
            let scale = 1.0 / (variance + self.eps).sqrt();
            scale_and_shift(simd, row, mean, scale, self.weight, self.bias);
        }
    }
}

/// Adds a row to another.
#[inline(always)]
pub fn add<S: Simd>(simd: S, row: &mut [f32], other: &[f32]) {
    let (vectors, tail) = S::as_mut_simd_f32s(row);
    let (others, other_tail) = S::as_simd_f32s(other);
    for (vector, other) in vectors.iter_mut().zip(others) {
        *vector = simd.add_f32s(*vector, *other);
    }
    for (value, other) in tail.iter_mut().zip(other_tail) {
        *value += other;
    }
}

#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (vectors, tail) = S::as_simd_f32s(row);
    let mut sum = simd.splat_f32s(0.0);
    for vector in vectors {
        sum = simd.add_f32s(sum, *vector);
    }
    simd.reduce_sum_f32s(sum) + tail.iter().sum::<f32>()
}

#[inline(always)]
fn sum_of_squares<S: Simd>(simd: S, row: &[f32], mean: f32) -> f32 {
    let (vectors, tail) = S::as_simd_f32s(row);
    let means = simd.splat_f32s(mean);
    let mut sum = simd.splat_f32s(0.0);
    for vector in vectors {
        let centred = simd.sub_f32s(*vector, means);
        sum = simd.mul_add_e_f32s(centred, centred, sum);
    }
    simd.reduce_sum_f32s(sum)
        + tail
            .iter()
            .map(|value| (value - mean) * (value - mean))
            .sum::<f32>()
}

#[inline(always)]
fn scale_and_shift<S: Simd>(simd: S, row: &mut [f32], mean: f32, scale: f32, weight: &[f32], bias: &[f32]) {
    let (vectors, tail) = S::as_mut_simd_f32s(row);
    let (weights, weight_tail) = S::as_simd_f32s(weight);
    let (biases, bias_tail) = S::as_simd_f32s(bias);
    let (means, scales) = (simd.splat_f32s(mean), simd.splat_f32s(scale));
    for ((vector, weight), bias) in vectors.iter_mut().zip(weights).zip(biases) {
        let normal = simd.mul_f32s(simd.sub_f32s(*vector, means), scales);
        *vector = simd.mul_add_e_f32s(normal, *weight, *bias);
    }
    for ((value, weight), bias) in tail.iter_mut().zip(weight_tail).zip(bias_tail) {
        *value = (*value - mean) * scale * weight + bias;
    }
}
