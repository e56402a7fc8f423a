//! One step of AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2) as PyTorch 2.15 computes it
//! (`torch/optim/adamw.py`, `_single_tensor_adamw`), and the sum of squares that clipping needs.
//!
//! Letters: `n` weights.

use burn::tensor::Tensor;

/// The numbers of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// The learning rate.
    pub rate: f64,
    /// How slowly the mean of gradients changes.
    pub beta1: f64,
    /// How slowly the mean of their squares changes.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub epsilon: f64,
    /// The share of a weight that is taken off, times the learning rate.
    pub weight_decay: f64,
    /// The number of the step, from 1.
    pub step: usize,
    /// What the gradient is multiplied by first.
    pub scale: f64,
}

impl AdamWStep {
    /// What the step is made of: the decay's factor, the step's size, and what the root is divided by.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_wrap,
        clippy::cast_possible_truncation,
        reason = "steps are far fewer than 2^31"
    )]
    pub(super) fn factors(&self) -> (f64, f64, f64) {
        let correction = |beta: f64| 1.0 - beta.powi(self.step as i32);
        (
            1.0 - self.rate * self.weight_decay,
            self.rate / correction(self.beta1),
            correction(self.beta2).sqrt(),
        )
    }
}

/// The weights and the two moments after a step. Memory that nobody else holds is changed in place.
///
/// # Shapes
///
/// All `[n] -> ([n], [n], [n])`.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, kernels::{AdamWStep, adamw}};
///
/// let of = |value: f32| Tensor::<1>::from_floats([value], &device::cpu());
/// let step = AdamWStep {
///     rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, step: 1, scale: 1.0,
/// };
/// let (weight, _, _) = adamw(of(1.0), of(3.0), of(0.0), of(0.0), step);
/// assert!((weight.into_scalar::<f32>() - 0.9).abs() < 1e-6); // the first step goes the rate's whole length
/// # }
/// ```
#[must_use]
pub fn adamw(
    weights: Tensor<1>,
    gradient: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
    step: AdamWStep,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    #[cfg(feature = "cpu")]
    let (weights, gradient, first, second) = {
        use super::cpu::{self, from_flex, into_flex};
        let sizes = [&gradient, &first, &second].map(|tensor| tensor.dims());
        let fits = sizes.iter().all(|size| *size == weights.dims());
        match (
            into_flex(weights),
            into_flex(gradient),
            into_flex(first),
            into_flex(second),
        ) {
            (Ok(weights), Ok(gradient), Ok(first), Ok(second)) if fits => {
                let (weights, first, second) = cpu::adamw(weights, &gradient, first, second, &step);
                return (from_flex(weights), from_flex(first), from_flex(second));
            }
            (weights, gradient, first, second) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(weights), tensor(gradient), tensor(first), tensor(second))
            }
        }
    };
    composed(weights, gradient, first, second, step)
}

/// The sum of squares of all components, in f64 where the device is the CPU; the same whatever the number of threads.
///
/// # Shapes
///
/// `[n]`.
#[must_use]
pub fn square_sum(x: &Tensor<1>) -> f64 {
    #[cfg(feature = "cpu")]
    if let Ok(x) = super::cpu::into_flex(x.clone()) {
        return super::cpu::square_sum(&x);
    }
    let sum = (x.clone() * x.clone()).sum().into_data();
    sum.iter::<f64>().sum()
}

pub(super) fn composed(
    weights: Tensor<1>,
    gradient: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
    step: AdamWStep,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let (keep, size, correction) = step.factors();
    let gradient = gradient * step.scale;
    let first = first * step.beta1 + gradient.clone() * (1.0 - step.beta1);
    let second = second * step.beta2 + gradient.clone() * gradient * (1.0 - step.beta2);
    let divisor = second.clone().sqrt() / correction + step.epsilon;
    (weights * keep - first.clone() / divisor * size, first, second)
}
