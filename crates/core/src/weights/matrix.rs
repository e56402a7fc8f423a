//! A weight matrix as it is stored.

use half::{bf16, f16};

use super::convert::{self, QUANTISATION_GROUP};
use super::int4::{INT4_GROUP, Int4Matrix, dequantise_int4, quantise_int4};
use super::precision::Precision;
use super::quantise::{QuantisedMatrix, quantise};
use crate::error::{Error, Result};

/// A matrix `[rows, columns]` in one of the precisions.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMatrix {
    dims: [usize; 2],
    content: Content,
}

/// What a [`StoredMatrix`] holds, row by row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// f32.
    F32(Vec<f32>),
    /// bfloat16.
    Bf16(Vec<bf16>),
    /// IEEE 754 half precision.
    F16(Vec<f16>),
    /// int8 with scales.
    Int8(QuantisedMatrix),
    /// int4 with scales and minima.
    Int4(Int4Matrix),
}

impl StoredMatrix {
    /// A matrix of these weights in the precision; `tensor` names it in messages.
    ///
    /// ```
    /// use ragtune_core::weights::{Precision, StoredMatrix};
    /// let matrix = StoredMatrix::new("a", vec![0.5; 128], [2, 64], Precision::Int8)?;
    /// assert_eq!(matrix.bytes(), 2 * (64 + 2));
    /// assert!((matrix.to_f32()[0] - 0.5).abs() < 1e-3);
    /// # Ok::<(), ragtune_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dimension`] when there are not `rows x columns` weights, and as [`quantise`](super::quantise) and
    /// [`quantise_int4`](super::quantise_int4).
    pub fn new(tensor: &str, weights: Vec<f32>, dims: [usize; 2], precision: Precision) -> Result<Self> {
        let content = Content::F32(weights);
        let matrix = Self::from_content(tensor, dims, content)?;
        matrix.into_precision(tensor, precision)
    }

    /// A matrix of what is stored.
    ///
    /// # Errors
    /// [`Error::Dimension`] when a part has not the length that the dimensions ask for.
    pub fn from_content(tensor: &str, dims: [usize; 2], content: Content) -> Result<Self> {
        let [rows, columns] = dims;
        let check = |part: &str, width: usize, found: usize| match rows.checked_mul(width) {
            Some(expected) if expected == found => Ok(()),
            expected => Err(Error::Dimension {
                what: format!("{tensor}{part}"),
                expected: expected.unwrap_or(usize::MAX),
                found,
            }),
        };
        match &content {
            Content::F32(weights) => check("", columns, weights.len())?,
            Content::Bf16(weights) => check("", columns, weights.len())?,
            Content::F16(weights) => check("", columns, weights.len())?,
            Content::Int8(matrix) => {
                check("", columns, matrix.values.len())?;
                check(
                    "_scale",
                    columns.div_ceil(QUANTISATION_GROUP),
                    matrix.scales.len(),
                )?;
            }
            Content::Int4(matrix) => {
                check("", columns.div_ceil(2), matrix.values.len())?;
                check("_scale", columns.div_ceil(INT4_GROUP), matrix.scales.len())?;
                check("_minimum", columns.div_ceil(INT4_GROUP), matrix.minima.len())?;
            }
        }
        Ok(Self { dims, content })
    }

    /// The same weights in another precision, rounded where it is coarser; unchanged where it is the same.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn into_precision(self, tensor: &str, precision: Precision) -> Result<Self> {
        if precision == self.precision() {
            return Ok(self);
        }
        let (dims, columns) = (self.dims, self.dims[1]);
        let weights = self.into_f32();
        let content = match precision {
            Precision::F32 => Content::F32(weights),
            Precision::Bf16 => Content::Bf16(weights.into_iter().map(bf16::from_f32).collect()),
            Precision::F16 => Content::F16(halves(tensor, &weights)?),
            Precision::Int8 => Content::Int8(quantise(tensor, &weights, columns)?),
            Precision::Int4 => Content::Int4(quantise_int4(tensor, &weights, columns)?),
        };
        Ok(Self { dims, content })
    }

    /// The matrix `[columns, rows]` in the same precision; int8 and int4 are rounded once more, because their groups run
    /// along the other axis then.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn transposed(self, tensor: &str) -> Result<Self> {
        let ([rows, columns], precision) = (self.dims, self.precision());
        let weights = self.into_f32();
        let column = |column: usize| weights.iter().skip(column).step_by(columns).copied();
        let turned = (0..columns).flat_map(column).collect();
        Self::new(tensor, turned, [columns, rows], precision)
    }

    /// `[rows, columns]`.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        self.dims
    }

    /// What is stored.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The precision that it is stored in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match self.content {
            Content::F32(_) => Precision::F32,
            Content::Bf16(_) => Precision::Bf16,
            Content::F16(_) => Precision::F16,
            Content::Int8(_) => Precision::Int8,
            Content::Int4(_) => Precision::Int4,
        }
    }

    /// Bytes that the weights and their scales take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.content {
            Content::F32(weights) => weights.len() * 4,
            Content::Bf16(weights) => weights.len() * 2,
            Content::F16(weights) => weights.len() * 2,
            Content::Int8(matrix) => matrix.values.len() + matrix.scales.len() * 2,
            Content::Int4(matrix) => matrix.values.len() + (matrix.scales.len() + matrix.minima.len()) * 2,
        }
    }

    /// The weights, row by row.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.content {
            Content::F32(weights) => weights.clone(),
            Content::Bf16(weights) => weights.iter().map(|weight| weight.to_f32()).collect(),
            Content::F16(weights) => weights.iter().map(|weight| weight.to_f32()).collect(),
            Content::Int8(matrix) => convert::dequantised(&matrix.values, self.dims[1], &matrix.scales),
            Content::Int4(matrix) => dequantise_int4(matrix, self.dims[1]),
        }
    }

    /// The weights, row by row, without a copy where they are f32.
    #[must_use]
    pub fn into_f32(self) -> Vec<f32> {
        match self.content {
            Content::F32(weights) => weights,
            _ => self.to_f32(),
        }
    }

    /// Some of the rows, in the order given, such as the queries out of a matrix that holds queries, keys and values.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a row that the matrix does not have.
    pub fn select_rows(&self, rows: &[usize]) -> Result<Self> {
        let [count, columns] = self.dims;
        if let Some(row) = rows.iter().find(|row| **row >= count) {
            return Err(Error::InvalidArgument {
                argument: "rows",
                reason: format!("row {row} of a matrix with {count} rows"),
            });
        }
        let groups = columns.div_ceil(QUANTISATION_GROUP);
        let content = match &self.content {
            Content::F32(weights) => Content::F32(select(weights, columns, rows)),
            Content::Bf16(weights) => Content::Bf16(select(weights, columns, rows)),
            Content::F16(weights) => Content::F16(select(weights, columns, rows)),
            Content::Int8(matrix) => Content::Int8(QuantisedMatrix {
                values: select(&matrix.values, columns, rows),
                scales: select(&matrix.scales, groups, rows),
            }),
            Content::Int4(matrix) => Content::Int4(Int4Matrix {
                values: select(&matrix.values, columns.div_ceil(2), rows),
                scales: select(&matrix.scales, columns.div_ceil(INT4_GROUP), rows),
                minima: select(&matrix.minima, columns.div_ceil(INT4_GROUP), rows),
            }),
        };
        Ok(Self {
            dims: [rows.len(), columns],
            content,
        })
    }
}

/// The nearest numbers in half precision.
fn halves(tensor: &str, weights: &[f32]) -> Result<Vec<f16>> {
    let limit = f16::MAX.to_f32();
    let rounded: Vec<f16> = weights.iter().map(|weight| f16::from_f32(*weight)).collect();
    match rounded.iter().position(|weight| !weight.is_finite()) {
        None => Ok(rounded),
        Some(index) => Err(Error::InvalidArgument {
            argument: "weights",
            reason: format!(
                "tensor {tensor:?} has the weight {}, and F16 goes up to {limit}; BF16 goes further",
                weights[index]
            ),
        }),
    }
}

fn select<T: Copy>(values: &[T], width: usize, rows: &[usize]) -> Vec<T> {
    let mut selected = Vec::with_capacity(rows.len() * width);
    for row in rows {
        selected.extend_from_slice(&values[row * width..][..width]);
    }
    selected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Vec<f32> {
        (0..5 * 70).map(|i| (i as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn selected_rows_are_the_rows_of_the_whole() {
        for precision in Precision::ALL {
            let matrix = StoredMatrix::new("w", weights(), [5, 70], precision).unwrap();
            let whole = matrix.to_f32();
            let part = matrix.select_rows(&[3, 0]).unwrap();
            assert_eq!(part.dims(), [2, 70]);
            assert_eq!(part.to_f32(), [&whole[210..280], &whole[..70]].concat());
            assert!(matrix.select_rows(&[5]).is_err());
        }
    }

    #[test]
    fn every_precision_is_near_and_as_small_as_it_says() {
        for (precision, error) in Precision::ALL.into_iter().zip([0.0, 4e-3, 5e-4, 5e-3, 0.1]) {
            let matrix = StoredMatrix::new("w", weights(), [5, 70], precision).unwrap();
            assert_eq!(matrix.precision(), precision);
            for (found, expected) in matrix.to_f32().iter().zip(weights()) {
                assert!(
                    (found - expected).abs() <= error,
                    "{precision}: {found} for {expected}"
                );
            }
            let whole = StoredMatrix::new("w", vec![0.5; 128], [1, 128], precision).unwrap();
            assert_eq!(whole.bytes() as f64 * 8.0, 128.0 * precision.bits());
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert!(StoredMatrix::new("w", vec![0.0; 5], [2, 3], Precision::F32).is_err());
        let matrix = quantise("w", &[0.5; 128], 64).unwrap();
        let wrong = QuantisedMatrix {
            scales: matrix.scales[..1].to_vec(),
            ..matrix
        };
        let error = StoredMatrix::from_content("w", [2, 64], Content::Int8(wrong)).unwrap_err();
        assert!(error.to_string().contains("w_scale"), "{error}");
    }
}
