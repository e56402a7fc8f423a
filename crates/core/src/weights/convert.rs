//! Stored weights to f32.

use half::{bf16, f16};
use safetensors::Dtype;

use super::error::CheckpointError;

/// Weights of a row that share one scale in an int8 checkpoint.
pub const QUANTISATION_GROUP: usize = 64;

/// The weights of a tensor as f32; every one is finite.
pub(super) fn to_f32(tensor: &str, dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, CheckpointError> {
    let weights: Vec<f32> = match dtype {
        Dtype::F32 => chunks(bytes).map(f32::from_le_bytes).collect(),
        Dtype::F16 => chunks(bytes)
            .map(|bytes| f16::from_le_bytes(bytes).to_f32())
            .collect(),
        Dtype::BF16 => chunks(bytes)
            .map(|bytes| bf16::from_le_bytes(bytes).to_f32())
            .collect(),
        other => {
            return Err(CheckpointError::Dtype {
                tensor: tensor.to_owned(),
                found: other.to_string(),
            });
        }
    };
    finite(tensor, weights)
}

/// A bfloat16 tensor as it is; every weight is finite.
pub(super) fn to_bf16(tensor: &str, bytes: &[u8]) -> Result<Vec<bf16>, CheckpointError> {
    let weights: Vec<bf16> = chunks(bytes).map(bf16::from_le_bytes).collect();
    match weights.iter().position(|weight| !weight.is_finite()) {
        None => Ok(weights),
        Some(index) => Err(CheckpointError::NotFinite {
            tensor: tensor.to_owned(),
            index,
            value: weights[index].to_f32(),
        }),
    }
}

/// Scales or minima, which are stored as F16 and every one finite.
pub(super) fn to_scales(tensor: &str, dtype: Dtype, bytes: &[u8]) -> Result<Vec<f16>, CheckpointError> {
    if dtype != Dtype::F16 {
        return Err(CheckpointError::ScaleDtype {
            tensor: tensor.to_owned(),
            found: dtype.to_string(),
        });
    }
    to_f16(tensor, bytes)
}

/// An F16 tensor as it is; every weight is finite.
pub(super) fn to_f16(tensor: &str, bytes: &[u8]) -> Result<Vec<f16>, CheckpointError> {
    let weights: Vec<f16> = chunks(bytes).map(f16::from_le_bytes).collect();
    match weights.iter().position(|scale| !scale.is_finite()) {
        None => Ok(weights),
        Some(index) => Err(CheckpointError::NotFinite {
            tensor: tensor.to_owned(),
            index,
            value: weights[index].to_f32(),
        }),
    }
}

/// Weights `[rows, columns]` from int8 values and one scale `[rows, ceil(columns / 64)]` for each group of 64 columns:
/// weight = value x scale.
pub(super) fn dequantised(values: &[i8], columns: usize, scales: &[f16]) -> Vec<f32> {
    let mut weights = Vec::with_capacity(values.len());
    let groups = columns.div_ceil(QUANTISATION_GROUP);
    for (row, scales) in values
        .chunks_exact(columns.max(1))
        .zip(scales.chunks_exact(groups.max(1)))
    {
        for (group, scale) in row.chunks(QUANTISATION_GROUP).zip(scales) {
            let scale = scale.to_f32();
            weights.extend(group.iter().map(|&value| f32::from(value) * scale));
        }
    }
    weights
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().copied()
}

fn finite(tensor: &str, weights: Vec<f32>) -> Result<Vec<f32>, CheckpointError> {
    match weights.iter().position(|weight| !weight.is_finite()) {
        None => Ok(weights),
        Some(index) => Err(CheckpointError::NotFinite {
            tensor: tensor.to_owned(),
            index,
            value: weights[index],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_every_precision() {
        let f32s: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(to_f32("a", Dtype::F32, &f32s).unwrap(), [1.5, -2.0]);
        let f16s: Vec<u8> = [1.5, -0.1]
            .iter()
            .flat_map(|&x| f16::from_f32(x).to_le_bytes())
            .collect();
        assert_eq!(
            to_f32("a", Dtype::F16, &f16s).unwrap(),
            [1.5, f16::from_f32(-0.1).to_f32()]
        );
        let bf16s: Vec<u8> = [1.5, -0.1]
            .iter()
            .flat_map(|&x| bf16::from_f32(x).to_le_bytes())
            .collect();
        assert_eq!(
            to_f32("a", Dtype::BF16, &bf16s).unwrap(),
            [1.5, bf16::from_f32(-0.1).to_f32()]
        );
        assert!(
            matches!(to_f32("a", Dtype::I64, &[0; 8]), Err(CheckpointError::Dtype { tensor, .. }) if tensor == "a")
        );
    }

    #[test]
    fn finds_weights_that_are_no_numbers() {
        let nan: Vec<u8> = [1.0, f32::NAN].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(matches!(
            to_f32("a", Dtype::F32, &nan),
            Err(CheckpointError::NotFinite { index: 1, .. })
        ));
    }

    #[test]
    fn dequantises_groups_of_a_row() {
        let row: Vec<i8> = (0..70).map(|i| i - 35).collect();
        let scales = [1.0, 2.0, 3.0, 4.0].map(f16::from_f32);
        let weights = dequantised(&[row.clone(), row].concat(), 70, &scales);
        assert_eq!(weights.len(), 140);
        assert_eq!(
            (weights[0], weights[63], weights[64], weights[69]),
            (-35.0, 28.0, 58.0, 68.0)
        );
        assert_eq!((weights[70], weights[134]), (-105.0, 116.0));
    }

    #[test]
    fn scales_are_finite_f16() {
        let infinite = f16::INFINITY.to_le_bytes();
        assert!(matches!(
            to_scales("a", Dtype::F16, &infinite),
            Err(CheckpointError::NotFinite { index: 0, .. })
        ));
        assert!(matches!(
            to_scales("a", Dtype::F32, &[0; 4]),
            Err(CheckpointError::ScaleDtype { .. })
        ));
        assert!(to_bf16("a", &[0, 0, 0xC0, 0x7F]).is_err());
    }
}
