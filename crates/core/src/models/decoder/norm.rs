//! The norm of a family.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::tensor::Tensor;

use super::config::NormKind;
use crate::error::Result;
use crate::nn::{LayerNorm, RmsNorm};
use crate::weights::Loader;

/// Either kind of norm.
#[derive(Debug)]
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

    /// # Shapes
    /// `[t, h] -> [t, h]`.
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
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
    ) -> (Tensor<2>, Tensor<2>) {
        match self {
            Self::Rms(norm) => norm.forward_residual(x, residual),
            Self::Layer(norm) => {
                let sum = match residual {
                    Some(residual) => x + residual,
                    None => x,
                };
                (norm.forward(sum.clone()), sum)
            }
        }
    }
}
