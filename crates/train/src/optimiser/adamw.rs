//! AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2), step for step as PyTorch 2.15 computes it.

use burn::tensor::Tensor;
use ragtune_core::kernels::{self, AdamWStep};

use crate::tuning::Parameter;

/// Settings of AdamW, with the defaults of transformers' `TrainingArguments`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWOptions {
    /// How slowly the mean of gradients changes.
    pub beta1: f64,
    /// How slowly the mean of their squares changes.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub epsilon: f64,
    /// The share of a weight that is taken off in a step, times the learning rate; not of biases and norms.
    pub weight_decay: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// The optimiser with its two moments of every trained weight.
#[derive(Clone, Debug)]
pub struct AdamW {
    options: AdamWOptions,
    /// Steps taken.
    pub(crate) steps: usize,
    /// The means of gradients and of their squares, in the order of the weights.
    pub(crate) moments: Vec<[Tensor<1>; 2]>,
}

impl AdamW {
    /// An optimiser before its first step.
    #[must_use]
    pub fn new(options: AdamWOptions, parameters: &[Parameter]) -> Self {
        let zeros = |parameter: &Parameter| {
            std::array::from_fn(|_| Tensor::zeros([parameter.count()], &parameter.values.device()))
        };
        Self {
            options,
            steps: 0,
            moments: parameters.iter().map(zeros).collect(),
        }
    }

    /// Changes the weights by one step. Gradients are multiplied by `scale` before anything else, to clip them; a weight
    /// without a gradient stays as it is, as do its moments.
    pub fn step(
        &mut self,
        parameters: &mut [Parameter],
        gradients: Vec<Option<Tensor<1>>>,
        rate: f64,
        scale: f64,
    ) {
        self.steps += 1;
        for ((parameter, gradient), moments) in parameters.iter_mut().zip(gradients).zip(&mut self.moments) {
            let Some(gradient) = gradient else {
                continue;
            };
            let AdamWOptions {
                beta1,
                beta2,
                epsilon,
                weight_decay,
            } = self.options;
            let step = AdamWStep {
                rate: rate * parameter.rate,
                beta1,
                beta2,
                epsilon,
                weight_decay: if parameter.decays { weight_decay } else { 0.0 },
                step: self.steps,
                scale,
            };
            // Taken out, so that nobody shares them and they are changed in place.
            let empty = || Tensor::zeros([0], &gradient.device());
            let values = std::mem::replace(&mut parameter.values, empty());
            let [first, second] = std::mem::replace(moments, [empty(), empty()]);
            let (values, first, second) = kernels::adamw(values, gradient, first, second, step);
            parameter.values = values;
            *moments = [first, second];
        }
    }
}
