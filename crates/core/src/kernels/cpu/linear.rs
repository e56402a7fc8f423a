//! The affine map with bias and activation applied before a result leaves the registers.
//!
//! Letters: `t` tokens, `i` input width, `o` output width.

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::panels::Panels;
use super::product::{Sink, product};
use super::rows::Rows;
use super::tensor::{from_vec, row_major, rows, with_slice};
use super::vector_math;
use crate::kernels::Activation;

/// Most rows of a task: they stay in the first-level cache while the weight streams past.
const TASK_ROWS: usize = 64;
/// Below so many multiplications the work is not divided.
const MIN_PARALLEL_PRODUCTS: usize = 1 << 19;

/// `activation(x weight^T + bias)`.
///
/// # Shapes
///
/// `x [t, i]`, `weight [o, i]` packed, `bias [o] -> [t, o]`.
pub fn linear(
    x: FlexTensor,
    weight: &Panels,
    bias: Option<&FlexTensor>,
    activation: Option<Activation>,
) -> FlexTensor {
    let x = row_major(x);
    let x = rows(&x);
    let (t, o) = (x.len(), weight.n());
    let mut y = vec![0.0; t * o];
    match bias {
        Some(bias) => with_slice(bias, |bias| compute(x, weight, Some(bias), activation, &mut y)),
        None => compute(x, weight, None, activation, &mut y),
    }
    from_vec(y, [t, o])
}

fn compute(
    x: Rows<'_>,
    weight: &Panels,
    bias: Option<&[f32]>,
    activation: Option<Activation>,
    y: &mut [f32],
) {
    let (t, o) = (x.len(), weight.n());
    if t == 0 || o == 0 {
        return;
    }
    let task = |rows: Rows<'_>, panels: Range<usize>, y: &mut [f32]| {
        let first_column = weight.first_column(panels.start);
        Arch::new().dispatch(Task {
            x: rows,
            weight,
            stride: weight.first_column(panels.end) - first_column,
            panels,
            first_column,
            bias,
            activation,
            y,
        });
    };
    let threads = rayon::current_num_threads();
    let panels = weight.panels();
    if threads == 1 || t * o * weight.k() < MIN_PARALLEL_PRODUCTS {
        for (block, y) in y.chunks_mut(TASK_ROWS * o).enumerate() {
            let first = block * TASK_ROWS;
            task(
                x.part(first, TASK_ROWS.min(t - first), 0, x.width()),
                0..panels,
                y,
            );
        }
    } else if t >= threads * 8 {
        let height = t.div_ceil(threads).next_multiple_of(8).min(TASK_ROWS);
        y.par_chunks_mut(height * o).enumerate().for_each(|(block, y)| {
            let first = block * height;
            task(x.part(first, height.min(t - first), 0, x.width()), 0..panels, y);
        });
    } else {
        // Few rows: the weight is what has to be read, so it is what the threads share.
        let share = panels.div_ceil(threads);
        let parts: Vec<(usize, Vec<f32>)> = (0..panels)
            .into_par_iter()
            .step_by(share)
            .map(|panel| {
                let range = panel..(panel + share).min(panels);
                let width = weight.first_column(range.end) - weight.first_column(range.start);
                let mut part = vec![0.0; t * width];
                task(x, range, &mut part);
                (width, part)
            })
            .collect();
        let mut column = 0;
        for (width, part) in parts {
            for (row, part) in y.chunks_exact_mut(o).zip(part.chunks_exact(width)) {
                row[column..column + width].copy_from_slice(part);
            }
            column += width;
        }
    }
}

/// Some rows with some panels of the weight.
struct Task<'a> {
    x: Rows<'a>,
    weight: &'a Panels,
    panels: Range<usize>,
    first_column: usize,
    bias: Option<&'a [f32]>,
    activation: Option<Activation>,
    y: &'a mut [f32],
    /// Components from one row of `y` to the next, and columns of this task.
    stride: usize,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (x, weight) = (self.x, self.weight);
        for panel in self.panels.clone() {
            product(simd, x, weight, panel..panel + 1, &mut self);
            if let Some(activation) = self.activation {
                // What the panel just wrote is still in the first-level cache.
                let columns = weight.first_column(panel)..weight.first_column(panel + 1);
                let (first, last) = (columns.start - self.first_column, columns.end - self.first_column);
                for row in self.y.chunks_exact_mut(self.stride) {
                    vector_math::activate_all(simd, activation, &mut row[first..last]);
                }
            }
        }
    }
}

impl Sink for Task<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, column: usize, values: S::f32s) {
        let within = column - self.first_column;
        let width = (self.stride - within).min(S::F32_LANES);
        let target = &mut self.y[row * self.stride + within..][..width];
        let whole = width == S::F32_LANES;
        let values = match self.bias {
            Some(bias) if whole => simd.add_f32s(values, load(simd, &bias[column..][..S::F32_LANES])),
            Some(bias) => simd.add_f32s(values, simd.partial_load_f32s(&bias[column..][..width])),
            None => values,
        };
        match S::as_mut_simd_f32s(target).0.first_mut() {
            Some(target) => *target = values,
            None => simd.partial_store_f32s(target, values),
        }
    }
}

/// A vector from as many components.
#[inline(always)]
fn load<S: Simd>(simd: S, source: &[f32]) -> S::f32s {
    match S::as_simd_f32s(source).0.first() {
        Some(vector) => *vector,
        None => simd.partial_load_f32s(source),
    }
}
