//! The affine maps of linear layers, with bias, activation and gate applied before a result leaves the cache.
//!
//! Letters: `t` tokens, `i` input width, `o` output width.
//!
//! Several maps of the same rows are one piece of work for the threads. With many rows the rows are divided among them,
//! with few the weights: then reading the weights is what takes the time, and each is read once.

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::coded_rows::{CodedPart, CodedRows};
use super::packed::{Factors, Packed, Scratch};
use super::product::Sink;
use super::rows::Rows;
use super::tensor::{from_vec, row_major, rows, whole};
use super::vector_math;
use crate::kernels::Activation;

/// Most rows of a task: they stay in the first-level cache while the weight streams past.
const TASK_ROWS: usize = 64;
/// Below this cost the work is not divided, which takes about a microsecond.
const MIN_PARALLEL_COST: usize = 1 << 19;
/// Tasks for each thread where the weights are divided, so that a thread that was held up is helped out.
const TASKS_PER_THREAD: usize = 4;

/// One affine map and what follows it.
pub struct Map<'a> {
    pub weight: &'a Packed,
    /// A second weight with its bias, whose product, after the activation, multiplies that of the first.
    pub gate: Option<(&'a Packed, Option<FlexTensor>)>,
    pub bias: Option<FlexTensor>,
    /// Of the gate where there is one, else of the product.
    pub activation: Option<Activation>,
}

/// The maps of the same rows, which are rounded to integers once for all weights that are integers.
///
/// # Shapes
///
/// `x [t, i]`, weights `[o, i]` packed, biases `[o] -> [t, o]` of each map.
pub fn linear(x: FlexTensor, maps: Vec<Map<'_>>) -> Vec<FlexTensor> {
    let x = row_major(x);
    let x = rows(&x);
    let t = x.len();
    let maps: Vec<Map<'_>> = maps
        .into_iter()
        .map(|map| Map {
            bias: map.bias.map(whole),
            gate: map.gate.map(|(gate, bias)| (gate, bias.map(whole))),
            ..map
        })
        .collect();
    let mut outputs: Vec<Vec<f32>> = maps.iter().map(|map| vec![0.0; t * map.weight.n()]).collect();
    let widest = maps.iter().map(Map::row_width).max().unwrap_or(0);
    if widest > x.width() {
        let filled = filled(x, widest);
        compute(Rows::new(&filled, widest, t, widest), &maps, &mut outputs);
    } else {
        compute(x, &maps, &mut outputs);
    }
    let shaped = outputs
        .into_iter()
        .zip(&maps)
        .map(|(y, map)| from_vec(y, [t, map.weight.n()]));
    shaped.collect()
}

impl Map<'_> {
    fn is_integer(&self) -> bool {
        self.weight.is_integer() || self.gate.as_ref().is_some_and(|(gate, _)| gate.is_integer())
    }

    fn row_width(&self) -> usize {
        self.weight
            .row_width()
            .max(self.gate.as_ref().map_or(0, |(gate, _)| gate.row_width()))
    }

    /// What the map costs, in multiplications; a byte that is read counts as one.
    fn cost(&self, t: usize) -> usize {
        let of = |weight: &Packed| weight.bytes() + t * weight.k() * weight.n();
        of(self.weight) + self.gate.as_ref().map_or(0, |(gate, _)| of(gate))
    }
}

/// The rows with zeros behind them.
fn filled(x: Rows<'_>, width: usize) -> Vec<f32> {
    let mut filled = vec![0.0; x.len() * width];
    for (index, row) in filled.chunks_exact_mut(width).enumerate() {
        row[..x.width()].copy_from_slice(x.row(index));
    }
    filled
}

fn compute(x: Rows<'_>, maps: &[Map<'_>], outputs: &mut [Vec<f32>]) {
    let t = x.len();
    let coded = maps.iter().any(Map::is_integer).then(|| CodedRows::new(x));
    let threads = rayon::current_num_threads();
    let cost: usize = maps.iter().map(|map| map.cost(t)).sum();
    let alone = threads == 1 || cost < MIN_PARALLEL_COST;
    let divide_rows = alone || t >= threads * 8;
    let height = match alone {
        true => TASK_ROWS,
        false if divide_rows => t.div_ceil(threads).next_multiple_of(8).min(TASK_ROWS),
        false => t,
    };
    let panels: usize = maps.iter().map(|map| map.weight.panels()).sum();
    let share = match divide_rows {
        true => usize::MAX,
        false => panels.div_ceil(threads * TASKS_PER_THREAD).max(1),
    };
    let mut tasks = Vec::new();
    for (map, y) in maps.iter().zip(outputs) {
        let (o, panels) = (map.weight.n(), map.weight.panels());
        if o == 0 || t == 0 {
            continue;
        }
        for (block, y) in y.chunks_mut(height * o).enumerate() {
            let first = block * height;
            let x = Factors {
                rows: x.part(first, y.len() / o, 0, map.row_width()),
                coded: match &coded {
                    Some(coded) => coded.part(first, y.len() / o),
                    None => CodedPart::NONE,
                },
            };
            let share = share.min(panels);
            let mut parts: Vec<Task<'_, '_>> = (0..panels)
                .step_by(share)
                .map(|panel| Task {
                    x,
                    map,
                    panels: panel..(panel + share).min(panels),
                    y: Vec::with_capacity(x.rows.len()),
                })
                .collect();
            for mut row in y.chunks_exact_mut(o) {
                for part in &mut parts {
                    let width = map.weight.first_column(part.panels.end) - part.first_column();
                    let (piece, rest) = row.split_at_mut(width);
                    part.y.push(piece);
                    row = rest;
                }
            }
            tasks.append(&mut parts);
        }
    }
    if alone {
        tasks.into_iter().for_each(|task| Arch::new().dispatch(task));
    } else {
        tasks.into_par_iter().for_each(|task| Arch::new().dispatch(task));
    }
}

/// Some rows with some panels of a weight.
struct Task<'a, 'y> {
    x: Factors<'a>,
    map: &'a Map<'a>,
    panels: Range<usize>,
    /// Of each row the columns of the panels.
    y: Vec<&'y mut [f32]>,
}

impl Task<'_, '_> {
    fn first_column(&self) -> usize {
        self.map.weight.first_column(self.panels.start)
    }
}

impl WithSimd for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let map = self.map;
        let weight = map.weight;
        let first_column = self.first_column();
        let mut scratch = Scratch::new();
        let panel_width = super::panels::PANEL_VECTORS * S::F32_LANES;
        let mut gates = vec![
            0.0;
            if map.gate.is_some() {
                self.x.rows.len() * panel_width
            } else {
                0
            }
        ];
        let mut gated: Vec<&mut [f32]> = gates.chunks_exact_mut(panel_width).collect();
        for panel in self.panels.clone() {
            let columns = weight.first_column(panel)..weight.first_column(panel + 1);
            if let Some((gate, bias)) = &map.gate {
                let mut target = Target {
                    y: &mut gated,
                    first_column: columns.start,
                    width: columns.len(),
                    bias: bias.as_ref().map(|bias| bias.storage()),
                    factors: None,
                };
                gate.product(simd, self.x, panel, &mut scratch, &mut target);
                if let Some(activation) = map.activation {
                    for row in &mut gated {
                        vector_math::activate_all(simd, activation, row);
                    }
                }
            }
            let mut target = Target {
                y: &mut self.y,
                first_column,
                width: weight.first_column(self.panels.end) - first_column,
                bias: map.bias.as_ref().map(|bias| bias.storage()),
                factors: map.gate.as_ref().map(|_| (&*gated, columns.start)),
            };
            weight.product(simd, self.x, panel, &mut scratch, &mut target);
            if let (Some(activation), None) = (map.activation, &map.gate) {
                // What the panel just wrote is still in the first-level cache.
                let (first, last) = (columns.start - first_column, columns.end - first_column);
                for row in &mut self.y {
                    vector_math::activate_all(simd, activation, &mut row[first..last]);
                }
            }
        }
    }
}

/// Rows that take the product of a panel.
struct Target<'a, 'y> {
    y: &'a mut [&'y mut [f32]],
    /// The first column that the rows have, and how many.
    first_column: usize,
    width: usize,
    /// Added, counted from the weight's first column.
    bias: Option<&'a [f32]>,
    /// What the sum is multiplied by, and its first column.
    factors: Option<(&'a [&'a mut [f32]], usize)>,
}

impl Sink for Target<'_, '_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, row: usize, column: usize, values: S::f32s) {
        let within = column - self.first_column;
        let width = self.width.saturating_sub(within).min(S::F32_LANES);
        if width == 0 {
            return; // a column that only fills the panel up
        }
        let mut values = values;
        if let Some(bias) = self.bias {
            values = simd.add_f32s(values, load(simd, &bias[column..][..width]));
        }
        if let Some((factors, first)) = self.factors {
            values = simd.mul_f32s(values, load(simd, &factors[row][column - first..][..width]));
        }
        let target = &mut self.y[row][within..][..width];
        match S::as_mut_simd_f32s(target).0.first_mut() {
            Some(target) => *target = values,
            None => simd.partial_store_f32s(target, values),
        }
    }
}

/// A vector from as many components, or from fewer.
#[inline(always)]
fn load<S: Simd>(simd: S, source: &[f32]) -> S::f32s {
    match S::as_simd_f32s(source).0.first() {
        Some(vector) => *vector,
        None => simd.partial_load_f32s(source),
    }
}
