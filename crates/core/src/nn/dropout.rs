//! The dropout that a model has of its own, which acts in passes that train.

use burn::tensor::Tensor;

use super::Context;
use crate::kernels;

/// Sets components to 0 at random, where a pass trains the model with its dropout ([`Context::with_model_dropout`]).
///
/// Which components depends on the key of the pass, the slot and the place in the batch alone, so that the same pass can be
/// computed again.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, nn::{Context, Dropout, Segments}};
///
/// let dropout = Dropout::new("encoder.layer.0.output.dropout", 0.5);
/// let x = Tensor::<2>::ones([1, 64], &device::cpu());
/// let context = Context::new(Segments::from_lengths([1]));
/// assert_eq!(dropout.forward(x.clone(), &context).into_data(), x.clone().into_data());
/// let training = context.with_dropout_key(7).with_model_dropout(true);
/// let y: Vec<f32> = dropout.forward(x, &training).into_data().try_to_vec().unwrap();
/// assert!(y.iter().all(|y| *y == 0.0 || *y == 2.0));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Dropout {
    slot: String,
    probability: f64,
}

impl Dropout {
    /// Dropout at a place of the model, from 0 to below 1.
    #[must_use]
    pub fn new(slot: impl Into<String>, probability: f64) -> Self {
        Self {
            slot: slot.into(),
            probability,
        }
    }

    /// The share of components that a pass which trains sets to 0.
    #[must_use]
    pub fn probability(&self) -> f64 {
        self.probability
    }

    /// Drops components and scales the others up, where the pass says so.
    ///
    /// # Shapes
    ///
    /// `[...] -> [...]`, any shape.
    #[must_use]
    pub fn forward<const D: usize>(&self, x: Tensor<D>, context: &Context) -> Tensor<D> {
        match context.model_dropout_key_of(&self.slot) {
            Some(key) if self.probability > 0.0 => kernels::dropout(x, self.probability, key),
            _ => x,
        }
    }
}
