//! The sum of two tensors of equal shape.

use burn::tensor::Tensor;

/// `x + y`, without a record of gradients on the CPU.
///
/// # Shapes
///
/// `x [t, h]`, `y [t, h] -> [t, h]`.
pub(super) fn sum(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    let (x, y) = {
        use super::cpu::{self, from_flex, into_flex};
        let fits = x.dims() == y.dims();
        match (into_flex(x), into_flex(y)) {
            (Ok(x), Ok(y)) if fits => return from_flex(cpu::add(x, y)),
            (x, y) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(x), tensor(y))
            }
        }
    };
    x + y
}
