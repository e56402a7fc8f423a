//! Activations, gates and sums of whole tensors, in place where nobody else holds the memory.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::blocks::for_each_block;
use super::tensor::{from_vec, whole};
use super::vector_math;
use crate::kernels::Activation;

/// The activation of every component.
pub fn activate(x: FlexTensor, activation: Activation) -> FlexTensor {
    let mut x = whole(x);
    for_each_block(x.storage_mut::<f32>(), 1, |_, values| {
        Arch::new().dispatch(Task { values, activation });
    });
    x
}

/// `activation(gate) * up`, component by component, of tensors of equal shape.
pub fn gated(gate: FlexTensor, up: FlexTensor, activation: Activation) -> FlexTensor {
    let (mut gate, up) = (whole(gate), whole(up));
    let up = up.storage::<f32>();
    for_each_block(gate.storage_mut::<f32>(), 1, |first, gate| {
        let up = &up[first..][..gate.len()];
        Arch::new().dispatch(Gate { gate, up, activation });
    });
    gate
}

/// `x + y`, component by component, of tensors of equal shape.
pub fn add(x: FlexTensor, y: FlexTensor) -> FlexTensor {
    let (x, y) = if y.is_unique() && !x.is_unique() {
        (y, x)
    } else {
        (x, y)
    };
    let (mut x, y) = (whole(x), whole(y));
    let y = y.storage::<f32>();
    if x.is_unique() {
        for_each_block(x.storage_mut::<f32>(), 1, |first, sum| {
            let y = &y[first..][..sum.len()];
            Arch::new().dispatch(Sum { x: None, y, sum });
        });
        return x;
    }
    let source = x.storage::<f32>();
    let mut sum = vec![0.0; source.len()];
    for_each_block(sum.as_mut_slice(), 1, |first, sum| {
        let [x, y] = [source, y].map(|side| &side[first..][..sum.len()]);
        Arch::new().dispatch(Sum { x: Some(x), y, sum });
    });
    from_vec(sum, x.layout().shape().clone())
}

struct Task<'a> {
    values: &'a mut [f32],
    activation: Activation,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        vector_math::activate_all(simd, self.activation, self.values);
    }
}

struct Gate<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
    activation: Activation,
}

impl WithSimd for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        vector_math::activate_all(simd, self.activation, self.gate);
        let (gates, tail) = S::as_mut_simd_f32s(self.gate);
        let (ups, up_tail) = S::as_simd_f32s(self.up);
        for (gate, up) in gates.iter_mut().zip(ups) {
            *gate = simd.mul_f32s(*gate, *up);
        }
        for (gate, up) in tail.iter_mut().zip(up_tail) {
            *gate *= up;
        }
    }
}

struct Sum<'a> {
    /// Where it is not what `sum` holds.
    x: Option<&'a [f32]>,
    y: &'a [f32],
    sum: &'a mut [f32],
}

impl WithSimd for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.x {
            None => super::layer_norm::add(simd, self.sum, self.y),
            Some(x) => {
                for ((sum, x), y) in self.sum.iter_mut().zip(x).zip(self.y) {
                    *sum = x + y;
                }
            }
        }
    }
}
