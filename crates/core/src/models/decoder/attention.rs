//! The attention of a decoder layer with its projections.
//!
//! Letters: `t` tokens of all texts, `h` hidden width, `a` heads of queries, `g` heads of keys and values, `d` width of a
//! head.

use burn::tensor::Tensor;

use super::config::DecoderConfig;
use super::model::Parts;
use super::names::Projections;
use super::norm::Norm;
use crate::adapters::{Module, ModuleMut};
use crate::error::Result;
use crate::kernels::{self, LayerCache};
use crate::nn::{Attention, Context, Linear};

/// Cosines and sines of the angles of one kind of rotation, for the tokens of one pass.
///
/// # Shapes
/// `cos [t, r/2]`, `sin [t, r/2]` for `r` rotated components of each head.
#[derive(Clone, Debug)]
pub(in crate::models) struct Angles {
    pub(super) cos: Tensor<2>,
    pub(super) sin: Tensor<2>,
}

/// Projections, rotation, causal attention and the projection back.
#[derive(Clone, Debug)]
pub(super) struct SelfAttention {
    qkv: Qkv,
    head_norms: Option<(Norm, Norm)>,
    rope: Option<usize>,
    attention: Attention,
    o_proj: Linear,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a layer has one, which stays where it was made"
)]
enum Qkv {
    Separate { q: Linear, k: Linear, v: Linear },
    Stacked(Linear),
    Interleaved(Linear),
}

impl SelfAttention {
    pub(super) fn load(config: &DecoderConfig, index: usize, parts: &Parts<'_, '_>) -> Result<Self> {
        let (names, biases) = (&config.names.attention, config.names.biases);
        let slot = |name: &str| format!("{}.{index}.{name}", config.names.layers);
        let (h, d) = (config.hidden_size, config.head_dim);
        let (q_width, kv_width) = (config.num_attention_heads * d, config.kv_width());
        let project = |name: &str, o: usize| parts.linear(&slot(name), h, o, biases.projections);
        let qkv = match names.projections {
            Projections::Separate(q, k, v) => Qkv::Separate {
                q: project(q, q_width)?,
                k: project(k, kv_width)?,
                v: project(v, kv_width)?,
            },
            Projections::Stacked(name) => Qkv::Stacked(project(name, q_width + 2 * kv_width)?),
            Projections::Interleaved(name) => Qkv::Interleaved(project(name, 3 * q_width)?),
        };
        let head_norms = match names.head_norms {
            Some((q, k)) => Some((parts.norm(&slot(q), d)?, parts.norm(&slot(k), d)?)),
            None => None,
        };
        let layer = config.layers[index];
        let attention = Attention::new(config.num_attention_heads, d)?
            .with_kv_heads(config.num_key_value_heads)?
            .with_scale(layer.attention_scale)
            .with_causal(layer.sliding_window)
            .with_dropout(&slot("attention.dropout"), config.dropout.attention);
        Ok(Self {
            qkv,
            head_norms,
            rope: layer.rope,
            attention,
            o_proj: parts.linear(&slot(names.output), q_width, h, biases.attention_output)?,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            head_dim: d,
        })
    }

    /// # Shapes
    /// `[t, h] -> [t, h]`.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        angles: &[Angles],
        caches: Option<&mut [&mut LayerCache]>,
        context: &Context,
    ) -> Tensor<2> {
        // 1. Query, key, value.
        let [mut q, mut k, v] = self.project(x, context);
        // 2. Norms of each head.
        if let Some((q_norm, k_norm)) = &self.head_norms {
            q = self.by_head(q_norm, q, context);
            k = self.by_head(k_norm, k, context);
        }
        // 3. Rotation.
        if let Some(Angles { cos, sin }) = self.rope.and_then(|rope| angles.get(rope)) {
            q = kernels::rotary(q, self.heads, cos, sin);
            k = kernels::rotary(k, self.kv_heads, cos, sin);
        }
        // 4. Attention and the projection back.
        let mixed = match caches {
            Some(caches) => self.attention.forward_cached(q, k, v, caches, context),
            None => self.attention.forward(q, k, v, None, context),
        };
        self.o_proj.forward(mixed, context)
    }

    /// # Shapes
    /// `[t, h] -> [t, a d], [t, g d], [t, g d]`.
    fn project(&self, x: Tensor<2>, context: &Context) -> [Tensor<2>; 3] {
        let (q_width, kv_width) = (self.attention.width(), self.attention.kv_width());
        match &self.qkv {
            Qkv::Separate { q, k, v } => Linear::forward_each([q, k, v], x, context),
            Qkv::Stacked(qkv) => {
                let y = qkv.forward(x, context); // [t, a d + 2 g d]
                let [t, width] = y.dims();
                let part = |from: usize, to: usize| y.clone().slice([0..t, from..to]);
                [
                    part(0, q_width),
                    part(q_width, q_width + kv_width),
                    part(q_width + kv_width, width),
                ]
            }
            Qkv::Interleaved(qkv) => {
                let y = qkv.forward(x, context);
                let [t, _] = y.dims();
                let y = y.reshape([t, self.heads, 3, self.head_dim]);
                let part = |which: usize| {
                    y.clone()
                        .slice([0..t, 0..self.heads, which..which + 1, 0..self.head_dim])
                        .reshape([t, q_width])
                };
                [part(0), part(1), part(2)]
            }
        }
    }

    /// Normalises each head by itself.
    ///
    /// # Shapes
    /// `[t, a d] -> [t, a d]`.
    fn by_head(&self, norm: &Norm, x: Tensor<2>, context: &Context) -> Tensor<2> {
        let [t, width] = x.dims();
        let heads = width / self.head_dim;
        let x = x.reshape([t * heads, self.head_dim]); // [t a, d]
        norm.forward(x, heads, context).reshape([t, width])
    }

    /// The modules that adapters can change, in the order of the data flow.
    pub(super) fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>) {
        match &self.qkv {
            Qkv::Separate { q, k, v } => into.extend([q, k, v].map(Module::Linear)),
            Qkv::Stacked(qkv) | Qkv::Interleaved(qkv) => into.push(Module::Linear(qkv)),
        }
        if let Some((q, k)) = &self.head_norms {
            into.extend([q, k].map(Norm::module));
        }
        into.push(Module::Linear(&self.o_proj));
    }

    /// The same modules, to be changed.
    pub(super) fn modules_mut<'a>(&'a mut self, into: &mut Vec<ModuleMut<'a>>) {
        match &mut self.qkv {
            Qkv::Separate { q, k, v } => into.extend([q, k, v].map(ModuleMut::Linear)),
            Qkv::Stacked(qkv) | Qkv::Interleaved(qkv) => into.push(ModuleMut::Linear(qkv)),
        }
        if let Some((q, k)) = &mut self.head_norms {
            into.extend([q, k].map(Norm::module_mut));
        }
        into.push(ModuleMut::Linear(&mut self.o_proj));
    }
}
