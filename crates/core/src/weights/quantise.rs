//! Weights to int8: symmetric, in groups of 64 along the input axis, with one F16 scale for each group.
//!
//! A weight is `value x scale` with an integer value in -127..=127. The scale of a group is chosen for the least
//! squared error: of several clipping ranges, each with the least-squares scale of its values (the optimum for fixed
//! values, sum(v w) / sum(v v)), the best one wins. Plain rounding by the largest weight is among the candidates, so no group
//! comes out worse than with it.

#![allow(
    clippy::needless_range_loop,
    reason = "one index runs through several arrays of equal length"
)]

use half::f16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::convert::QUANTISATION_GROUP;
use crate::error::{Error, Result};

/// The largest stored value; -128 is left out, so that the range is symmetric.
const MAX_VALUE: f32 = 127.0;
/// Clipping ranges tried, as parts of the largest weight: 1.00, 0.99, ... 0.70.
const CLIP_STEPS: u32 = 31;
const CLIP_STEP: f32 = 0.01;
/// Partial sums of a group, so that the compiler can add them in vectors.
pub(super) const LANES: usize = 16;
/// 1.5 x 2^23: adding and taking it away rounds a number below 2^22 to an integer, ties to even.
const MAGIC: f32 = 12_582_912.0;

/// A matrix in int8.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantisedMatrix {
    /// Values `[rows, columns]`, row by row.
    pub values: Vec<i8>,
    /// Scales `[rows, ceil(columns / 64)]`, row by row.
    pub scales: Vec<f16>,
}

/// Quantises a matrix `[rows, columns]`, row by row in `weights`.
///
/// ```
/// use ragtune_core::weights::quantise;
/// let row: Vec<f32> = (0..64).map(|i| i as f32 / 63.0 - 0.5).collect();
/// let matrix = quantise("a", &row, 64)?;
/// let back = f32::from(matrix.values[0]) * matrix.scales[0].to_f32();
/// assert!((back - row[0]).abs() < 0.5 / 127.0);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidArgument`] when `weights` is no whole number of rows, or a weight of `tensor` is not finite or beyond
/// the largest F16 scale.
pub fn quantise(tensor: &str, weights: &[f32], columns: usize) -> Result<QuantisedMatrix> {
    let invalid = |reason| Error::InvalidArgument {
        argument: "weights",
        reason,
    };
    if columns == 0 || !weights.len().is_multiple_of(columns) {
        let length = weights.len();
        return Err(invalid(format!(
            "tensor {tensor:?} has {length} weights, no whole number of rows of {columns}"
        )));
    }
    let limit = MAX_VALUE * f16::MAX.to_f32();
    if let Some(weight) = weights
        .iter()
        .find(|weight| weight.is_nan() || weight.abs() > limit)
    {
        return Err(invalid(format!(
            "tensor {tensor:?} has the weight {weight}, and int8 with F16 scales goes up to {limit}"
        )));
    }
    let (rows, groups) = (weights.len() / columns, columns.div_ceil(QUANTISATION_GROUP));
    let mut matrix = QuantisedMatrix {
        values: vec![0; weights.len()],
        scales: vec![f16::ZERO; rows * groups],
    };
    weights
        .par_chunks_exact(columns)
        .zip(matrix.values.par_chunks_exact_mut(columns))
        .zip(matrix.scales.par_chunks_exact_mut(groups))
        .for_each(|((row, values), scales)| dispatch(Row { row, values, scales }));
    Ok(matrix)
}

/// Runs with the vector instructions of this processor.
pub(super) fn dispatch(op: impl WithSimd<Output = ()>) {
    pulp::Arch::new().dispatch(op);
}

/// The sum of all lanes, half by half.
#[inline(always)]
pub(super) fn total(mut lanes: [f32; LANES]) -> f32 {
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

/// A row and what it becomes.
struct Row<'a> {
    row: &'a [f32],
    values: &'a mut [i8],
    scales: &'a mut [f16],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let groups = self.row.chunks(QUANTISATION_GROUP);
        let targets = self.values.chunks_mut(QUANTISATION_GROUP).zip(self.scales);
        for (group, (values, scale)) in groups.zip(targets) {
            // Zeros behind a short group change no scale: their values are 0 and exact.
            let mut padded = [0.0; QUANTISATION_GROUP];
            padded[..group.len()].copy_from_slice(group);
            *scale = best_scale(&padded);
            let unit = Unit::new(scale.to_f32());
            for (value, weight) in values.iter_mut().zip(group) {
                *value = unit.value(*weight) as i8;
            }
        }
    }
}

/// The weights of a group.
type Weights = [f32; QUANTISATION_GROUP];

/// A scale with its inverse.
#[derive(Clone, Copy)]
struct Unit {
    scale: f32,
    /// 0 for a scale that is too small for F16: such a group is zeros.
    inverse: f32,
}

impl Unit {
    #[inline(always)]
    fn new(scale: f32) -> Self {
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        Self { scale, inverse }
    }

    /// The integer of a weight.
    #[inline(always)]
    fn value(self, weight: f32) -> f32 {
        let value = (weight * self.inverse).clamp(-MAX_VALUE, MAX_VALUE);
        (value + MAGIC) - MAGIC
    }

    /// The best scale for the values that this one gives.
    #[inline(always)]
    fn least_squares(self, group: &Weights) -> f32 {
        let (mut vw, mut vv) = ([0.0f32; LANES], [0.0f32; LANES]);
        for part in group.as_chunks::<LANES>().0 {
            for lane in 0..LANES {
                let value = self.value(part[lane]);
                vw[lane] += value * part[lane];
                vv[lane] += value * value;
            }
        }
        let vv = total(vv);
        if vv > 0.0 { total(vw) / vv } else { self.scale }
    }

    #[inline(always)]
    fn squared_error(self, group: &Weights) -> f32 {
        let mut sums = [0.0f32; LANES];
        for part in group.as_chunks::<LANES>().0 {
            for lane in 0..LANES {
                let error = self.value(part[lane]) * self.scale - part[lane];
                sums[lane] += error * error;
            }
        }
        total(sums)
    }
}

/// The scale with the least squared error of a group.
#[inline(always)]
fn best_scale(group: &Weights) -> f16 {
    let mut largest = 0.0f32;
    for weight in group {
        largest = largest.max(weight.abs());
    }
    // Errors are measured in parts of the largest weight, so that their squares are neither too large nor too small.
    let (power, unpower) = match largest > 0.0 {
        true => (exponent_of(largest), 1.0 / exponent_of(largest)),
        false => return f16::ZERO,
    };
    let mut near = *group;
    for weight in &mut near {
        *weight *= unpower;
    }
    let (mut least, mut best) = (f32::INFINITY, f16::ZERO);
    for step in 0..CLIP_STEPS {
        let clipped = f16::from_f32(largest * (1.0 - step as f32 * CLIP_STEP) / MAX_VALUE);
        let unit = Unit::new(clipped.to_f32() * unpower);
        let refitted = f16::from_f32(unit.least_squares(&near) * power);
        for scale in [clipped, refitted] {
            let error = Unit::new(scale.to_f32() * unpower).squared_error(&near);
            if error < least {
                (least, best) = (error, scale);
            }
        }
    }
    best
}

/// The power of two at or below a positive number, as far as its inverse is a normal number.
#[inline(always)]
fn exponent_of(x: f32) -> f32 {
    f32::from_bits((x.to_bits() & 0x7F80_0000).clamp(1 << 23, 253 << 23))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain_error(group: &[f32]) -> f64 {
        let largest = group.iter().fold(0.0f32, |m, w| m.max(w.abs()));
        let unit = Unit::new(f16::from_f32(largest / MAX_VALUE).to_f32());
        let error = |weight: &f32| f64::from(unit.value(*weight) * unit.scale - weight).powi(2);
        group.iter().map(error).sum()
    }

    proptest! {
        #[test]
        fn no_group_is_worse_than_by_plain_rounding(
            rows in 1usize..4, columns in 1usize..200, magnitude in -6i32..5, seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let weights: Vec<f32> = (0..rows * columns).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * 10f32.powi(magnitude)
            }).collect();
            let matrix = quantise("w", &weights, columns).unwrap();
            prop_assert_eq!(matrix.values.len(), weights.len());
            prop_assert_eq!(matrix.scales.len(), rows * columns.div_ceil(QUANTISATION_GROUP));
            let groups = weights.chunks(columns).flat_map(|row| row.chunks(QUANTISATION_GROUP));
            let values = matrix.values.chunks(columns).flat_map(|row| row.chunks(QUANTISATION_GROUP));
            for ((group, values), scale) in groups.zip(values).zip(&matrix.scales) {
                let scale = scale.to_f32();
                let error: f64 = group.iter().zip(values)
                    .map(|(w, v)| f64::from(f32::from(*v) * scale - w).powi(2)).sum();
                // Errors are compared in f32.
                prop_assert!(error <= plain_error(group) * 1.0001);
                // Half a step for each weight, and the rounding of the scale (2^-11, or 2^-25 below normal numbers).
                let largest = group.iter().fold(0.0f32, |m, w| m.max(w.abs()));
                let bound = f64::from(largest / 254.0 + largest / 2048.0 + 127.0 * 2f32.powi(-25));
                prop_assert!(error <= group.len() as f64 * bound * bound, "{error} over {bound}");
            }
        }
    }

    #[test]
    fn weights_beyond_the_format_are_refused() {
        for weights in [
            vec![f32::NAN; 64],
            vec![f32::INFINITY; 64],
            vec![1e9; 64],
            vec![0.0; 63],
        ] {
            let error = quantise("layer.weight", &weights, 64).unwrap_err();
            assert!(error.to_string().contains("layer.weight"), "{error}");
        }
        assert_eq!(quantise("zeros", &[0.0; 64], 64).unwrap().values, [0; 64]);
    }
}
