//! Rotary position embedding in the half-split form, in place.
//!
//! Letters: `t` tokens, `a` heads, `d` width of a head, `r` rotated components of a head.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

use super::blocks::for_each_block;
use super::rows::Rows;
use super::tensor::{row_major, rows, whole};

/// Rotates the first `r` components of each head.
///
/// # Shapes
///
/// `x [t, a d]`, `cos [t, r/2]`, `sin [t, r/2] -> [t, a d]`, `0 < r <= d`.
pub fn rotary(x: FlexTensor, heads: usize, cos: FlexTensor, sin: FlexTensor) -> FlexTensor {
    let mut x = whole(x);
    let width = x.layout().shape()[1];
    let (cos, sin) = (row_major(cos), row_major(sin));
    let (cos, sin) = (rows(&cos), rows(&sin));
    if width > 0 {
        for_each_block(x.storage_mut::<f32>(), width, |first, x| {
            Arch::new().dispatch(Task {
                x,
                width,
                d: width / heads,
                cos: cos.part(first, cos.len() - first, 0, cos.width()),
                sin: sin.part(first, sin.len() - first, 0, sin.width()),
            });
        });
    }
    x
}

/// Some tokens.
struct Task<'a> {
    x: &'a mut [f32],
    width: usize,
    d: usize,
    cos: Rows<'a>,
    sin: Rows<'a>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (index, row) in self.x.chunks_exact_mut(self.width).enumerate() {
            let (cos, sin) = (self.cos.row(index), self.sin.row(index));
            for head in row.chunks_exact_mut(self.d) {
                let (first, second) = head.split_at_mut(cos.len());
                rotate(simd, first, &mut second[..cos.len()], cos, sin);
            }
        }
    }
}

/// `(first, second)` becomes `(first cos - second sin, second cos + first sin)`.
#[inline(always)]
fn rotate<S: Simd>(simd: S, first: &mut [f32], second: &mut [f32], cos: &[f32], sin: &[f32]) {
    let ((x, x_tail), (y, y_tail)) = (S::as_mut_simd_f32s(first), S::as_mut_simd_f32s(second));
    let ((c, c_tail), (s, s_tail)) = (S::as_simd_f32s(cos), S::as_simd_f32s(sin));
    for ((x, y), (c, s)) in x.iter_mut().zip(y).zip(c.iter().zip(s)) {
        let (a, b) = (*x, *y);
        *x = simd.sub_f32s(simd.mul_f32s(a, *c), simd.mul_f32s(b, *s));
        *y = simd.mul_add_e_f32s(b, *c, simd.mul_f32s(a, *s));
    }
    for ((x, y), (c, s)) in x_tail.iter_mut().zip(y_tail).zip(c_tail.iter().zip(s_tail)) {
        (*x, *y) = (*x * c - *y * s, *y * c + *x * s);
    }
}
