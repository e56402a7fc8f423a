//! Activations, gates and rotations where gradients are recorded.
//!
//! Letters: `t` tokens, `a` heads, `d` width of a head, `r` rotated components of a head.

use burn::tensor::Tensor;

use super::gradient::{self, Gradient, Input};
use super::{Activation, activate as activate_forward, gated as gated_forward, rotary as rotary_forward};

/// Applies `kind` to every component.
pub(super) fn activate<const D: usize>(x: Tensor<D>, kind: Activation) -> Tensor<D> {
    let inputs = [Input::from(&x)];
    let x = x.inner();
    let y = activate_forward(x.clone(), kind);
    gradient::record(inputs, y, move |dy: Tensor<D>, _| {
        [Some(Gradient::from(activate_backward(x.clone(), dy, kind)))]
    })
}

/// The gradient of what the activation was computed from.
pub(super) fn activate_backward<const D: usize>(x: Tensor<D>, dy: Tensor<D>, kind: Activation) -> Tensor<D> {
    #[cfg(feature = "cpu")]
    let (x, dy) = {
        use super::cpu::{self, from_flex, into_flex};
        match (into_flex(x), into_flex(dy)) {
            (Ok(x), Ok(dy)) => return from_flex(cpu::activate_backward(x, dy, kind)),
            (x, dy) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(x), tensor(dy))
            }
        }
    };
    composed_activate_backward(x, dy, kind)
}

pub(super) fn composed_activate_backward<const D: usize>(
    x: Tensor<D>,
    dy: Tensor<D>,
    kind: Activation,
) -> Tensor<D> {
    dy * slope(x, kind)
}

/// The derivative of the activation at each component.
fn slope<const D: usize>(x: Tensor<D>, kind: Activation) -> Tensor<D> {
    use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};
    match kind {
        Activation::Gelu => {
            let distribution = ((x.clone() * FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
            let density = (x.clone() * x.clone() * -0.5).exp() / (2.0 * PI).sqrt();
            distribution + x * density
        }
        Activation::GeluTanh => {
            // u = sqrt(2/pi) (x + 0.044715 x^3)
            let factor = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
            let square = x.clone() * x.clone();
            let tanh = (x.clone() * (square.clone() * 0.044_715 + 1.0) * factor).tanh();
            let u_slope = (square * (3.0 * 0.044_715) + 1.0) * factor;
            let tanh_slope = (tanh.clone() * tanh.clone()).neg() + 1.0;
            (tanh + 1.0) * 0.5 + x * tanh_slope * u_slope * 0.5
        }
        Activation::Relu => x.greater_elem(0.0).float(),
        Activation::Silu => {
            let s = burn::tensor::activation::sigmoid(x.clone());
            s.clone() * (x * (s.neg() + 1.0) + 1.0)
        }
        Activation::Tanh => {
            let y = x.tanh();
            (y.clone() * y).neg() + 1.0
        }
    }
}

/// `activation(gate) * up`.
///
/// # Shapes
///
/// `gate [t, f]`, `up [t, f] -> [t, f]`.
pub(super) fn gated(gate: Tensor<2>, up: Tensor<2>, kind: Activation) -> Tensor<2> {
    let inputs = [Input::from(&gate), Input::from(&up)];
    let (gate, up) = (gate.inner(), up.inner());
    let y = gated_forward(gate.clone(), up.clone(), kind);
    gradient::record(inputs, y, move |dy: Tensor<2>, _| {
        let (dgate, dup) = gated_backward(gate.clone(), up.clone(), dy, kind);
        [Some(Gradient::from(dgate)), Some(Gradient::from(dup))]
    })
}

/// The gradients of gate and up.
pub(super) fn gated_backward(
    gate: Tensor<2>,
    up: Tensor<2>,
    dy: Tensor<2>,
    kind: Activation,
) -> (Tensor<2>, Tensor<2>) {
    #[cfg(feature = "cpu")]
    let (gate, up, dy) = {
        use super::cpu::{self, from_flex, into_flex};
        match (into_flex(gate), into_flex(up), into_flex(dy)) {
            (Ok(gate), Ok(up), Ok(dy)) => {
                let (dgate, dup) = cpu::gated_backward(gate, up, dy, kind);
                return (from_flex(dgate), from_flex(dup));
            }
            (gate, up, dy) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(gate), tensor(up), tensor(dy))
            }
        }
    };
    composed_gated_backward(gate, up, dy, kind)
}

pub(super) fn composed_gated_backward(
    gate: Tensor<2>,
    up: Tensor<2>,
    dy: Tensor<2>,
    kind: Activation,
) -> (Tensor<2>, Tensor<2>) {
    let dup = dy.clone() * super::activation::composed(gate.clone(), kind);
    (dy * up * slope(gate, kind), dup)
}

/// Rotates the first `r` components of each head; the way back is the rotation by the opposite angle.
///
/// # Shapes
///
/// `x [t, a d]`, `cos [t, r/2]`, `sin [t, r/2] -> [t, a d]`.
pub(super) fn rotary(x: Tensor<2>, heads: usize, cos: &Tensor<2>, sin: &Tensor<2>) -> Tensor<2> {
    let inputs = [Input::from(&x)];
    let (cos, sin) = (cos.clone().inner(), sin.clone().inner());
    let y = rotary_forward(x.inner(), heads, &cos, &sin);
    gradient::record(inputs, y, move |dy: Tensor<2>, _| {
        [Some(Gradient::from(rotary_forward(
            dy,
            heads,
            &cos,
            &sin.clone().neg(),
        )))]
    })
}
