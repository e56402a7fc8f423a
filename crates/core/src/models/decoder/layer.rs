//! One pre-norm transformer layer.
//!
//! Letters: `t` tokens of all texts, `h` hidden width.

use burn::tensor::Tensor;

use super::attention::{Angles, SelfAttention};
use super::config::DecoderConfig;
use super::mlp::Mlp;
use super::model::Parts;
use super::norm::Norm;
use crate::adapters::{Module, ModuleMut, SublayerKind};
use crate::error::Result;
use crate::kernels::LayerCache;
use crate::nn::{Context, Dropout, Sublayer};

/// Attention and a feed-forward layer, each of a normalised input and added to the stream of hidden states.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    input_norm: Norm,
    attention: SelfAttention,
    attention_dropout: Dropout,
    attention_end: Sublayer,
    attention_output_norm: Option<Norm>,
    mlp_norm: Norm,
    mlp: Mlp,
    mlp_dropout: Dropout,
    mlp_end: Sublayer,
    mlp_output_norm: Option<Norm>,
    parallel_residual: bool,
}

/// The stream of hidden states between layers: what is in it, and what the last layer still adds, which the next norm
/// does in its own pass.
pub(super) struct Stream {
    pub(super) x: Tensor<2>,
    pub(super) added: Option<Tensor<2>>,
}

impl Stream {
    /// The tensors between layers.
    pub(super) fn into_tensors(self) -> Vec<Tensor<2>> {
        [Some(self.x), self.added].into_iter().flatten().collect()
    }

    /// The hidden states.
    pub(super) fn sum(&self) -> Tensor<2> {
        match &self.added {
            Some(added) => self.x.clone() + added.clone(),
            None => self.x.clone(),
        }
    }
}

impl Layer {
    pub(super) fn load(config: &DecoderConfig, index: usize, parts: &Parts<'_, '_>) -> Result<Self> {
        let names = &config.names;
        let slot = |name: &str| format!("{}.{index}.{name}", names.layers);
        // As AdapterHub's library calls them in every family of decoders.
        let end = |name: &str| Sublayer::new(format!("{}{}", names.model, slot(name)));
        let norm = |name: &str| parts.norm(&slot(name), config.hidden_size);
        let optional = |name: Option<&str>| name.map(norm).transpose();
        Ok(Self {
            input_norm: norm(names.input_norm)?,
            attention: SelfAttention::load(config, index, parts)?,
            attention_dropout: Dropout::new(
                slot("attention_output.dropout"),
                config.dropout.attention_output,
            ),
            attention_end: end("attention_adapters"),
            attention_output_norm: optional(names.attention_output_norm)?,
            mlp_norm: norm(names.mlp_norm)?,
            mlp: Mlp::load(config, index, parts)?,
            mlp_dropout: Dropout::new(slot("mlp.dropout"), config.dropout.feed_forward),
            mlp_end: end("output_adapters"),
            mlp_output_norm: optional(names.mlp_output_norm)?,
            parallel_residual: config.parallel_residual,
        })
    }

    /// # Shapes
    /// `[t, h] -> [t, h]`.
    pub(super) fn forward(
        &self,
        stream: Stream,
        angles: &[Angles],
        caches: Option<&mut [&mut LayerCache]>,
        context: &Context,
    ) -> Result<Stream> {
        let after = |norm: &Option<Norm>, y: Tensor<2>| match norm {
            Some(norm) => norm.forward(y, 1, context),
            None => y,
        };
        // 1. Attention of the normalised stream.
        let (normed, x) = self.input_norm.forward_residual(stream.x, stream.added, context);
        let y = self.attention.forward(normed, angles, caches, context);
        let y = self.attention_dropout.forward(y, context);
        let y = self.attention_end.forward(y, |y| y + x.clone(), context);
        let y = after(&self.attention_output_norm, y);
        // 2. The feed-forward layer, of the same stream or of the stream with the attention in it.
        if self.parallel_residual {
            let z = self
                .mlp
                .forward(self.mlp_norm.forward(x.clone(), 1, context), context)?;
            let z = self.mlp_dropout.forward(z, context);
            // Beside attention there is no stream with the feed-forward layer alone in it.
            let z = self.mlp_end.forward(z, |z| z, context);
            let z = after(&self.mlp_output_norm, z);
            return Ok(Stream {
                x,
                added: Some(y + z),
            });
        }
        let (normed, x) = self.mlp_norm.forward_residual(x, Some(y), context);
        let z = self
            .mlp_dropout
            .forward(self.mlp.forward(normed, context)?, context);
        let z = self.mlp_end.forward(z, |z| z + x.clone(), context);
        Ok(Stream {
            x,
            added: Some(after(&self.mlp_output_norm, z)),
        })
    }

    /// The ends of attention and of the feed-forward layer.
    pub(super) fn ends(&self) -> [(&Sublayer, SublayerKind); 2] {
        [
            (&self.attention_end, SublayerKind::Attention),
            (&self.mlp_end, SublayerKind::FeedForward),
        ]
    }

    /// The modules that adapters can change, in the order of the data flow.
    pub(super) fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>) {
        into.push(self.input_norm.module());
        self.attention.modules(into);
        into.extend(self.attention_output_norm.as_ref().map(Norm::module));
        into.push(self.mlp_norm.module());
        self.mlp.modules(into);
        into.extend(self.mlp_output_norm.as_ref().map(Norm::module));
    }

    /// The same modules, to be changed.
    pub(super) fn modules_mut<'a>(&'a mut self, into: &mut Vec<ModuleMut<'a>>) {
        into.push(self.input_norm.module_mut());
        self.attention.modules_mut(into);
        into.extend(self.attention_output_norm.as_mut().map(Norm::module_mut));
        into.push(self.mlp_norm.module_mut());
        self.mlp.modules_mut(into);
        into.extend(self.mlp_output_norm.as_mut().map(Norm::module_mut));
    }
}
