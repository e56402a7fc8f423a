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

/// `a^T b`, summed over the rows of both.
///
/// # Shapes
///
/// `a [k, m]`, `b [k, n] -> [m, n]`.
pub(super) fn transposed_times(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    let (a, b) = {
        use super::cpu::{self, from_flex, into_flex};
        match (into_flex(a), into_flex(b)) {
            (Ok(a), Ok(b)) => return from_flex(cpu::transposed_times(a, b)),
            (a, b) => (
                a.map_or_else(|tensor| tensor, from_flex),
                b.map_or_else(|tensor| tensor, from_flex),
            ),
        }
    };
    a.transpose().matmul(b)
}
