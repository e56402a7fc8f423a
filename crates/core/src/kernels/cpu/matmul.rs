//! Products of two matrices that lie as they are, for the way back of linear layers.
//!
//! Letters: `m` rows, `k` inner width, `n` columns of the product.
//!
//! The inner width is taken in blocks, whose part of the right side is packed once and stays in the second-level cache while
//! the rows stream past; the sums of the blocks are added in their order, so that the result does not depend on the number
//! of threads.

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::panels::Panels;
use super::product::{Sink, product};
use super::rows::Rows;
use super::tensor::{from_vec, row_major, rows};

/// Inner indices of a block.
const BLOCK: usize = 512;
/// Rows of a task.
const TASK_ROWS: usize = 64;
/// Side of the squares in which a matrix is transposed: both fit the first-level cache.
const SQUARE: usize = 32;

/// `a b`.
///
/// # Shapes
///
/// `a [m, k]`, `b [k, n] -> [m, n]`.
pub fn times(a: FlexTensor, b: FlexTensor) -> FlexTensor {
    let (a, b) = (row_major(a), row_major(b));
    multiply(rows(&a), rows(&b))
}

/// `a^T b`, summed over the rows of both.
///
/// # Shapes
///
/// `a [k, m]`, `b [k, n] -> [m, n]`.
pub fn transposed_times(a: FlexTensor, b: FlexTensor) -> FlexTensor {
    let (a, b) = (row_major(a), row_major(b));
    let turned = transposed(rows(&a));
    let (k, m) = (rows(&a).len(), rows(&a).width());
    multiply(Rows::new(&turned, k, m, k), rows(&b))
}

fn multiply(a: Rows<'_>, b: Rows<'_>) -> FlexTensor {
    let (m, k, n) = (a.len(), b.len(), b.width());
    let mut y = vec![0.0; m * n];
    if n > 0 {
        for first in (0..k).step_by(BLOCK) {
            let steps = BLOCK.min(k - first);
            let panels = Panels::pack_rows(b.part(first, steps, 0, n));
            y.par_chunks_mut(TASK_ROWS * n)
                .enumerate()
                .for_each(|(block, y)| {
                    let height = y.len() / n;
                    Arch::new().dispatch(Task {
                        a: a.part(block * TASK_ROWS, height, first, steps),
                        b: &panels,
                        y,
                        add: first > 0,
                    });
                });
        }
    }
    from_vec(y, [m, n])
}

/// The rows as columns.
fn transposed(matrix: Rows<'_>) -> Vec<f32> {
    let (k, m) = (matrix.len(), matrix.width());
    let mut turned = vec![0.0; k * m];
    if k == 0 {
        return turned;
    }
    turned
        .par_chunks_mut(SQUARE * k)
        .enumerate()
        .for_each(|(strip, target)| {
            let first = strip * SQUARE;
            for start in (0..k).step_by(SQUARE) {
                for row in start..(start + SQUARE).min(k) {
                    let source = &matrix.row(row)[first..];
                    for (target, value) in target.chunks_exact_mut(k).zip(source) {
                        target[row] = *value;
                    }
                }
            }
        });
    turned
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
        let n = self.b.n();
        let mut target = Target {
            y: self.y,
            n,
            add: self.add,
        };
        product(
            simd,
            self.a,
            self.b,
            0..self.a.width(),
            0..self.b.panels(),
            &mut target,
        );
    }
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
