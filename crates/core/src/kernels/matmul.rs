//! Products on the way back of linear layers, of tensors without a record.
//!
//! Letters: `m` rows, `k` inner width, `n` columns of the product.

use burn::tensor::Tensor;

/// `a b`.
///
/// # Shapes
///
/// `a [m, k]`, `b [k, n] -> [m, n]`.
pub(super) fn times(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    let (a, b) = {
        use super::cpu::{self, from_flex, into_flex};
        match (into_flex(a), into_flex(b)) {
            (Ok(a), Ok(b)) => return from_flex(cpu::times(a, b)),
            (a, b) => (
                a.map_or_else(|tensor| tensor, from_flex),
                b.map_or_else(|tensor| tensor, from_flex),
            ),
        }
    };
    a.matmul(b)
}

/// `a^T b`, summed over the rows of both, added to `sum` where there is one.
///
/// # Shapes
///
/// `a [k, m]`, `b [k, n]`, `sum [m, n] -> [m, n]`.
pub(super) fn transposed_times(a: Tensor<2>, b: Tensor<2>, sum: Option<Tensor<2>>) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    let (a, b, sum) = {
        use super::cpu::{self, from_flex, into_flex};
        match (into_flex(a), into_flex(b), sum.map(into_flex)) {
            (Ok(a), Ok(b), None) => return from_flex(cpu::transposed_times(a, b, None)),
            (Ok(a), Ok(b), Some(Ok(sum))) => return from_flex(cpu::transposed_times(a, b, Some(sum))),
            (a, b, sum) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(a), tensor(b), sum.map(tensor))
            }
        }
    };
    let product = a.transpose().matmul(b);
    match sum {
        Some(sum) => sum + product,
        None => product,
    }
}
