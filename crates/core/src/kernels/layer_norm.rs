//! Layer normalisation (Ba, Kiros and Hinton 2016, arXiv:1607.06450, equation 4), with the residual sum that precedes it.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::tensor::Tensor;

/// `(y - mean) / sqrt(variance + eps) * weight + bias` of each row of `y = x + residual`; the variance is the biased one.
///
/// # Shapes
///
/// `x [t, h]`, `residual [t, h]`, `weight [h]`, `bias [h] -> [t, h]`.
#[must_use]
pub fn layer_norm(
    x: Tensor<2>,
    residual: Option<Tensor<2>>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    eps: f64,
) -> Tensor<2> {
    composed(x, residual, weight, bias, eps)
}

fn composed(
    x: Tensor<2>,
    residual: Option<Tensor<2>>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    eps: f64,
) -> Tensor<2> {
    let [t, _] = x.dims();
    if t == 0 {
        return x;
    }
    let y = match residual {
        Some(residual) => x + residual,
        None => x,
    };
    let centred = y.clone() - y.mean_dim(1); // [t, h]
    let variance = (centred.clone() * centred.clone()).mean_dim(1); // [t, 1]
    centred / (variance + eps).sqrt() * weight.clone().unsqueeze() + bias.clone().unsqueeze()
}
