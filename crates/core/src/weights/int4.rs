//! Weights to int4: asymmetric, in groups of 32 along the input axis, with an F16 scale and an F16 minimum for each.
//!
//! A weight is `value x scale + minimum` with an integer value in 0..=15. Of several clipping ranges of a group, each as
//! it is and refitted by linear regression of the weights on their values (the optimum for fixed values), the one of least
//! squared error wins. Plain rounding between the smallest and the largest weight is among them, so no group comes out
//! worse than with it.

#![allow(
    clippy::needless_range_loop,
    reason = "one index runs through several arrays of equal length"
)]

use half::f16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::quantise::{LANES, dispatch, total};

use crate::error::{Error, Result};

/// Weights of a row that share a scale and a minimum in int4.
pub const INT4_GROUP: usize = 32;
/// The largest stored value.
const MAX_VALUE: f32 = 15.0;
/// Clipping ranges tried, as parts of the range of the weights: 1.00, 0.97, ... 0.61.
const CLIP_STEPS: u32 = 14;
const CLIP_STEP: f32 = 0.03;
/// Rounds of regression for each clipping range.
const REFITS: u32 = 2;

/// A matrix in int4.
#[derive(Clone, Debug, PartialEq)]
pub struct Int4Matrix {
    /// Values `[rows, ceil(columns / 2)]`, row by row, the value of the even column in the lower half of its byte.
    pub values: Vec<u8>,
    /// Scales `[rows, ceil(columns / 32)]`, row by row.
    pub scales: Vec<f16>,
    /// Minima, as the scales.
    pub minima: Vec<f16>,
}

/// Quantises a matrix `[rows, columns]`, row by row in `weights`.
///
/// ```
/// use ragtune_core::weights::{dequantise_int4, quantise_int4};
/// let row: Vec<f32> = (0..32).map(|i| i as f32 / 31.0).collect();
/// let matrix = quantise_int4("a", &row, 32)?;
/// let back = dequantise_int4(&matrix, 32);
/// assert!(row.iter().zip(&back).all(|(w, b)| (w - b).abs() < 0.6 / 15.0));
/// # Ok::<(), ragtune_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidArgument`] when `weights` is no whole number of rows, or a weight of `tensor` is not finite or beyond
/// the largest F16 number.
pub fn quantise_int4(tensor: &str, weights: &[f32], columns: usize) -> Result<Int4Matrix> {
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
    let limit = f16::MAX.to_f32();
    if let Some(weight) = weights
        .iter()
        .find(|weight| weight.is_nan() || weight.abs() > limit)
    {
        return Err(invalid(format!(
            "tensor {tensor:?} has the weight {weight}, and int4 with F16 minima goes up to {limit}"
        )));
    }
    let (rows, bytes, groups) = (
        weights.len() / columns,
        columns.div_ceil(2),
        columns.div_ceil(INT4_GROUP),
    );
    let mut matrix = Int4Matrix {
        values: vec![0; rows * bytes],
        scales: vec![f16::ZERO; rows * groups],
        minima: vec![f16::ZERO; rows * groups],
    };
    weights
        .par_chunks_exact(columns)
        .zip(matrix.values.par_chunks_exact_mut(bytes))
        .zip(matrix.scales.par_chunks_exact_mut(groups))
        .zip(matrix.minima.par_chunks_exact_mut(groups))
        .for_each(|(((row, values), scales), minima)| {
            dispatch(Row {
                row,
                values,
                scales,
                minima,
            });
        });
    Ok(matrix)
}

/// The weights `[rows, columns]` that a matrix in int4 stands for; of a matrix that does not fit `columns`, the rows that
/// are whole.
#[must_use]
pub fn dequantise_int4(matrix: &Int4Matrix, columns: usize) -> Vec<f32> {
    let groups = columns.div_ceil(INT4_GROUP).max(1);
    let rows = matrix.values.chunks_exact(columns.div_ceil(2).max(1));
    let scales = matrix.scales.chunks_exact(groups);
    let minima = matrix.minima.chunks_exact(groups);
    let mut weights = Vec::with_capacity(matrix.values.len() * 2);
    for ((row, scales), minima) in rows.zip(scales).zip(minima) {
        weights.extend((0..columns).map(|column| {
            let value = (row[column / 2] >> (column % 2 * 4)) & 0xF;
            let group = column / INT4_GROUP;
            f32::from(value) * scales[group].to_f32() + minima[group].to_f32()
        }));
    }
    weights
}

/// A row and what it becomes.
struct Row<'a> {
    row: &'a [f32],
    values: &'a mut [u8],
    scales: &'a mut [f16],
    minima: &'a mut [f16],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let parts = self
            .row
            .chunks(INT4_GROUP)
            .zip(self.values.chunks_mut(INT4_GROUP / 2));
        for ((group, values), (scale, minimum)) in parts.zip(self.scales.iter_mut().zip(self.minima)) {
            // A whole group has a length that the compiler knows.
            let best = match <&[f32; INT4_GROUP]>::try_from(group) {
                Ok(group) => best(group),
                Err(_) => best(group),
            };
            (*scale, *minimum) = (best.scale, best.minimum);
            for (byte, pair) in values.iter_mut().zip(group.chunks(2)) {
                let nibble = |weight: &f32| best.value(*weight) as u8;
                *byte = nibble(&pair[0]) | pair.get(1).map_or(0, nibble) << 4;
            }
        }
    }
}

/// How a group is coded.
#[derive(Clone, Copy)]
struct Coding {
    scale: f16,
    minimum: f16,
    /// `1 / scale` and `minimum` in f32; 0 for a group of equal weights.
    inverse: f32,
    offset: f32,
}

impl Coding {
    #[inline(always)]
    fn new(scale: f32, minimum: f32) -> Self {
        let (scale, minimum) = (f16::from_f32(scale.max(0.0)), f16::from_f32(minimum));
        let step = scale.to_f32();
        Self {
            scale,
            minimum,
            inverse: if step > 0.0 { 1.0 / step } else { 0.0 },
            offset: minimum.to_f32(),
        }
    }

    /// The integer of a weight.
    #[inline(always)]
    fn value(&self, weight: f32) -> f32 {
        let value = ((weight - self.offset) * self.inverse).clamp(0.0, MAX_VALUE);
        // Rounds without a call into the mathematics library: 0 to 15 fit behind 2^23.
        (value + 8_388_608.0) - 8_388_608.0
    }

    /// The squared error of a group, and the best scale and minimum for the values that this coding gives it; `None` where
    /// all values are equal.
    #[inline(always)]
    fn tried(&self, group: &[f32]) -> (f32, Option<Self>) {
        // Sums of squared errors, values, their squares, weights, and products of both.
        let mut sums = [[0.0f32; LANES]; 5];
        let step = self.scale.to_f32();
        let (parts, rest) = group.as_chunks::<LANES>();
        for part in parts {
            for lane in 0..LANES {
                self.add(&mut sums, lane, part[lane], step);
            }
        }
        for (lane, weight) in rest.iter().enumerate() {
            self.add(&mut sums, lane, *weight, step);
        }
        let [error, v, vv, w, vw] = sums.map(total);
        let n = group.len() as f32;
        let spread = n * vv - v * v;
        if spread <= 0.0 {
            return (error, None);
        }
        let scale = (n * vw - v * w) / spread;
        (error, Some(Self::new(scale, (w - scale * v) / n)))
    }

    #[inline(always)]
    fn add(&self, sums: &mut [[f32; LANES]; 5], lane: usize, weight: f32, step: f32) {
        let value = self.value(weight);
        let error = value * step + self.offset - weight;
        sums[0][lane] += error * error;
        sums[1][lane] += value;
        sums[2][lane] += value * value;
        sums[3][lane] += weight;
        sums[4][lane] += value * weight;
    }
}

/// The coding with the least squared error of a group.
#[inline(always)]
fn best(group: &[f32]) -> Coding {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for weight in group {
        (low, high) = (low.min(*weight), high.max(*weight));
    }
    let mut best = Coding::new((high - low) / MAX_VALUE, low);
    let mut least = f32::INFINITY;
    for step in 0..CLIP_STEPS {
        let cut = (high - low) * step as f32 * CLIP_STEP / 2.0;
        let mut coding = Coding::new((high - low - 2.0 * cut) / MAX_VALUE, low + cut);
        for _ in 0..=REFITS {
            let (error, refitted) = coding.tried(group);
            if error < least {
                (least, best) = (error, coding);
            }
            match refitted {
                Some(refitted) => coding = refitted,
                None => break,
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_group_is_worse_than_by_plain_rounding(
            rows in 1usize..4, columns in 1usize..100, shift in -2f32..2.0, magnitude in -5i32..4, seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let weights: Vec<f32> = (0..rows * columns).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as f32 / (1u32 << 23) as f32 - 1.0 + shift) * 10f32.powi(magnitude)
            }).collect();
            let matrix = quantise_int4("w", &weights, columns).unwrap();
            prop_assert_eq!(matrix.values.len(), rows * columns.div_ceil(2));
            prop_assert_eq!(matrix.scales.len(), rows * columns.div_ceil(INT4_GROUP));
            let back = dequantise_int4(&matrix, columns);
            prop_assert_eq!(back.len(), weights.len());
            let groups = weights.chunks(columns).flat_map(|row| row.chunks(INT4_GROUP));
            let found = back.chunks(columns).flat_map(|row| row.chunks(INT4_GROUP));
            for (group, found) in groups.zip(found) {
                let (low, high) = group.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), w| (l.min(*w), h.max(*w)));
                let plain = Coding::new((high - low) / MAX_VALUE, low).tried(group).0;
                let error: f32 = group.iter().zip(found).map(|(w, b)| (w - b).powi(2)).sum();
                prop_assert!(error <= plain * 1.0001 + f32::MIN_POSITIVE);
                // Half a step, and the rounding of scale and minimum to 11 bits or to a subnormal number.
                let size = low.abs().max(high.abs());
                let bound = (high - low) / 30.0 + size / 1000.0 + 16.0 * 2f32.powi(-24);
                prop_assert!(error <= group.len() as f32 * bound * bound, "{error} over {bound}");
            }
        }
    }

    #[test]
    fn weights_beyond_the_format_are_refused() {
        for weights in [
            vec![f32::NAN; 32],
            vec![f32::INFINITY; 32],
            vec![1e5; 32],
            vec![0.0; 31],
        ] {
            let error = quantise_int4("layer.weight", &weights, 32).unwrap_err();
            assert!(error.to_string().contains("layer.weight"), "{error}");
        }
        assert_eq!(
            dequantise_int4(&quantise_int4("zeros", &[0.0; 33], 33).unwrap(), 33),
            [0.0; 33]
        );
        assert_eq!(
            dequantise_int4(&quantise_int4("ones", &[1.0; 5], 5).unwrap(), 5),
            [1.0; 5]
        );
    }
}
