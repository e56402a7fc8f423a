//! The optimiser's step in one pass through memory, and sums of squares.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::tensor::{whole, with_slice};
use crate::kernels::AdamWStep;

/// Components of a task.
const TASK: usize = 16 * 1024;

/// Weights, gradient and moments `[n]`; the first, third and fourth are changed in place where nobody shares them.
pub fn adamw(
    weights: FlexTensor,
    gradient: &FlexTensor,
    first: FlexTensor,
    second: FlexTensor,
    step: &AdamWStep,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (mut weights, mut first, mut second) = (whole(weights), whole(first), whole(second));
    let (keep, size, correction) = step.factors();
    #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
    let factors = Factors {
        scale: step.scale as f32,
        beta1: step.beta1 as f32,
        share1: (1.0 - step.beta1) as f32,
        beta2: step.beta2 as f32,
        share2: (1.0 - step.beta2) as f32,
        keep: keep as f32,
        size: size as f32,
        over_correction: (1.0 / correction) as f32,
        epsilon: step.epsilon as f32,
    };
    with_slice(gradient, |gradient| {
        let weights = weights.storage_mut::<f32>().par_chunks_mut(TASK);
        let moments = (first.storage_mut::<f32>().par_chunks_mut(TASK))
            .zip(second.storage_mut::<f32>().par_chunks_mut(TASK));
        weights.zip(moments).zip(gradient.par_chunks(TASK)).for_each(
            |((weights, (first, second)), gradient)| {
                Arch::new().dispatch(Task {
                    weights,
                    first,
                    second,
                    gradient,
                    factors,
                });
            },
        );
    });
    (weights, first, second)
}

/// The sum of squares, of blocks of a fixed size and then of the blocks in their order.
pub fn square_sum(x: &FlexTensor) -> f64 {
    with_slice(x, |x| {
        let blocks: Vec<f64> = x
            .par_chunks(TASK)
            .map(|block| {
                block
                    .iter()
                    .map(|value| f64::from(*value) * f64::from(*value))
                    .sum()
            })
            .collect();
        blocks.iter().sum()
    })
}

#[derive(Clone, Copy)]
struct Factors {
    scale: f32,
    beta1: f32,
    share1: f32,
    beta2: f32,
    share2: f32,
    keep: f32,
    size: f32,
    over_correction: f32,
    epsilon: f32,
}

struct Task<'a> {
    weights: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    gradient: &'a [f32],
    factors: Factors,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let f = self.factors;
        let moments = self.first.iter_mut().zip(self.second);
        for ((weight, (first, second)), gradient) in self.weights.iter_mut().zip(moments).zip(self.gradient) {
            let gradient = gradient * f.scale;
            *first = *first * f.beta1 + gradient * f.share1;
            *second = *second * f.beta2 + gradient * gradient * f.share2;
            let divisor = second.sqrt() * f.over_correction + f.epsilon;
            *weight = *weight * f.keep - f.size * (*first / divisor);
        }
    }
}
