//! Dropout in place.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::blocks::for_each_block;
use super::tensor::own;
use crate::kernels::Mask;

/// Components that are dropped become 0, the others are multiplied by the mask's factor.
pub fn dropout(x: FlexTensor, mask: Mask) -> FlexTensor {
    let mut x = own(x);
    for_each_block(x.storage_mut::<f32>(), 1, |first, values| {
        Arch::new().dispatch(Task { values, first, mask });
    });
    x
}

struct Task<'a> {
    values: &'a mut [f32],
    first: usize,
    mask: Mask,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.mask.apply(self.first, self.values);
    }
}
