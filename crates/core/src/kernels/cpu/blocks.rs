//! Rows divided among the threads, where there are enough of them to be worth it.

use rayon::prelude::*;

/// Components of a block: rows of two inputs and an output fit the first-level cache.
const BLOCK_COMPONENTS: usize = 8 * 1024;

/// Several matrices with rows of equal width, cut at the same rows.
pub trait Cut: Sized + Send {
    /// The number of rows.
    fn rows(&self, width: usize) -> usize;
    /// The first rows, and the others.
    fn cut(self, rows: usize, width: usize) -> (Self, Self);
}

impl Cut for () {
    fn rows(&self, _width: usize) -> usize {
        0
    }

    fn cut(self, _rows: usize, _width: usize) -> (Self, Self) {
        ((), ())
    }
}

impl Cut for &mut [f32] {
    fn rows(&self, width: usize) -> usize {
        self.len() / width
    }

    fn cut(self, rows: usize, width: usize) -> (Self, Self) {
        self.split_at_mut(rows * width)
    }
}

impl<A: Cut, B: Cut> Cut for (A, B) {
    fn rows(&self, width: usize) -> usize {
        self.0.rows(width)
    }

    fn cut(self, rows: usize, width: usize) -> (Self, Self) {
        let ((a, others_a), (b, others_b)) = (self.0.cut(rows, width), self.1.cut(rows, width));
        ((a, b), (others_a, others_b))
    }
}

/// Calls `work(first row, block)` for blocks of rows of `width > 0`; a single block is worked on where the caller is.
pub fn for_each_block<T: Cut>(matrices: T, width: usize, work: impl Fn(usize, T) + Sync) {
    let height = (BLOCK_COMPONENTS / width).max(1);
    let rows = matrices.rows(width);
    if rows <= height {
        return work(0, matrices);
    }
    let mut blocks = Vec::with_capacity(rows.div_ceil(height));
    let mut rest = matrices;
    for first in (0..rows).step_by(height) {
        let (block, others) = rest.cut(height.min(rows - first), width);
        blocks.push((first, block));
        rest = others;
    }
    blocks
        .into_par_iter()
        .for_each(|(first, block)| work(first, block));
}
