//! Pointwise non-linearities, as `config.json` names them in `hidden_act`.

use std::str::FromStr;

use burn::tensor::{Tensor, activation};

use crate::{Error, Result};

/// A pointwise non-linearity.
///
/// # Example
///
/// ```
/// use ragtune_core::nn::Activation;
///
/// assert_eq!("gelu_new".parse::<Activation>()?, Activation::GeluTanh);
/// assert!("gelo".parse::<Activation>().is_err());
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// `x Phi(x)` with the exact error function (Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2).
    Gelu,
    /// The tanh form of the same: `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// Every name that checkpoints use, with what it means.
    const NAMES: [(&'static str, Self); 9] = [
        ("gelu", Self::Gelu),
        ("gelu_python", Self::Gelu),
        ("gelu_new", Self::GeluTanh),
        ("gelu_fast", Self::GeluTanh),
        ("gelu_pytorch_tanh", Self::GeluTanh),
        ("relu", Self::Relu),
        ("silu", Self::Silu),
        ("swish", Self::Silu),
        ("tanh", Self::Tanh),
    ];

    /// The names that [`str::parse`] knows.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::NAMES.iter().map(|(name, _)| *name).collect()
    }

    /// The name that checkpoints most often use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_new",
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
        }
    }

    /// Applies the function to every component.
    ///
    /// # Shapes
    ///
    /// `[...] -> [...]`, any shape.
    #[must_use]
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        activate(x, self)
    }
}

impl FromStr for Activation {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::UnknownActivation`] lists the names that exist.
    fn from_str(name: &str) -> Result<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, activation)| *activation)
            .ok_or_else(|| Error::UnknownActivation {
                found: name.to_owned(),
                known: Self::names(),
            })
    }
}

/// Applies `kind` to every component.
///
/// # Shapes
///
/// `[...] -> [...]`, any shape.
#[must_use]
pub fn activate<const D: usize>(x: Tensor<D>, kind: Activation) -> Tensor<D> {
    #[cfg(feature = "autodiff")]
    if x.is_tracked() {
        return super::pointwise_gradient::activate(x, kind);
    }
    #[cfg(feature = "cpu")]
    let x = match super::cpu::into_flex(x) {
        Ok(x) => return super::cpu::from_flex(super::cpu::activate(x, kind)),
        Err(x) => x,
    };
    composed(x, kind)
}

pub(super) fn composed<const D: usize>(x: Tensor<D>, kind: Activation) -> Tensor<D> {
    match kind {
        Activation::Gelu => activation::gelu(x),
        Activation::GeluTanh => activation::gelu_approximate(x),
        Activation::Relu => activation::relu(x),
        Activation::Silu => activation::silu(x),
        Activation::Tanh => activation::tanh(x),
    }
}
