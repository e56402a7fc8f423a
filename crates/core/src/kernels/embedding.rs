//! Rows of a table by id.
//!
//! Letters: `t` tokens, `v` vocabulary, `h` hidden width.

use burn::tensor::{Int, Tensor, TensorData};

/// Gathers rows of `table`; the caller has checked that every id is below `v`.
///
/// # Shapes
///
/// `table [v, h]`, `ids [t] -> [t, h]`.
#[must_use]
pub fn embedding(table: &Tensor<2>, ids: &[u32]) -> Tensor<2> {
    #[cfg(feature = "autodiff")]
    if table.is_tracked() {
        return super::embedding_gradient::embedding(table, ids);
    }
    #[cfg(feature = "cpu")]
    if let Ok(table) = super::cpu::into_flex(table.clone()) {
        return super::cpu::from_flex(super::cpu::embedding(table, ids));
    }
    composed(table, ids)
}

pub(super) fn composed(table: &Tensor<2>, ids: &[u32]) -> Tensor<2> {
    let [_, h] = table.dims();
    let device = table.device();
    if ids.is_empty() {
        return Tensor::zeros([0, h], &device);
    }
    let ids: Vec<i32> = ids.iter().map(|id| id.cast_signed()).collect();
    let ids = Tensor::<1, Int>::from_data(TensorData::from(ids.as_slice()), &device);
    table.clone().select(0, ids)
}
