//! The way back of activations and gates.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::blocks::for_each_block;
use super::slopes::activate_with_slope;
use super::tensor::{from_vec, own, whole};
use crate::kernels::Activation;

/// The gradient of what the activation was computed from: `dy slope(x)`.
pub fn activate_backward(x: FlexTensor, dy: FlexTensor, activation: Activation) -> FlexTensor {
    let (x, mut dy) = (whole(x), own(dy));
    let x = x.storage::<f32>();
    for_each_block(dy.storage_mut::<f32>(), 1, |first, dy| {
        let x = &x[first..][..dy.len()];
        Arch::new().dispatch(Task { x, dy, activation });
    });
    dy
}

/// The gradients of gate and up: `dy up slope(gate)` and `dy activation(gate)`.
pub fn gated_backward(
    gate: FlexTensor,
    up: FlexTensor,
    dy: FlexTensor,
    activation: Activation,
) -> (FlexTensor, FlexTensor) {
    let (gate, up, mut dy) = (whole(gate), whole(up), own(dy));
    let shape = dy.layout().shape().clone();
    let (gate, up) = (gate.storage::<f32>(), up.storage::<f32>());
    let mut dgate = vec![0.0; gate.len()];
    let blocks = (dy.storage_mut::<f32>(), dgate.as_mut_slice());
    for_each_block(blocks, 1, |first, (dy, dgate)| {
        Arch::new().dispatch(Gate {
            gate: &gate[first..][..dy.len()],
            up: &up[first..][..dy.len()],
            dy,
            dgate,
            activation,
        });
    });
    (from_vec(dgate, shape), dy)
}

struct Task<'a> {
    x: &'a [f32],
    dy: &'a mut [f32],
    activation: Activation,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (dys, dy_tail) = S::as_mut_simd_f32s(self.dy);
        let (xs, x_tail) = S::as_simd_f32s(self.x);
        for (dy, x) in dys.iter_mut().zip(xs) {
            *dy = simd.mul_f32s(*dy, activate_with_slope(simd, self.activation, *x).1);
        }
        if !dy_tail.is_empty() {
            let (x, dy) = (simd.partial_load_f32s(x_tail), simd.partial_load_f32s(dy_tail));
            let dx = simd.mul_f32s(dy, activate_with_slope(simd, self.activation, x).1);
            simd.partial_store_f32s(dy_tail, dx);
        }
    }
}

struct Gate<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    /// Becomes the gradient of up.
    dy: &'a mut [f32],
    dgate: &'a mut [f32],
    activation: Activation,
}

impl WithSimd for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let activation = self.activation;
        let (dys, dy_tail) = S::as_mut_simd_f32s(self.dy);
        let (dgates, dgate_tail) = S::as_mut_simd_f32s(self.dgate);
        let (gates, gate_tail) = S::as_simd_f32s(self.gate);
        let (ups, up_tail) = S::as_simd_f32s(self.up);
        for ((dy, dgate), (gate, up)) in dys.iter_mut().zip(dgates).zip(gates.iter().zip(ups)) {
            (*dgate, *dy) = gate_back(simd, activation, *gate, *up, *dy);
        }
        if !dy_tail.is_empty() {
            let (gate, up) = (simd.partial_load_f32s(gate_tail), simd.partial_load_f32s(up_tail));
            let dy = simd.partial_load_f32s(dy_tail);
            let (dgate, dup) = gate_back(simd, activation, gate, up, dy);
            simd.partial_store_f32s(dgate_tail, dgate);
            simd.partial_store_f32s(dy_tail, dup);
        }
    }
}

/// The gradients of gate and up.
// A function and not a closure: a closure is not compiled for the instruction set that it is called from.
#[inline(always)]
fn gate_back<S: Simd>(
    simd: S,
    activation: Activation,
    gate: S::f32s,
    up: S::f32s,
    dy: S::f32s,
) -> (S::f32s, S::f32s) {
    let (y, slope) = activate_with_slope(simd, activation, gate);
    (simd.mul_f32s(simd.mul_f32s(dy, up), slope), simd.mul_f32s(dy, y))
}
