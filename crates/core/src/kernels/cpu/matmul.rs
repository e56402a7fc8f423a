//! Products of two matrices that lie as they are, for the way back of linear layers.
//!
//! Letters: `m` rows, `k` inner width, `n` columns of the product.
//!
//! The inner width is taken in blocks, whose part of the right side is packed once and stays in the second-level cache while
//! the rows stream past; the sums of the blocks are added in their order, so that the result does not depend on the number
//! of threads.

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::packed::Packed;
use super::panels::Panels;
use super::product::{Sink, product};
use super::rows::Rows;
use super::tensor::{from_vec, own, row_major, rows};
use super::transposed_product::transposed_product;

/// Inner indices of a block.
const BLOCK: usize = 512;
/// Rows of a task.
const TASK_ROWS: usize = 64;
/// Columns of a packed matrix that are decoded one after another.
const DECODED_ROWS: usize = 16;

/// `a b`.
///
/// # Shapes
///
/// `a [m, k]`, `b [k, n] -> [m, n]`.
pub fn times(a: FlexTensor, b: FlexTensor) -> FlexTensor {
    let (a, b) = (row_major(a), row_major(b));
    multiply(rows(&a), rows(&b))
}

/// `a b^T` of a packed matrix, the way back through it; some of its columns are decoded at a time.
///
/// # Shapes
///
/// `a [m, n]`, `b [k, n] -> [m, k]`, with `b` as it multiplies on the way there.
pub fn times_packed(a: FlexTensor, b: &Packed) -> FlexTensor {
    let a = row_major(a);
    let a = rows(&a);
    let (m, k, width) = (a.len(), b.n(), b.k());
    let mut y = vec![0.0; m * width];
    let mut decoded = vec![0.0; BLOCK.min(k) * width];
    if width > 0 {
        for first in (0..k).step_by(BLOCK) {
            let steps = BLOCK.min(k - first);
            decoded[..steps * width]
                .par_chunks_mut(DECODED_ROWS * width)
                .enumerate()
                .for_each(|(block, target)| {
                    let mut row = Vec::with_capacity(width);
                    for (index, target) in target.chunks_exact_mut(width).enumerate() {
                        row.clear();
                        b.append_column(first + block * DECODED_ROWS + index, &mut row);
                        target.copy_from_slice(&row[..width]);
                    }
                });
            let panels = Panels::pack_rows(Rows::new(&decoded, width, steps, width));
            add_block(a, first..first + steps, &panels, &mut y);
        }
    }
    from_vec(y, [m, width])
}

/// `a^T b`, summed over the rows of both, added to `sum` where there is one.
///
/// # Shapes
///
/// `a [k, m]`, `b [k, n]`, `sum [m, n] -> [m, n]`.
pub fn transposed_times(a: FlexTensor, b: FlexTensor, sum: Option<FlexTensor>) -> FlexTensor {
    let (a, b) = (row_major(a), row_major(b));
    let (a, b) = (rows(&a), rows(&b));
    let (k, m, n) = (a.len(), a.width(), b.width());
    let add_first = sum.is_some();
    let mut y = match sum {
        Some(sum) => own(sum),
        None => from_vec(vec![0.0; m * n], [m, n]),
    };
    if n > 0 {
        for first in (0..k).step_by(BLOCK) {
            let steps = BLOCK.min(k - first);
            let panels = Panels::pack_rows(b.part(first, steps, 0, n));
            y.storage_mut::<f32>()
                .par_chunks_mut(TASK_ROWS * n)
                .enumerate()
                .for_each(|(block, y)| {
                    let width = y.len() / n;
                    Arch::new().dispatch(TransposedTask {
                        a: a.part(first, steps, block * TASK_ROWS, width),
                        b: &panels,
                        y,
                        add: add_first || first > 0,
                    });
                });
        }
    }
    y
}

fn multiply(a: Rows<'_>, b: Rows<'_>) -> FlexTensor {
    let (m, k, n) = (a.len(), b.len(), b.width());
    let mut y = vec![0.0; m * n];
    if n > 0 {
        for first in (0..k).step_by(BLOCK) {
            let steps = BLOCK.min(k - first);
            let panels = Panels::pack_rows(b.part(first, steps, 0, n));
            add_block(a, first..first + steps, &panels, &mut y);
        }
    }
    from_vec(y, [m, n])
}

/// Adds the product of the inner indices `steps` of `a [m, k]` with their block to `y [m, n]`; the first sets it.
fn add_block(a: Rows<'_>, steps: Range<usize>, panels: &Panels, y: &mut [f32]) {
    let n = panels.n();
    y.par_chunks_mut(TASK_ROWS * n)
        .enumerate()
        .for_each(|(block, y)| {
            let height = y.len() / n;
            Arch::new().dispatch(Task {
                a: a.part(block * TASK_ROWS, height, steps.start, steps.len()),
                b: panels,
                y,
                add: steps.start > 0,
            });
        });
}

/// Some rows with one block.
struct Task<'a, 'y> {
    a: Rows<'a>,
    b: &'a Panels,
    y: &'y mut [f32],
    /// Whether the product is added to what is there.
    add: bool,
}

impl WithSimd for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut target = Target {
            y: self.y,
            n: self.b.n(),
            add: self.add,
        };
        let (a, steps) = (side_by_side(self.a), self.a.width());
        let a = Rows::new(&a, steps, self.a.len(), steps);
        product(simd, a, self.b, 0..steps, 0..self.b.panels(), &mut target);
    }
}

/// Some columns of the left side with one block.
struct TransposedTask<'a, 'y> {
    a: Rows<'a>,
    b: &'a Panels,
    y: &'y mut [f32],
    /// Whether the product is added to what is there.
    add: bool,
}

impl WithSimd for TransposedTask<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (steps, width) = (self.a.len(), self.a.width());
        let strip = side_by_side(self.a);
        let mut target = Target {
            y: self.y,
            n: self.b.n(),
            add: self.add,
        };
        transposed_product(simd, Rows::new(&strip, width, steps, width), self.b, &mut target);
    }
}

/// The rows without what lies between them: those of a wide matrix lie on so many pages, and so often in the same lines of
/// the cache, that reading them where they are takes longer than the copy.
fn side_by_side(rows: Rows<'_>) -> Vec<f32> {
    let mut copy = Vec::with_capacity(rows.len() * rows.width());
    for row in 0..rows.len() {
        copy.extend_from_slice(rows.row(row));
    }
    copy
}

struct Target<'y> {
    y: &'y mut [f32],
    n: usize,
    add: bool,
}

impl Sink for Target<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, column: usize, values: S::f32s) {
        let width = self.n.saturating_sub(column).min(S::F32_LANES);
        if width == 0 {
            return; // a column that only fills the panel up
        }
        let target = &mut self.y[row * self.n + column..][..width];
        match S::as_mut_simd_f32s(target).0.first_mut() {
            Some(target) if self.add => *target = simd.add_f32s(*target, values),
            Some(target) => *target = values,
            None if self.add => {
                let sum = simd.add_f32s(simd.partial_load_f32s(target), values);
                simd.partial_store_f32s(target, sum);
            }
            None => simd.partial_store_f32s(target, values),
        }
    }
}
