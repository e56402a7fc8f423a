//! Rows of a table by id.
//!
//! Letters: `t` tokens, `v` vocabulary, `h` hidden width.

use burn::backend::flex::FlexTensor;

use super::tensor::{from_vec, row_major, rows};

/// The rows of the ids, each below `v`.
///
/// # Shapes
///
/// `table [v, h]`, `ids [t] -> [t, h]`.
pub fn embedding(table: FlexTensor, ids: &[u32]) -> FlexTensor {
    let table = row_major(table);
    let table = rows(&table);
    let mut out = Vec::with_capacity(ids.len() * table.width());
    for id in ids {
        out.extend_from_slice(table.row(*id as usize));
    }
    from_vec(out, [ids.len(), table.width()])
}

/// A matrix of `v` rows, each the sum, in their order, of those rows of `x` that have its id.
///
/// # Shapes
///
/// `x [t, h]`, `ids [t] -> [v, h]`.
#[cfg(feature = "autodiff")]
pub fn scatter(x: FlexTensor, ids: &[u32], v: usize) -> FlexTensor {
    let x = row_major(x);
    let x = rows(&x);
    let h = x.width();
    let mut sums = vec![0.0; v * h];
    for (index, id) in ids.iter().enumerate() {
        for (sum, value) in sums[*id as usize * h..][..h].iter_mut().zip(x.row(index)) {
            *sum += value;
        }
    }
    from_vec(sums, [v, h])
}
