//! The norm of a family.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::tensor::Tensor;

use super::config::NormKind;
use crate::adapters::{AdapterStack, Module, ModuleMut};
use crate::error::Result;
use crate::nn::{Context, LayerNorm, RmsNorm};
use crate::weights::Loader;

/// Either kind of norm.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a layer has one, which stays where it was made"
)]
pub(super) enum Norm {
    Rms(RmsNorm),
    Layer(LayerNorm),
}

impl Norm {
    /// The norm at a slot over `width` components.
    pub(super) fn load(
        kind: NormKind,
        eps: f64,
        width: usize,
        slot: &str,
        path: &str,
        loader: &Loader<'_>,
    ) -> Result<Self> {
        let weight = loader.tensor(&format!("{path}.weight"), [width])?;
        Ok(match kind {
            NormKind::Rms => Self::Rms(RmsNorm::new(slot, weight, eps)),
            NormKind::RmsPlusOne => Self::Rms(RmsNorm::new(slot, weight, eps).with_offset(1.0)),
            NormKind::Layer => {
                let bias = loader.tensor(&format!("{path}.bias"), [width])?;
                Self::Layer(LayerNorm::new(slot, weight, bias, eps)?)
            }
        })
    }

    /// The norm of each row, changed for each text by its adapters; `rows_per_token` rows belong to each token.
    ///
    /// # Shapes
    /// `[t rows_per_token, h] -> [t rows_per_token, h]`.
    pub(super) fn forward(&self, x: Tensor<2>, rows_per_token: usize, context: &Context) -> Tensor<2> {
        if context.adapts(self.module().slot()) {
            return self.forward_adapted(x, rows_per_token, context);
        }
        match self {
            Self::Rms(norm) => norm.forward(x),
            Self::Layer(norm) => norm.forward(x),
        }
    }

    /// The norm of `x + residual`, and that sum.
    ///
    /// # Shapes
    /// `x [t, h]`, `residual [t, h] -> ([t, h], [t, h])`.
    pub(super) fn forward_residual(
        &self,
        x: Tensor<2>,
        residual: Option<Tensor<2>>,
        context: &Context,
    ) -> (Tensor<2>, Tensor<2>) {
        match self {
            Self::Rms(norm) if !context.adapts(norm.slot()) => norm.forward_residual(x, residual),
            _ => {
                let sum = match residual {
                    Some(residual) => x + residual,
                    None => x,
                };
                (self.forward(sum.clone(), 1, context), sum)
            }
        }
    }

    /// The norm as adapters see it.
    pub(super) fn module(&self) -> Module<'_> {
        match self {
            Self::Rms(norm) => Module::RmsNorm(norm),
            Self::Layer(norm) => Module::LayerNorm(norm),
        }
    }

    pub(super) fn module_mut(&mut self) -> ModuleMut<'_> {
        match self {
            Self::Rms(norm) => ModuleMut::RmsNorm(norm),
            Self::Layer(norm) => ModuleMut::LayerNorm(norm),
        }
    }

    fn forward_adapted(&self, x: Tensor<2>, rows_per_token: usize, context: &Context) -> Tensor<2> {
        let base = match self {
            Self::Rms(norm) => (norm.weight(), None),
            Self::Layer(norm) => (norm.weight(), Some(norm.bias())),
        };
        let slot = self.module().slot().to_owned();
        AdapterStack::norm(
            context,
            &slot,
            rows_per_token,
            x,
            base,
            |x, weight, bias| match (self, bias) {
                (Self::Layer(norm), Some(bias)) => norm.with_parts(weight, bias).forward(x),
                (Self::Layer(norm), None) => norm.with_parts(weight, norm.bias().clone()).forward(x),
                (Self::Rms(norm), _) => norm.with_weight(weight).forward(x),
            },
        )
    }
}
