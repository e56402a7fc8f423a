//! The product of rows with a packed matrix, the innermost loop of linear layers and attention.
//!
//! Letters: `k` inner width, `n` columns of the product.
//!
//! A tile of up to 8 rows by 3 vectors of columns is summed in registers over the whole inner width; only then is it
//! handed on, so that bias, activation or scaling cost no pass through memory (the scheme of Goto and van de Geijn 2008,
//! ACM TOMS 34(3), without the packing of the left side: rows are read where they are).

use std::ops::Range;

use pulp::Simd;

use super::panels::Panels;
use super::rows::Rows;

/// What happens to a finished vector of the product.
pub trait Sink {
    /// Takes `values`, the product at `row` and the columns from `column` on; columns past the last are to be ignored.
    fn put<S: Simd>(&mut self, simd: S, row: usize, column: usize, values: S::f32s);
}

/// The product of all rows with some panels of the matrix, of which the inner indices `steps` count.
///
/// # Shapes
///
/// `rows [r, s]`, `matrix [k, n] -> [r, n]`, into `sink`, with as many `steps` as `s`.
#[inline(always)]
pub fn product<S: Simd, K: Sink>(
    simd: S,
    rows: Rows<'_>,
    matrix: &Panels,
    steps: Range<usize>,
    panels: Range<usize>,
    sink: &mut K,
) {
    for panel in panels {
        let column = matrix.first_column(panel);
        panel_product(simd, rows, matrix, steps.clone(), panel, column, sink);
    }
}

/// The product of all rows with one panel, whose first column `sink` knows as `column`.
///
/// # Shapes
///
/// `rows [r, s]`, `matrix [k, n] -> [r, columns of the panel]`, into `sink`, with as many `steps` as `s`.
#[inline(always)]
pub fn panel_product<S: Simd, K: Sink>(
    simd: S,
    rows: Rows<'_>,
    matrix: &Panels,
    steps: Range<usize>,
    panel: usize,
    column: usize,
    sink: &mut K,
) {
    match matrix.panel_vectors(panel) {
        1 => strip(
            simd,
            rows,
            &matrix.panel::<S, 1>(simd, panel)[steps],
            column,
            sink,
        ),
        2 => strip(
            simd,
            rows,
            &matrix.panel::<S, 2>(simd, panel)[steps],
            column,
            sink,
        ),
        _ => strip(
            simd,
            rows,
            &matrix.panel::<S, 3>(simd, panel)[steps],
            column,
            sink,
        ),
    }
}

/// Hands finished sums on.
#[inline(always)]
pub fn put<S: Simd, K: Sink, const MR: usize, const NV: usize>(
    simd: S,
    sums: [[S::f32s; NV]; MR],
    first: usize,
    column: usize,
    sink: &mut K,
) {
    for (r, sums) in sums.into_iter().enumerate() {
        for (v, values) in sums.into_iter().enumerate() {
            sink.put(simd, first + r, column + v * S::F32_LANES, values);
        }
    }
}

/// All rows with one panel, in tiles as tall as the registers allow.
#[inline(always)]
fn strip<S: Simd, K: Sink, const NV: usize>(
    simd: S,
    rows: Rows<'_>,
    panel: &[[S::f32s; NV]],
    column: usize,
    sink: &mut K,
) {
    let mut row = 0;
    if S::REGISTER_COUNT >= 32 {
        while row + 8 <= rows.len() {
            tile::<S, K, 8, NV>(simd, rows, row, panel, column, sink);
            row += 8;
        }
    }
    while row + 4 <= rows.len() {
        tile::<S, K, 4, NV>(simd, rows, row, panel, column, sink);
        row += 4;
    }
    while row + 2 <= rows.len() {
        tile::<S, K, 2, NV>(simd, rows, row, panel, column, sink);
        row += 2;
    }
    while row < rows.len() {
        tile::<S, K, 1, NV>(simd, rows, row, panel, column, sink);
        row += 1;
    }
}

/// `MR` rows with one panel.
#[inline(always)]
fn tile<S: Simd, K: Sink, const MR: usize, const NV: usize>(
    simd: S,
    rows: Rows<'_>,
    first: usize,
    panel: &[[S::f32s; NV]],
    column: usize,
    sink: &mut K,
) {
    let k = panel.len();
    let x: [&[f32]; MR] = std::array::from_fn(|r| &rows.row(first + r)[..k]);
    let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
    // Indices, because every row has exactly `k` components: no bound is checked inside.
    #[allow(
        clippy::needless_range_loop,
        reason = "one index runs through several slices of equal length"
    )]
    for i in 0..k {
        let step = &panel[i];
        for r in 0..MR {
            let factor = simd.splat_f32s(x[r][i]);
            for v in 0..NV {
                sums[r][v] = simd.mul_add_e_f32s(factor, step[v], sums[r][v]);
            }
        }
    }
    put(simd, sums, first, column, sink);
}
