//! Root mean square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467, equation 4), with the residual sum that
//! precedes it.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::tensor::Tensor;

/// `y / sqrt(mean(y^2) + eps) * weight` of each row of `y = x + residual`, and `y` itself, which the residual stream of a
/// pre-norm decoder goes on with.
///
/// # Shapes
///
/// `x [t, h]`, `residual [t, h]`, `weight [h] -> ([t, h], [t, h])`.
#[must_use]
pub fn rms_norm(
    x: Tensor<2>,
    residual: Option<Tensor<2>>,
    weight: &Tensor<1>,
    eps: f64,
) -> (Tensor<2>, Tensor<2>) {
    #[cfg(feature = "autodiff")]
    if super::norm_gradient::is_tracked(&x, residual.as_ref(), [weight]) {
        return super::norm_gradient::rms_norm(x, residual, weight, eps);
    }
    #[cfg(feature = "cpu")]
    let (x, residual) = {
        use super::cpu::{self, from_flex, into_flex};
        let fits = weight.dims() == [x.dims()[1]]
            && residual
                .as_ref()
                .is_none_or(|residual| residual.dims() == x.dims());
        let residual = residual.map(into_flex);
        match (into_flex(x), residual, into_flex(weight.clone())) {
            (Ok(x), residual @ (None | Some(Ok(_))), Ok(weight)) if fits => {
                let residual = residual.and_then(Result::ok);
                let (normed, sum) = cpu::rms_norm(x, residual, weight, eps);
                return (from_flex(normed), from_flex(sum));
            }
            (x, residual, _) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(x), residual.map(tensor))
            }
        }
    };
    composed(x, residual, weight, eps)
}

pub(super) fn composed(
    x: Tensor<2>,
    residual: Option<Tensor<2>>,
    weight: &Tensor<1>,
    eps: f64,
) -> (Tensor<2>, Tensor<2>) {
    let [t, _] = x.dims();
    if t == 0 {
        return (x.clone(), x);
    }
    let y = match residual {
        Some(residual) => x + residual,
        None => x,
    };
    let mean_square = (y.clone() * y.clone()).mean_dim(1); // [t, 1]
    let normed = y.clone() / (mean_square + eps).sqrt() * weight.clone().unsqueeze();
    (normed, y)
}
