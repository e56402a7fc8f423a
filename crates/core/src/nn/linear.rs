//! A linear layer that knows its place in the checkpoint.
//!
//! Letters: `t` tokens, `i` input width, `o` output width.

use burn::tensor::Tensor;

use super::{Activation, Context};
use crate::{
    Error, Result,
    adapters::AdapterStack,
    kernels::{self, LinearWeight},
    weights::Precision,
};

/// `x weight^T + bias`, always on rows: callers flatten to `[t, i]` first, so that no weight is ever copied.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, nn::{Context, Linear, Segments}};
///
/// let device = device::cpu();
/// let weight = Tensor::from_floats([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], &device);
/// let dense = Linear::new("encoder.layer.0.output.dense", weight, None)?;
/// let context = Context::new(Segments::from_lengths([1]));
/// let y = dense.forward(Tensor::from_floats([[3.0, 4.0]], &device), &context);
/// assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [3.0, 8.0, 7.0]);
/// # }
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    slot: String,
    weight: LinearWeight,
    bias: Option<Tensor<1>>,
}

impl Linear {
    /// A layer of the given weight and bias; `slot` is its module path in the checkpoint, by which adapters find it.
    ///
    /// # Shapes
    ///
    /// `weight [o, i]` as checkpoints store it, `bias [o]`.
    ///
    /// # Errors
    ///
    /// [`Error::Dimension`] when the bias does not have `o` components.
    pub fn new(slot: impl Into<String>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Result<Self> {
        Self::with_weight(slot, LinearWeight::new(weight), bias)
    }

    /// A layer whose weight has its form already, such as int8.
    ///
    /// # Shapes
    ///
    /// `weight [o, i]`, `bias [o]`.
    ///
    /// # Errors
    ///
    /// As [`Linear::new`].
    pub fn with_weight(
        slot: impl Into<String>,
        weight: LinearWeight,
        bias: Option<Tensor<1>>,
    ) -> Result<Self> {
        let slot = slot.into();
        let [o, _] = weight.dims();
        if let Some(bias) = &bias {
            let [found] = bias.dims();
            if found != o {
                return Err(Error::Dimension {
                    what: format!("{slot}.bias"),
                    expected: o,
                    found,
                });
            }
        }
        Ok(Self { slot, weight, bias })
    }

    /// The module path in the checkpoint.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// Input width `i`.
    #[must_use]
    pub fn in_features(&self) -> usize {
        self.weight.dims()[1]
    }

    /// Output width `o`.
    #[must_use]
    pub fn out_features(&self) -> usize {
        self.weight.dims()[0]
    }

    /// The precision that the weight is kept in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.weight.precision()
    }

    /// The weight as checkpoints store it; on the CPU, where it is kept packed, a copy.
    ///
    /// # Shapes
    ///
    /// `-> [o, i]`.
    #[must_use]
    pub fn weight(&self) -> Tensor<2> {
        self.weight.to_tensor()
    }

    /// The bias, if the layer has one.
    ///
    /// # Shapes
    ///
    /// `-> [o]`.
    #[must_use]
    pub fn bias(&self) -> Option<&Tensor<1>> {
        self.bias.as_ref()
    }

    /// The affine map of each row, with the side paths of the texts' adapters.
    ///
    /// # Shapes
    ///
    /// `[t, i] -> [t, o]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>, context: &Context) -> Tensor<2> {
        match context.adapts(&self.slot) {
            false => self.base(x),
            true => AdapterStack::linear(context, self, x, None),
        }
    }

    /// The affine map of each row and, in the same pass, the activation.
    ///
    /// # Shapes
    ///
    /// `[t, i] -> [t, o]`.
    #[must_use]
    pub fn forward_activated(&self, x: Tensor<2>, activation: Activation, context: &Context) -> Tensor<2> {
        match context.adapts(&self.slot) {
            false => kernels::linear(x, &self.weight, self.bias.as_ref(), Some(activation)),
            true => activation.forward(self.forward(x, context)),
        }
    }

    /// Several layers on the same rows in one pass, such as query, key and value.
    ///
    /// # Shapes
    ///
    /// `[t, i] -> [t, o]` of each layer.
    #[must_use]
    pub fn forward_each<const N: usize>(
        layers: [&Self; N],
        x: Tensor<2>,
        context: &Context,
    ) -> [Tensor<2>; N] {
        let parts = layers.map(|layer| (&layer.weight, layer.bias.as_ref()));
        if !layers.iter().any(|layer| context.adapts(&layer.slot)) {
            return kernels::linear_each(x, parts);
        }
        let mut layers = layers.into_iter();
        kernels::linear_each(x.clone(), parts).map(|y| match layers.next() {
            Some(layer) if context.adapts(&layer.slot) => {
                AdapterStack::linear(context, layer, x.clone(), Some(y))
            }
            _ => y,
        })
    }

    /// `activation(gate) * up` of two layers on the same rows in one pass.
    ///
    /// # Shapes
    ///
    /// `[t, i] -> [t, o]`.
    #[must_use]
    pub fn forward_gated(
        gate: &Self,
        up: &Self,
        x: Tensor<2>,
        activation: Activation,
        context: &Context,
    ) -> Tensor<2> {
        if context.adapts(&gate.slot) || context.adapts(&up.slot) {
            let [gate, up] = Self::forward_each([gate, up], x, context);
            return kernels::gated(gate, up, activation);
        }
        let [gate, up] = [gate, up].map(|layer| (&layer.weight, layer.bias.as_ref()));
        kernels::linear_gated(x, gate, up, activation)
    }

    /// The weight in the form that its device multiplies with.
    pub(crate) fn linear_weight(&self) -> &LinearWeight {
        &self.weight
    }

    /// The affine map without adapters.
    ///
    /// # Shapes
    ///
    /// `[t, i] -> [t, o]`.
    pub(crate) fn base(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::linear(x, &self.weight, self.bias.as_ref(), None)
    }

    /// The same slot with other weights of the same shape.
    pub(crate) fn with_parts(&self, weight: LinearWeight, bias: Option<Tensor<1>>) -> Self {
        Self {
            slot: self.slot.clone(),
            weight,
            bias,
        }
    }
}
