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
