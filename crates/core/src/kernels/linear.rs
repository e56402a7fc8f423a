//! The affine map of a linear layer with its activation.
//!
//! Letters: `t` tokens, `i` input width, `o` output width.

use burn::tensor::Tensor;

use super::{Activation, activate};

/// `activation(x weight^T + bias)`, with the weight as checkpoints store it.
///
/// # Shapes
///
/// `x [t, i]`, `weight [o, i]`, `bias [o] -> [t, o]`.
#[must_use]
pub fn linear(
    x: Tensor<2>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<2> {
    composed(x, weight, bias, activation)
}

fn composed(
    x: Tensor<2>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<2> {
    let [t, _] = x.dims();
    if t == 0 {
        let [o, _] = weight.dims();
        return Tensor::zeros([0, o], &x.device());
    }
    let y = x.matmul(weight.clone().transpose()); // a view of the weight, not a copy
    let y = match bias {
        Some(bias) => y + bias.clone().unsqueeze(),
        None => y,
    };
    match activation {
        Some(activation) => activate(y, activation),
        None => y,
    }
}
