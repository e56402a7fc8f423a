//! Root mean square normalisation with the residual sum, row by row in the first-level cache.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::blocks::for_each_block;
use super::layer_norm::add;
use super::rows::Rows;
use super::tensor::{from_vec, row_major, rows, whole};

/// `y / sqrt(mean(y^2) + eps) * weight` of each row of `y = x + residual`, and `y`.
///
/// # Shapes
///
/// `x [t, h]`, `residual [t, h]`, `weight [h] -> ([t, h], [t, h])`.
pub fn rms_norm(
    x: FlexTensor,
    residual: Option<FlexTensor>,
    weight: FlexTensor,
    eps: f64,
) -> (FlexTensor, FlexTensor) {
    let mut x = whole(x);
    let residual = residual.map(row_major);
    let residual = residual.as_ref().map(rows);
    let weight = whole(weight);
    let weight = weight.storage::<f32>();
    let (t, h) = (x.layout().shape()[0], x.layout().shape()[1]);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the precision of the computation is f32"
    )]
    let eps = eps as f32;
    let mut normed = vec![0.0; t * h];
    if let (Some(residual), true) = (residual, h > 0) {
        let blocks = (x.storage_mut::<f32>(), normed.as_mut_slice());
        for_each_block(blocks, h, |first, (y, normed)| {
            let residual = residual.part(first, y.len() / h, 0, h);
            Arch::new().dispatch(Task {
                y: Summed::Here(y, residual),
                normed,
                weight,
                eps,
            });
        });
    } else if h > 0 {
        let y = x.storage::<f32>();
        for_each_block((normed.as_mut_slice(), ()), h, |first, (normed, ())| {
            Arch::new().dispatch(Task {
                y: Summed::Before(&y[first * h..][..normed.len()]),
                normed,
                weight,
                eps,
            });
        });
    }
    (from_vec(normed, [t, h]), x)
}

/// The rows `y`, or what becomes them.
enum Summed<'a> {
    Before(&'a [f32]),
    Here(&'a mut [f32], Rows<'a>),
}

/// Some rows and where their norms go.
struct Task<'a> {
    y: Summed<'a>,
    normed: &'a mut [f32],
    weight: &'a [f32],
    eps: f32,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let h = self.weight.len();
        let y: &[f32] = match self.y {
            Summed::Before(y) => y,
            Summed::Here(y, residual) => {
                for (index, row) in y.chunks_exact_mut(h).enumerate() {
                    add(simd, row, residual.row(index));
                }
                y
            }
        };
        #[allow(
            clippy::cast_precision_loss,
            reason = "a row has far fewer than 2^24 components"
        )]
        let count = h as f32;
        for (y, normed) in y.chunks_exact(h).zip(self.normed.chunks_exact_mut(h)) {
            let scale = 1.0 / (sum_of_squares(simd, y) / count + self.eps).sqrt();
            scale_to(simd, y, scale, self.weight, normed);
        }
    }
}

#[inline(always)]
fn sum_of_squares<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (vectors, tail) = S::as_simd_f32s(row);
    let mut sum = simd.splat_f32s(0.0);
    for vector in vectors {
        sum = simd.mul_add_e_f32s(*vector, *vector, sum);
    }
    simd.reduce_sum_f32s(sum) + tail.iter().map(|value| value * value).sum::<f32>()
}

#[inline(always)]
fn scale_to<S: Simd>(simd: S, row: &[f32], scale: f32, weight: &[f32], target: &mut [f32]) {
    let scales = simd.splat_f32s(scale);
    let (vectors, tail) = S::as_simd_f32s(row);
    let (weights, weight_tail) = S::as_simd_f32s(weight);
    let (targets, target_tail) = S::as_mut_simd_f32s(target);
    for ((target, vector), weight) in targets.iter_mut().zip(vectors).zip(weights) {
        *target = simd.mul_f32s(simd.mul_f32s(*vector, scales), *weight);
    }
    for ((target, value), weight) in target_tail.iter_mut().zip(tail).zip(weight_tail) {
        *target = value * scale * weight;
    }
}
