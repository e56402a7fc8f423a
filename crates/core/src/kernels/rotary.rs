//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864, equation 34) in the half-split form of Hugging Face
//! checkpoints: component `i` of a head is paired with component `i + r/2`.
//!
//! Letters: `t` tokens, `a` heads, `d` width of a head, `r` rotated components of a head, `r <= d`.

use burn::tensor::Tensor;

/// Rotates the first `r` components of each head by the angles whose cosines and sines are given; the rest stays.
///
/// # Shapes
///
/// `x [t, a d]`, `cos [t, r/2]`, `sin [t, r/2] -> [t, a d]`.
#[must_use]
pub fn rotary(x: Tensor<2>, heads: usize, cos: &Tensor<2>, sin: &Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "autodiff")]
    if x.is_tracked() {
        return super::pointwise_gradient::rotary(x, heads, cos, sin);
    }
    #[cfg(feature = "cpu")]
    let x = {
        use super::cpu::{self, from_flex, into_flex};
        let ([t, width], [_, half]) = (x.dims(), cos.dims());
        let fits = cos.dims() == [t, half]
            && sin.dims() == [t, half]
            && width.is_multiple_of(heads)
            && 0 < half
            && 2 * half <= width / heads;
        match (into_flex(x), into_flex(cos.clone()), into_flex(sin.clone())) {
            (Ok(x), Ok(cos), Ok(sin)) if fits => return from_flex(cpu::rotary(x, heads, cos, sin)),
            (x, _, _) => x.map_or_else(|tensor| tensor, from_flex),
        }
    };
    composed(x, heads, cos, sin)
}

pub(super) fn composed(x: Tensor<2>, heads: usize, cos: &Tensor<2>, sin: &Tensor<2>) -> Tensor<2> {
    let [t, width] = x.dims();
    let [_, half] = cos.dims();
    if t == 0 || half == 0 {
        return x;
    }
    let d = width / heads;
    let x = x.reshape([t, heads, d]);
    let part = |from: usize, to: usize| x.clone().slice([0..t, 0..heads, from..to]);
    let (first, second) = (part(0, half), part(half, 2 * half)); // [t, a, r/2]
    let cos = cos.clone().reshape([t, 1, half]);
    let sin = sin.clone().reshape([t, 1, half]);
    let mut parts = vec![
        first.clone() * cos.clone() - second.clone() * sin.clone(),
        second * cos + first * sin,
    ];
    if 2 * half < d {
        parts.push(part(2 * half, d));
    }
    Tensor::cat(parts, 2).reshape([t, width])
}
