//! Weights to int8: symmetric, in groups of 64 along the input axis, with one F16 scale for each group.
//!
//! A weight is `value x scale` with an integer value in -127..=127. The scale of a group is chosen for the least
//! squared error: of several clipping ranges, each with the least-squares scale of its values (the optimum for fixed
//! values, sum(v w) / sum(v v)), the best one wins. Plain rounding by the largest weight is among the candidates, so no group
//! comes out worse than with it.

use half::f16;
use rayon::prelude::*;

use super::convert::QUANTISATION_GROUP;
use crate::error::{Error, Result};

/// The largest stored value; -128 is left out, so that the range is symmetric.
const MAX_VALUE: f32 = 127.0;
/// Clipping ranges tried, as parts of the largest weight: 1.00, 0.99, ... 0.70.
const CLIP_STEPS: u32 = 31;
const CLIP_STEP: f32 = 0.01;

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
    let rows: Vec<(Vec<i8>, Vec<f16>)> = weights
        .par_chunks_exact(columns)
        .map(|row| {
            let mut values = Vec::with_capacity(columns);
            let scales = row.chunks(QUANTISATION_GROUP).map(|group| {
                let scale = best_scale(group);
                values.extend(group.iter().map(|&weight| value(weight, scale.to_f32()) as i8));
                scale
            });
            let scales = scales.collect();
            (values, scales)
        })
        .collect();
    let (mut values, mut scales) = (Vec::with_capacity(weights.len()), Vec::new());
    for (row_values, row_scales) in rows {
        values.extend(row_values);
        scales.extend(row_scales);
    }
    Ok(QuantisedMatrix { values, scales })
}

/// The integer of a weight; a group whose scale is too small for F16 is zeros.
fn value(weight: f32, scale: f32) -> f32 {
    if scale == 0.0 {
        return 0.0;
    }
    (weight / scale).round_ties_even().clamp(-MAX_VALUE, MAX_VALUE)
}

/// The scale with the least squared error of a group.
fn best_scale(group: &[f32]) -> f16 {
    let largest = group
        .iter()
        .fold(0.0f32, |largest, weight| largest.max(weight.abs()));
    let mut best = (f64::INFINITY, f16::ZERO);
    for step in 0..CLIP_STEPS {
        let clipped = f16::from_f32(largest * (1.0 - step as f32 * CLIP_STEP) / MAX_VALUE);
        for scale in [clipped, least_squares(group, clipped)] {
            let error = squared_error(group, scale);
            if error < best.0 {
                best = (error, scale);
            }
        }
    }
    best.1
}

/// The best scale for the values that `scale` gives.
fn least_squares(group: &[f32], scale: f16) -> f16 {
    let (mut vw, mut vv) = (0.0f64, 0.0f64);
    for &weight in group {
        let v = f64::from(value(weight, scale.to_f32()));
        vw += v * f64::from(weight);
        vv += v * v;
    }
    if vv > 0.0 { f16::from_f64(vw / vv) } else { scale }
}

fn squared_error(group: &[f32], scale: f16) -> f64 {
    let scale = scale.to_f32();
    let error = |&weight: &f32| f64::from(value(weight, scale) * scale - weight).powi(2);
    group.iter().map(error).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain_error(group: &[f32]) -> f64 {
        let largest = group.iter().fold(0.0f32, |m, w| m.max(w.abs()));
        squared_error(group, f16::from_f32(largest / MAX_VALUE))
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
                prop_assert!(error <= plain_error(group));
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
