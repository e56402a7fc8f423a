//! The classification head over the first token.
//!
//! Letters: `b` pairs of a batch, `h` hidden width, `c` classes.

use burn::tensor::Tensor;

use super::super::encoder::{EncoderConfig, HeadNames, linear};
use crate::error::Result;
use crate::nn::{Activation, Context, Linear};
use crate::weights::Loader;

/// `out_proj(activation(dense(x)))`.
#[derive(Debug)]
pub(super) struct ClassificationHead {
    dense: Linear,
    activation: Activation,
    out_proj: Linear,
}

impl ClassificationHead {
    /// `loader` reads names of the whole checkpoint, `model` those under the prefix of the bare model.
    pub(super) fn load(
        config: &EncoderConfig,
        names: &HeadNames,
        loader: &Loader<'_>,
        model: &Loader<'_>,
    ) -> Result<Self> {
        let h = config.hidden_size;
        let dense_loader = if names.dense_in_model { model } else { loader };
        Ok(Self {
            dense: linear(dense_loader, names.dense, h, h)?,
            activation: names.activation,
            out_proj: linear(loader, names.out_proj, h, config.num_labels)?,
        })
    }

    /// # Shapes
    /// `[b, h] -> [b, c]`.
    pub(super) fn forward(&self, x: Tensor<2>, context: &Context) -> Tensor<2> {
        let x = self.dense.forward_activated(x, self.activation, context); // [b, h]
        self.out_proj.forward(x, context)
    }
}
