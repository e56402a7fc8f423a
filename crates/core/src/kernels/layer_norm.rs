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
    #[cfg(feature = "autodiff")]
    if super::norm_gradient::is_tracked(&x, residual.as_ref(), [weight, bias]) {
        return super::norm_gradient::layer_norm(x, residual, weight, bias, eps);
    }
    #[cfg(feature = "cpu")]
    let (x, residual) = {
        use super::cpu::{self, from_flex, into_flex};
        let [_, h] = x.dims();
        let fits = weight.dims() == [h]
            && bias.dims() == [h]
            && residual
                .as_ref()
                .is_none_or(|residual| residual.dims() == x.dims());
        let residual = residual.map(into_flex);
        match (
            into_flex(x),
            residual,
            into_flex(weight.clone()),
            into_flex(bias.clone()),
        ) {
            (Ok(x), None, Ok(weight), Ok(bias)) if fits => {
                return from_flex(cpu::layer_norm(x, None, &weight, &bias, eps));
            }
            (Ok(x), Some(Ok(residual)), Ok(weight), Ok(bias)) if fits => {
                return from_flex(cpu::layer_norm(x, Some(residual), &weight, &bias, eps));
            }
            (x, residual, _, _) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(x), residual.map(tensor))
            }
        }
    };
    composed(x, residual, weight, bias, eps)
}

pub(super) fn composed(
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
