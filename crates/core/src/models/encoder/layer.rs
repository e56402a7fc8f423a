//! One post-norm transformer layer (Vaswani et al. 2017, arXiv:1706.03762, section 3.1).
//!
//! Letters: `t` tokens of all texts, `h` hidden width, `f` width of the feed-forward layer, `a` heads, `m` side of the
//! position bias.

use burn::tensor::Tensor;

use super::EncoderConfig;
use super::embeddings::layer_norm;
use super::families::LayerNames;
use crate::error::Result;
use crate::nn::{Activation, Attention, Context, LayerNorm, Linear};
use crate::weights::Loader;

/// Attention, then a feed-forward layer, each added to its input and normalised.
#[derive(Debug)]
pub(super) struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention: Attention,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    hidden_act: Activation,
    output: Linear,
    output_norm: LayerNorm,
}

impl Layer {
    pub(super) fn load(
        config: &EncoderConfig,
        names: &LayerNames,
        index: usize,
        loader: &Loader<'_>,
    ) -> Result<Self> {
        let (h, f) = (config.hidden_size, config.intermediate_size);
        let slot = |name: &str| format!("{}.{index}.{name}", names.layer);
        let dense = |name: &str, i: usize, o: usize| linear(loader, &slot(name), i, o);
        Ok(Self {
            query: dense(names.query, h, h)?,
            key: dense(names.key, h, h)?,
            value: dense(names.value, h, h)?,
            attention: Attention::new(config.num_attention_heads, config.head_dim())?,
            attention_output: dense(names.attention_output, h, h)?,
            attention_norm: layer_norm(config, loader, &slot(names.attention_norm))?,
            intermediate: dense(names.intermediate, h, f)?,
            hidden_act: config.hidden_act,
            output: dense(names.output, f, h)?,
            output_norm: layer_norm(config, loader, &slot(names.output_norm))?,
        })
    }

    /// # Shapes
    /// `x [t, h]`, `position_bias [a, m, m] -> [t, h]`.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        position_bias: Option<&Tensor<3>>,
        context: &Context,
    ) -> Tensor<2> {
        // 1. Attention, added to its input and normalised.
        let [q, k, v] = Linear::forward_each([&self.query, &self.key, &self.value], x.clone(), context);
        let mixed = self.attention.forward(q, k, v, position_bias, context); // [t, h]
        let y = self.attention_output.forward(mixed, context);
        let x = self.attention_norm.forward_residual(y, x);
        // 2. Feed-forward, added to its input and normalised.
        let y = self
            .intermediate
            .forward_activated(x.clone(), self.hidden_act, context); // [t, f]
        let y = self.output.forward(y, context); // [t, h]
        self.output_norm.forward_residual(y, x)
    }
}

/// A linear layer from `i` to `o` components, with its bias.
pub(in crate::models) fn linear(loader: &Loader<'_>, slot: &str, i: usize, o: usize) -> Result<Linear> {
    let weight = loader.tensor(&format!("{slot}.weight"), [o, i])?;
    let bias = loader.tensor(&format!("{slot}.bias"), [o])?;
    Linear::new(slot, weight, Some(bias))
}
