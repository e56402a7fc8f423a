//! The product of a transposed matrix, which stays as it lies, with a packed one.
//!
//! Letters: `k` inner width, `m` rows of the product, `n` columns.
//!
//! A tile reads as many neighbouring components of each row of the left side as it has rows itself, so that nothing is
//! transposed.

use pulp::Simd;

use super::panels::Panels;
use super::product::{Sink, put};
use super::rows::Rows;

/// `left^T matrix`.
///
/// # Shapes
///
/// `left [k, m]`, `matrix [k, n] -> [m, n]`, into `sink`.
#[inline(always)]
pub fn transposed_product<S: Simd, K: Sink>(simd: S, left: Rows<'_>, matrix: &Panels, sink: &mut K) {
    for panel in 0..matrix.panels() {
        let column = matrix.first_column(panel);
        match matrix.panel_vectors(panel) {
            1 => strip(simd, left, matrix.panel::<S, 1>(simd, panel), column, sink),
            2 => strip(simd, left, matrix.panel::<S, 2>(simd, panel), column, sink),
            _ => strip(simd, left, matrix.panel::<S, 3>(simd, panel), column, sink),
        }
    }
}

#[inline(always)]
fn strip<S: Simd, K: Sink, const NV: usize>(
    simd: S,
    left: Rows<'_>,
    panel: &[[S::f32s; NV]],
    column: usize,
    sink: &mut K,
) {
    let (mut row, m) = (0, left.width());
    if S::REGISTER_COUNT >= 32 {
        while row + 8 <= m {
            tile::<S, K, 8, NV>(simd, left, row, panel, column, sink);
            row += 8;
        }
    }
    while row + 4 <= m {
        tile::<S, K, 4, NV>(simd, left, row, panel, column, sink);
        row += 4;
    }
    while row < m {
        tile::<S, K, 1, NV>(simd, left, row, panel, column, sink);
        row += 1;
    }
}

#[inline(always)]
fn tile<S: Simd, K: Sink, const MR: usize, const NV: usize>(
    simd: S,
    left: Rows<'_>,
    first: usize,
    panel: &[[S::f32s; NV]],
    column: usize,
    sink: &mut K,
) {
    let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
    for (i, step) in panel.iter().enumerate() {
        let Some(factors) = left.row(i)[first..].first_chunk::<MR>() else {
            return; // the caller counts rows so that this never ends a sum early
        };
        for r in 0..MR {
            let factor = simd.splat_f32s(factors[r]);
            for v in 0..NV {
                sums[r][v] = simd.mul_add_e_f32s(factor, step[v], sums[r][v]);
            }
        }
    }
    put(simd, sums, first, column, sink);
}
