//! Layer normalisation with checkpoint names.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::tensor::Tensor;

use super::Context;
use crate::adapters::AdapterStack;
use crate::{Error, Result, kernels};

/// Brings each row to mean 0 and variance 1, then scales and shifts its components.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, nn::LayerNorm};
///
/// let device = device::cpu();
/// let norm = LayerNorm::new(
///     "embeddings.LayerNorm",
///     Tensor::ones([2], &device),
///     Tensor::zeros([2], &device),
///     1e-12,
/// )?;
/// let y = norm.forward(Tensor::from_floats([[1.0, 3.0]], &device));
/// assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [-1.0, 1.0]);
/// # }
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNorm {
    slot: String,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
}

impl LayerNorm {
    /// A norm with the checkpoint's weight and bias; `eps` is `layer_norm_eps` of `config.json`, added to the variance.
    ///
    /// # Shapes
    ///
    /// `weight [h]`, `bias [h]`.
    ///
    /// # Errors
    ///
    /// [`Error::Dimension`] when weight and bias differ in length.
    pub fn new(slot: impl Into<String>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Result<Self> {
        let slot = slot.into();
        let ([expected], [found]) = (weight.dims(), bias.dims());
        if expected != found {
            return Err(Error::Dimension {
                what: format!("{slot}.bias"),
                expected,
                found,
            });
        }
        Ok(Self {
            slot,
            weight,
            bias,
            eps,
        })
    }

    /// The module path in the checkpoint.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// The weight as the checkpoint stores it.
    ///
    /// # Shapes
    ///
    /// `-> [h]`.
    #[must_use]
    pub fn weight(&self) -> &Tensor<1> {
        &self.weight
    }

    /// The bias.
    ///
    /// # Shapes
    ///
    /// `-> [h]`.
    #[must_use]
    pub fn bias(&self) -> &Tensor<1> {
        &self.bias
    }

    /// The same norm with other weights.
    pub(crate) fn with_parts(&self, weight: Tensor<1>, bias: Tensor<1>) -> Self {
        Self {
            slot: self.slot.clone(),
            weight,
            bias,
            eps: self.eps,
        }
    }

    /// Normalises each row.
    ///
    /// # Shapes
    ///
    /// `[t, h] -> [t, h]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::layer_norm(x, None, &self.weight, &self.bias, self.eps)
    }

    /// Normalises each row of `x + residual` in one pass.
    ///
    /// # Shapes
    ///
    /// `x [t, h]`, `residual [t, h] -> [t, h]`.
    #[must_use]
    pub fn forward_residual(&self, x: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        kernels::layer_norm(x, Some(residual), &self.weight, &self.bias, self.eps)
    }

    /// Normalises each row of `x + residual`, each text with the norm that its adapters make.
    ///
    /// # Shapes
    ///
    /// `x [t, h]`, `residual [t, h] -> [t, h]`.
    #[must_use]
    pub fn forward_adapted(&self, x: Tensor<2>, residual: Option<Tensor<2>>, context: &Context) -> Tensor<2> {
        match (context.adapts(&self.slot), residual) {
            (false, None) => self.forward(x),
            (false, Some(residual)) => self.forward_residual(x, residual),
            (true, residual) => {
                let sum = match residual {
                    Some(residual) => x + residual,
                    None => x,
                };
                let base = (&self.weight, Some(&self.bias));
                AdapterStack::norm(context, &self.slot, 1, sum, base, |x, weight, bias| {
                    let bias = bias.unwrap_or_else(|| self.bias.clone());
                    self.with_parts(weight, bias).forward(x)
                })
            }
        }
    }
}
