//! What an adapter does to one module.
//!
//! Letters: `t` tokens, `i` input width, `o` output width, `v` rows of a table, `h` hidden width.

use burn::tensor::Tensor;

use super::{LowRank, LowRankEmbedding};
use crate::kernels::{self, LinearWeight};
use crate::nn::Linear;

/// What an adapter does to a linear layer; the parts act in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct LinearChange {
    /// Another weight in place of the base's, `[o, i]`.
    pub weight: Option<LinearWeight>,
    /// Another bias in place of the base's, `[o]`.
    pub bias: Option<Tensor<1>>,
    /// LoRA or DoRA.
    pub low_rank: Option<LowRank>,
    /// (IA)³.
    pub rescaling: Option<Rescaling>,
}

/// (IA)³ (Liu et al. 2022, arXiv:2205.05638, section 3.3): components are multiplied by learned numbers.
#[derive(Clone, Debug)]
pub enum Rescaling {
    /// The layer's input, `[i]`, as for the second layer of a feed-forward network.
    Input(Tensor<1>),
    /// The layer's output with its bias, `[o]`, as for keys and values.
    Output(Tensor<1>),
}

/// What an adapter does to a table of embeddings; the parts act in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingChange {
    /// Another table in place of the base's, `[v, h]`.
    pub weight: Option<Tensor<2>>,
    /// LoRA or DoRA.
    pub low_rank: Option<LowRankEmbedding>,
    /// The rows of virtual tokens, `[n, h]`, which stand before each text.
    pub prompt: Option<Tensor<2>>,
}

/// What an adapter does to a norm.
#[derive(Clone, Debug, Default)]
pub struct NormChange {
    /// Another weight in place of the base's, `[h]`.
    pub weight: Option<Tensor<1>>,
    /// Another bias in place of the base's, `[h]`.
    pub bias: Option<Tensor<1>>,
}

/// A layer's output on the way through the adapters of a stack.
pub(super) struct Output {
    /// Nothing yet where the base's product was not needed so far.
    pub(super) y: Option<Tensor<2>>,
    /// What `y` contains of a bias.
    pub(super) bias: Option<Tensor<1>>,
    /// Whether `y` is still the base's.
    pub(super) untouched: bool,
    /// In a pass that trains: which inputs of the next side path are left out.
    pub(super) dropout_key: Option<u64>,
}

impl LinearChange {
    /// Whether it leaves the layer as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weight.is_none() && self.bias.is_none() && self.low_rank.is_none() && self.rescaling.is_none()
    }

    /// Takes a layer's output one adapter further. A whole weight or bias counts as its difference from the base's, so
    /// that with a weight of 1 it takes the base's place.
    ///
    /// # Shapes
    ///
    /// `x [t, i]`, `output [t, o] -> [t, o]`.
    pub(super) fn apply(&self, layer: &Linear, x: &Tensor<2>, output: Output, weight: f64) -> Output {
        let whole = output.untouched && is_one(weight);
        let mut output = output;
        if let Some(other) = &self.weight {
            output.y = Some(if whole {
                let bias = self.bias.as_ref().or(output.bias.as_ref()).cloned();
                let y = kernels::linear(x.clone(), other, bias.as_ref(), None);
                output.bias = bias;
                y
            } else {
                let base = kernels::linear(x.clone(), layer.linear_weight(), None, None);
                let difference = kernels::linear(x.clone(), other, None, None) - base;
                output.take(layer, x) + difference * weight
            });
        }
        if let Some(bias) = &self.bias
            && !(whole && self.weight.is_some())
        {
            let difference = match layer.bias() {
                Some(base) => bias.clone() - base.clone(),
                None => bias.clone(),
            } * weight;
            output.y = Some(output.take(layer, x) + difference.clone().unsqueeze());
            output.bias = Some(match output.bias.take() {
                Some(bias) => bias + difference,
                None => difference,
            });
        }
        if let Some(pair) = &self.low_rank {
            let y = output.take(layer, x);
            let key = output.dropout_key;
            output.dropout_key = key.map(|key| key.rotate_left(1)); // the next one leaves out others
            output.y = Some(pair.apply(x.clone(), y, output.bias.as_ref(), weight, key));
        }
        match &self.rescaling {
            Some(Rescaling::Output(factor)) => {
                let factor = (factor.clone() - 1.0) * weight + 1.0; // [o]
                output.y = Some(output.take(layer, x) * factor.clone().unsqueeze());
                output.bias = output.bias.map(|bias| bias * factor);
            }
            Some(Rescaling::Input(factor)) if whole && output.y.is_none() => {
                output.y = Some(layer.base(x.clone() * factor.clone().unsqueeze()));
            }
            Some(Rescaling::Input(factor)) => {
                // The difference that the rescaled input makes, through the weight that this adapter has or leaves.
                let difference = x.clone() * ((factor.clone() - 1.0) * weight).unsqueeze();
                let through = self.weight.as_ref().unwrap_or_else(|| layer.linear_weight());
                output.y = Some(output.take(layer, x) + kernels::linear(difference, through, None, None));
            }
            None => {}
        }
        output.untouched = false;
        output
    }

    /// Takes a layer's weight and bias one adapter further, as [`apply`](Self::apply) does with its output.
    ///
    /// # Shapes
    ///
    /// `w [o, i]`, `b [o]`.
    pub(super) fn merge(
        &self,
        layer: &Linear,
        w: Tensor<2>,
        b: Option<Tensor<1>>,
        (weight, untouched): (f64, bool),
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        // What takes the place of an untouched base does so to the last bit.
        let whole = untouched && is_one(weight);
        let (mut w, mut b) = (w, b);
        match &self.weight {
            Some(other) if whole => w = other.to_tensor(),
            Some(other) => w = w + (other.to_tensor() - layer.weight()) * weight, // [o, i]
            None => {}
        }
        if let Some(bias) = self.bias.as_ref().filter(|_| whole) {
            b = Some(bias.clone());
        } else if let Some(bias) = &self.bias {
            let difference = match layer.bias() {
                Some(base) => bias.clone() - base.clone(),
                None => bias.clone(),
            };
            b = plus(b, difference * weight);
        }
        if let Some(pair) = &self.low_rank {
            w = pair.merge(w, weight);
            if let Some(bias) = pair.bias() {
                b = plus(b, bias.clone() * (pair.scaling() * weight));
            }
        }
        match &self.rescaling {
            Some(Rescaling::Output(factor)) => {
                let factor = (factor.clone() - 1.0) * weight + 1.0;
                w = w * factor.clone().unsqueeze_dim::<2>(1);
                b = b.map(|b| b * factor);
            }
            Some(Rescaling::Input(factor)) => {
                let factor = ((factor.clone() - 1.0) * weight).unsqueeze::<2>();
                let through = match &self.weight {
                    Some(other) => other.to_tensor(),
                    None => layer.weight(),
                };
                w = w + through * factor;
            }
            None => {}
        }
        (w, b)
    }
}

impl Output {
    /// The output so far, the base's if nothing was computed yet.
    pub(super) fn take(&mut self, layer: &Linear, x: &Tensor<2>) -> Tensor<2> {
        self.y.take().unwrap_or_else(|| layer.base(x.clone()))
    }
}

impl EmbeddingChange {
    /// Takes looked-up rows one adapter further; `base` are the rows without adapters, and `y` the same for the first.
    ///
    /// # Shapes
    ///
    /// `ids [t]`, `base [t, h]`, `y [t, h] -> [t, h]`.
    pub(super) fn apply(
        &self,
        ids: &[u32],
        base: &Tensor<2>,
        y: Tensor<2>,
        weight: f64,
        first: bool,
    ) -> Tensor<2> {
        let y = match &self.weight {
            Some(table) if first && is_one(weight) => kernels::embedding(table, ids),
            Some(table) => y + (kernels::embedding(table, ids) - base.clone()) * weight,
            None => y,
        };
        match &self.low_rank {
            Some(pair) => pair.apply(ids, y, weight),
            None => y,
        }
    }

    /// Takes a table one adapter further; `first` says that it is still the base's.
    ///
    /// # Shapes
    ///
    /// `base [v, h]`, `table [v, h] -> [v, h]`.
    pub(super) fn merge(&self, base: &Tensor<2>, table: Tensor<2>, weight: f64, first: bool) -> Tensor<2> {
        let table = match &self.weight {
            Some(other) if first && is_one(weight) => other.clone(),
            Some(other) => table + (other.clone() - base.clone()) * weight,
            None => table,
        };
        match &self.low_rank {
            Some(pair) => pair.merge(table, weight),
            None => table,
        }
    }
}

impl NormChange {
    /// Takes a norm's weight and bias one adapter further; `first` says that they are still the base's.
    ///
    /// # Shapes
    ///
    /// All `[h]`.
    pub(super) fn merge(
        &self,
        base: (&Tensor<1>, Option<&Tensor<1>>),
        parts: (Tensor<1>, Option<Tensor<1>>),
        weight: f64,
        first: bool,
    ) -> (Tensor<1>, Option<Tensor<1>>) {
        let step = |part: Tensor<1>, base: &Tensor<1>, other: &Option<Tensor<1>>| match other {
            Some(other) if first && is_one(weight) => other.clone(),
            Some(other) => part + (other.clone() - base.clone()) * weight,
            None => part,
        };
        let bias = match (parts.1, base.1) {
            (Some(bias), Some(base)) => Some(step(bias, base, &self.bias)),
            (bias, _) => bias,
        };
        (step(parts.0, base.0, &self.weight), bias)
    }
}

fn plus(bias: Option<Tensor<1>>, more: Tensor<1>) -> Option<Tensor<1>> {
    Some(match bias {
        Some(bias) => bias + more,
        None => more,
    })
}

/// Whether an adapter is taken exactly once.
pub(super) fn is_one(weight: f64) -> bool {
    weight.to_bits() == 1.0f64.to_bits()
}
