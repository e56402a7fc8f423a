//! Look-ups in a table where gradients are recorded, and rows put back where they were taken from.
//!
//! Letters: `t` tokens, `v` vocabulary, `h` hidden width.

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use super::gradient::{self, Gradient, Input};

/// Gathers rows of `table`; those that are taken more than once get the sum of their gradients.
///
/// # Shapes
///
/// `table [v, h]`, `ids [t] -> [t, h]`.
pub(super) fn embedding(table: &Tensor<2>, ids: &[u32]) -> Tensor<2> {
    let y = super::embedding(&table.clone().inner(), ids);
    let [v, _] = table.dims();
    let ids = ids.to_vec();
    gradient::record([Input::from(table)], y, move |dy: Tensor<2>, _| {
        [Some(Gradient::from(scatter(dy, &ids, v)))]
    })
}

/// A matrix of `v` rows, each the sum of those rows of `x` that have its id; the others are 0.
///
/// # Shapes
///
/// `x [t, h]`, `ids [t] -> [v, h]`.
pub(super) fn scatter(x: Tensor<2>, ids: &[u32], v: usize) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    let x = match super::cpu::into_flex(x) {
        Ok(x) => return super::cpu::from_flex(super::cpu::scatter(x, ids, v)),
        Err(x) => x,
    };
    composed_scatter(x, ids, v)
}

pub(super) fn composed_scatter(x: Tensor<2>, ids: &[u32], v: usize) -> Tensor<2> {
    let (device, [_, h]) = (x.device(), x.dims());
    let zeros = Tensor::zeros([v, h], &device);
    if ids.is_empty() {
        return zeros;
    }
    let ids: Vec<i32> = ids.iter().map(|id| id.cast_signed()).collect();
    let ids = Tensor::<1, Int>::from_data(TensorData::from(ids.as_slice()), &device);
    zeros.select_assign(0, ids, x, IndexingUpdateOp::Add)
}
