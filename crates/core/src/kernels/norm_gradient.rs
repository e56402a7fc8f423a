//! Normalisations where gradients are recorded. Only their input is kept; means and lengths are computed again.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::tensor::Tensor;

use super::gradient::{self, Gradient, Input};
use super::linear_gradient::column_sums;

/// Whether a gradient is to go back through the norm.
pub(super) fn is_tracked<const N: usize>(
    x: &Tensor<2>,
    residual: Option<&Tensor<2>>,
    parameters: [&Tensor<1>; N],
) -> bool {
    x.is_tracked()
        || residual.is_some_and(Tensor::is_tracked)
        || parameters.into_iter().any(Tensor::is_tracked)
}

/// `y / sqrt(mean(y^2) + eps) * weight` of each row of `y = x + residual`, and `y` itself.
///
/// # Shapes
///
/// `x [t, h]`, `residual [t, h]`, `weight [h] -> ([t, h], [t, h])`.
pub(super) fn rms_norm(
    x: Tensor<2>,
    residual: Option<Tensor<2>>,
    weight: &Tensor<1>,
    eps: f64,
) -> (Tensor<2>, Tensor<2>) {
    let plain = weight.clone().inner();
    let (tracked, y) = sum(x, residual);
    let (normed, y) = super::rms_norm(y, None, &plain, eps);
    let inputs = [Input::from(&tracked), Input::from(weight)];
    let normed = gradient::record(inputs, normed, move |dy: Tensor<2>, [y_wanted, weight_wanted]| {
        let found = rms_norm_backward(y.clone(), plain.clone(), eps, dy, weight_wanted);
        [
            y_wanted.then(|| Gradient::from(found.y)),
            found.weight.filter(|_| weight_wanted).map(Gradient::from),
        ]
    });
    (normed, tracked)
}

/// `(y - mean) / sqrt(variance + eps) * weight + bias` of each row of `y = x + residual`.
///
/// # Shapes
///
/// `x [t, h]`, `residual [t, h]`, `weight [h]`, `bias [h] -> [t, h]`.
pub(super) fn layer_norm(
    x: Tensor<2>,
    residual: Option<Tensor<2>>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    eps: f64,
) -> Tensor<2> {
    let (scale, shift) = (weight.clone().inner(), bias.clone().inner());
    let (tracked, y) = sum(x, residual);
    let normed = super::layer_norm(y.clone(), None, &scale, &shift, eps);
    let inputs = [Input::from(&tracked), Input::from(weight), Input::from(bias)];
    gradient::record(
        inputs,
        normed,
        move |dy: Tensor<2>, [y_wanted, weight_wanted, bias_wanted]| {
            let parameters_wanted = weight_wanted || bias_wanted;
            let found = layer_norm_backward(y.clone(), scale.clone(), eps, dy, parameters_wanted);
            [
                y_wanted.then(|| Gradient::from(found.y)),
                found.weight.filter(|_| weight_wanted).map(Gradient::from),
                found.bias.filter(|_| bias_wanted).map(Gradient::from),
            ]
        },
    )
}

/// `x + residual` with its place in the graph, and without.
fn sum(x: Tensor<2>, residual: Option<Tensor<2>>) -> (Tensor<2>, Tensor<2>) {
    let Some(residual) = residual else {
        return (x.clone(), x.inner());
    };
    let inputs = [Input::from(&x), Input::from(&residual)];
    let y = super::sum::sum(x.inner(), residual.inner());
    let tracked = gradient::record(inputs, y.clone(), |dy: Tensor<2>, wanted| {
        wanted.map(|wanted| wanted.then(|| Gradient::from(dy.clone())))
    });
    (tracked, y)
}

/// The gradients of a norm's input, weight and bias.
pub(super) struct NormGradients {
    pub(super) y: Tensor<2>,
    pub(super) weight: Option<Tensor<1>>,
    pub(super) bias: Option<Tensor<1>>,
}

#[cfg(feature = "cpu")]
fn fused(
    norm: super::cpu::Norm,
    [y, dy]: [Tensor<2>; 2],
    weight: Tensor<1>,
    eps: f64,
    parameters_wanted: bool,
) -> Result<NormGradients, [Tensor<2>; 2]> {
    use super::cpu::{self, from_flex, into_flex};
    match (into_flex(y), into_flex(dy), into_flex(weight)) {
        (Ok(y), Ok(dy), Ok(weight)) => {
            let found = cpu::norm_backward(norm, y, weight, eps, dy, parameters_wanted);
            Ok(NormGradients {
                y: from_flex(found.y),
                weight: found.weight.map(from_flex),
                bias: found.bias.map(from_flex),
            })
        }
        (y, dy, _) => Err([y, dy].map(|side| side.map_or_else(|tensor| tensor, from_flex))),
    }
}

#[cfg_attr(
    not(feature = "cpu"),
    allow(unused_variables, reason = "the composed form gives both")
)]
pub(super) fn rms_norm_backward(
    y: Tensor<2>,
    weight: Tensor<1>,
    eps: f64,
    dy: Tensor<2>,
    weight_wanted: bool,
) -> NormGradients {
    #[cfg(feature = "cpu")]
    let [y, dy] = match fused(super::cpu::Norm::Rms, [y, dy], weight.clone(), eps, weight_wanted) {
        Ok(found) => return found,
        Err(sides) => sides,
    };
    composed_rms_norm_backward(y, weight, eps, dy)
}

pub(super) fn composed_rms_norm_backward(
    y: Tensor<2>,
    weight: Tensor<1>,
    eps: f64,
    dy: Tensor<2>,
) -> NormGradients {
    let length = ((y.clone() * y.clone()).mean_dim(1) + eps).sqrt(); // [t, 1]
    let normal = y / length.clone();
    let dweight = column_sums(dy.clone() * normal.clone());
    let dnormal = dy * weight.unsqueeze();
    let along = (dnormal.clone() * normal.clone()).mean_dim(1); // [t, 1]
    NormGradients {
        y: (dnormal - normal * along) / length,
        weight: Some(dweight),
        bias: None,
    }
}

#[cfg_attr(
    not(feature = "cpu"),
    allow(unused_variables, reason = "the composed form gives both")
)]
pub(super) fn layer_norm_backward(
    y: Tensor<2>,
    weight: Tensor<1>,
    eps: f64,
    dy: Tensor<2>,
    parameters_wanted: bool,
) -> NormGradients {
    #[cfg(feature = "cpu")]
    let [y, dy] = match fused(
        super::cpu::Norm::Layer,
        [y, dy],
        weight.clone(),
        eps,
        parameters_wanted,
    ) {
        Ok(found) => return found,
        Err(sides) => sides,
    };
    composed_layer_norm_backward(y, weight, eps, dy)
}

pub(super) fn composed_layer_norm_backward(
    y: Tensor<2>,
    weight: Tensor<1>,
    eps: f64,
    dy: Tensor<2>,
) -> NormGradients {
    let centred = y.clone() - y.mean_dim(1);
    let length = ((centred.clone() * centred.clone()).mean_dim(1) + eps).sqrt(); // [t, 1]
    let normal = centred / length.clone();
    let dweight = column_sums(dy.clone() * normal.clone());
    let dbias = column_sums(dy.clone());
    let dnormal = dy * weight.unsqueeze();
    let along = (dnormal.clone() * normal.clone()).mean_dim(1); // [t, 1]
    let mean = dnormal.clone().mean_dim(1);
    NormGradients {
        y: (dnormal - mean - normal * along) / length,
        weight: Some(dweight),
        bias: Some(dbias),
    }
}
