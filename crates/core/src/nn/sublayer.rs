//! The end of a sublayer, where bottleneck adapters act.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::tensor::Tensor;

use super::Context;
use crate::adapters::AdapterStack;

/// What attention or a feed-forward layer gives, before it is added to the stream of hidden states.
///
/// It has no weights of its own: adapters find it by its slot, and without any it changes nothing.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, nn::{Context, Segments, Sublayer}};
///
/// let end = Sublayer::new("model.layers.0.output_adapters");
/// let context = Context::new(Segments::from_lengths([1]));
/// let y = end.forward(Tensor::ones([1, 2], &device::cpu()), |y| y, &context);
/// assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [1.0, 1.0]);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sublayer {
    slot: String,
}

impl Sublayer {
    /// The end of the sublayer that adapters call by this slot.
    #[must_use]
    pub fn new(slot: impl Into<String>) -> Self {
        Self { slot: slot.into() }
    }

    /// The path by which adapters find it.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// What the sublayer gives, changed for each text by its adapters. `stream` computes what the stream of hidden states
    /// would be with the rows that it is given added and, where the layer does so, normalised; some adapters read that.
    ///
    /// # Shapes
    ///
    /// `y [t, h] -> [t, h]`.
    #[must_use]
    pub fn forward(
        &self,
        y: Tensor<2>,
        stream: impl Fn(Tensor<2>) -> Tensor<2>,
        context: &Context,
    ) -> Tensor<2> {
        match context.adapts(&self.slot) {
            false => y,
            true => AdapterStack::sublayer(context, &self.slot, y, stream),
        }
    }
}
