//! Activations of whole tensors, in place where nobody else holds the memory.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::tensor::whole;
use super::vector_math;
use crate::kernels::Activation;

/// Components of a task.
const TASK_COMPONENTS: usize = 16 * 1024;

/// The activation of every component.
pub fn activate(x: FlexTensor, activation: Activation) -> FlexTensor {
    let mut x = whole(x);
    x.storage_mut::<f32>()
        .par_chunks_mut(TASK_COMPONENTS)
        .for_each(|values| Arch::new().dispatch(Task { values, activation }));
    x
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
