//! The affine map of a linear layer with its activation.
//!
//! Letters: `t` tokens, `i` input width, `o` output width.

use burn::tensor::Tensor;

use super::{Activation, LinearWeight, activation};

/// `activation(x weight^T + bias)`.
///
/// # Shapes
///
/// `x [t, i]`, `weight [o, i]`, `bias [o] -> [t, o]`.
#[must_use]
pub fn linear(
    x: Tensor<2>,
    weight: &LinearWeight,
    bias: Option<&Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    let x = match weight.panels() {
        Some(panels) if x.dims()[1] == panels.k() => {
            use super::cpu::{self, from_flex, into_flex};
            match (into_flex(x), bias.map(|bias| into_flex(bias.clone()))) {
                (Ok(x), None) => return from_flex(cpu::linear(x, panels, None, activation)),
                (Ok(x), Some(Ok(bias))) => return from_flex(cpu::linear(x, panels, Some(&bias), activation)),
                (x, _) => x.map_or_else(|tensor| tensor, from_flex),
            }
        }
        _ => x,
    };
    composed(x, weight, bias, activation)
}

/// Several affine maps of the same rows, such as query, key and value.
///
/// # Shapes
///
/// `x [t, i]`, each `weight [o, i]`, `bias [o] -> [t, o]` of each.
#[must_use]
pub fn linear_each<const N: usize>(
    x: Tensor<2>,
    layers: [(&LinearWeight, Option<&Tensor<1>>); N],
) -> [Tensor<2>; N] {
    layers.map(|(weight, bias)| linear(x.clone(), weight, bias, None))
}

/// `activation(gate) * up` of two affine maps of the same rows.
///
/// # Shapes
///
/// `x [t, i]`, each `weight [o, i]`, `bias [o] -> [t, o]`.
#[must_use]
pub fn linear_gated(
    x: Tensor<2>,
    gate: (&LinearWeight, Option<&Tensor<1>>),
    up: (&LinearWeight, Option<&Tensor<1>>),
    activation: Activation,
) -> Tensor<2> {
    let [gate, up] = linear_each(x, [gate, up]);
    super::gated(gate, up, activation)
}

pub(super) fn composed(
    x: Tensor<2>,
    weight: &LinearWeight,
    bias: Option<&Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<2> {
    let [t, _] = x.dims();
    let [o, _] = weight.dims();
    if t == 0 {
        return Tensor::zeros([0, o], &x.device());
    }
    let y = x.matmul(weight.to_tensor().transpose()); // [t, o]; the transpose is a view
    let y = match bias {
        Some(bias) => y + bias.clone().unsqueeze(),
        None => y,
    };
    match activation {
        Some(kind) => activation::composed(y, kind),
        None => y,
    }
}
