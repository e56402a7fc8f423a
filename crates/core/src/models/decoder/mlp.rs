//! The feed-forward layer of a decoder layer.
//!
//! Letters: `t` tokens of all texts, `h` hidden width, `f` width of the feed-forward layer.

use burn::tensor::Tensor;

use super::config::DecoderConfig;
use super::experts::Experts;
use super::model::Parts;
use super::names::MlpNames;
use crate::adapters::{Module, ModuleMut};
use crate::error::Result;
use crate::kernels;
use crate::nn::{Activation, Context, Linear};

/// Plain, gated, or a mixture of gated ones.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a layer has one, which stays where it was made"
)]
pub(super) enum Mlp {
    Plain {
        up: Linear,
        hidden_act: Activation,
        down: Linear,
    },
    Gated(GatedMlp),
    GatedStacked {
        gate_up: Linear,
        hidden_act: Activation,
        down: Linear,
    },
    Experts(Experts),
}

/// `down(activation(gate(x)) * up(x))` (Shazeer 2020, arXiv:2002.05202, equation 6).
#[derive(Clone, Debug)]
pub(super) struct GatedMlp {
    pub(super) gate_proj: Linear,
    pub(super) up_proj: Linear,
    pub(super) hidden_act: Activation,
    pub(super) down_proj: Linear,
}

impl Mlp {
    pub(super) fn load(config: &DecoderConfig, index: usize, parts: &Parts<'_, '_>) -> Result<Self> {
        let slot = |name: &str| format!("{}.{index}.{name}", config.names.layers);
        let (h, f, hidden_act) = (config.hidden_size, config.intermediate_size, config.hidden_act);
        let dense = |name: &str, i: usize, o: usize| parts.linear(&slot(name), i, o, config.names.biases.mlp);
        Ok(match config.names.mlp {
            MlpNames::Plain { up, down } => Self::Plain {
                up: dense(up, h, f)?,
                hidden_act,
                down: dense(down, f, h)?,
            },
            MlpNames::Gated { gate, up, down } => Self::Gated(GatedMlp {
                gate_proj: dense(gate, h, f)?,
                up_proj: dense(up, h, f)?,
                hidden_act,
                down_proj: dense(down, f, h)?,
            }),
            MlpNames::GatedStacked { gate_up, down } => Self::GatedStacked {
                gate_up: dense(gate_up, h, 2 * f)?,
                hidden_act,
                down: dense(down, f, h)?,
            },
            MlpNames::Experts { .. } => Self::Experts(Experts::load(config, index, parts)?),
        })
    }

    /// # Shapes
    /// `[t, h] -> [t, h]`.
    pub(super) fn forward(&self, x: Tensor<2>, context: &Context) -> Result<Tensor<2>> {
        Ok(match self {
            Self::Plain { up, hidden_act, down } => {
                let y = up.forward_activated(x, *hidden_act, context); // [t, f]
                down.forward(y, context)
            }
            Self::Gated(mlp) => mlp.forward(x, context),
            Self::GatedStacked {
                gate_up,
                hidden_act,
                down,
            } => {
                let y = gate_up.forward(x, context); // [t, 2 f]
                let [t, width] = y.dims();
                let gate = y.clone().slice([0..t, 0..width / 2]);
                let up = y.slice([0..t, width / 2..width]);
                down.forward(kernels::gated(gate, up, *hidden_act), context)
            }
            Self::Experts(experts) => experts.forward(x, context)?,
        })
    }

    /// The modules that adapters can change, in the order of the data flow.
    pub(super) fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>) {
        match self {
            Self::Plain { up, down, .. } => into.extend([up, down].map(Module::Linear)),
            Self::Gated(mlp) => mlp.modules(into),
            Self::GatedStacked { gate_up, down, .. } => into.extend([gate_up, down].map(Module::Linear)),
            Self::Experts(experts) => experts.modules(into),
        }
    }

    /// The same modules, to be changed.
    pub(super) fn modules_mut<'a>(&'a mut self, into: &mut Vec<ModuleMut<'a>>) {
        match self {
            Self::Plain { up, down, .. } => into.extend([up, down].map(ModuleMut::Linear)),
            Self::Gated(mlp) => mlp.modules_mut(into),
            Self::GatedStacked { gate_up, down, .. } => into.extend([gate_up, down].map(ModuleMut::Linear)),
            Self::Experts(experts) => experts.modules_mut(into),
        }
    }
}

impl GatedMlp {
    /// # Shapes
    /// `[t, h] -> [t, h]`.
    pub(super) fn forward(&self, x: Tensor<2>, context: &Context) -> Tensor<2> {
        let y = Linear::forward_gated(&self.gate_proj, &self.up_proj, x, self.hidden_act, context); // [t, f]
        self.down_proj.forward(y, context)
    }

    /// The modules that adapters can change, in the order of the data flow.
    pub(super) fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>) {
        into.extend([&self.gate_proj, &self.up_proj, &self.down_proj].map(Module::Linear));
    }

    /// The same modules, to be changed.
    pub(super) fn modules_mut<'a>(&'a mut self, into: &mut Vec<ModuleMut<'a>>) {
        into.extend([&mut self.gate_proj, &mut self.up_proj, &mut self.down_proj].map(ModuleMut::Linear));
    }
}
