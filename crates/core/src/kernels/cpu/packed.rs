//! A weight packed for the product in one of its precisions.
//!
//! Letters: `k` inner width, `n` columns of the product.

use std::marker::PhantomData;

use half::{bf16, f16};
use pulp::Simd;

use super::coded::{Bf16, Code, F16, Int4, Int8};
use super::coded_product::{CodedProduct, PanelProduct};
use super::coded_rows::CodedPart;
use super::integer_product::{Integers, integer_product};
use super::panels::{PANEL_VECTORS, Panels};
use super::product::Sink;
use super::rows::Rows;
use crate::weights::{
    Content, INT4_GROUP, Int4Matrix, Precision, QUANTISATION_GROUP, QuantisedMatrix, StoredMatrix,
};

/// A packed weight of `k` by `n`.
#[derive(Debug)]
pub struct Packed {
    k: usize,
    n: usize,
    form: Form,
}

#[derive(Debug)]
enum Form {
    F32(Panels),
    Bf16(Panels<u32>),
    F16(Panels<u32>),
    Int8(Panels<u32>),
    Int4(Panels<u32>),
}

/// The same rows as f32 and, where a weight asks for them, as integers.
#[derive(Clone, Copy)]
pub struct Factors<'a> {
    pub rows: Rows<'a>,
    pub coded: CodedPart<'a>,
}

/// Memory that products of several panels use in turn.
pub struct Scratch {
    panel: Panels,
    sums: Vec<f32>,
}

impl Scratch {
    pub fn new() -> Self {
        Self {
            panel: Panels::empty(),
            sums: Vec::new(),
        }
    }
}

impl Packed {
    /// Packs the transpose of a stored matrix `[n, k]` in its precision.
    pub fn new(matrix: &StoredMatrix) -> Self {
        let [n, k] = matrix.dims();
        let [int8_groups, int4_groups] = [QUANTISATION_GROUP, INT4_GROUP].map(|group| k.div_ceil(group));
        match matrix.content() {
            Content::F32(weights) => Self::f32(Rows::new(weights, k, n, k)),
            Content::Bf16(weights) => {
                let words = halves(k, n, weights, bf16::to_bits);
                let form = Form::Bf16(words);
                Self { k, n, form }
            }
            Content::F16(weights) => {
                let words = halves(k, n, weights, f16::to_bits);
                let form = Form::F16(words);
                Self { k, n, form }
            }
            Content::Int8(QuantisedMatrix { values, scales }) => {
                let scale = |column: usize, group: usize| scales[column * int8_groups + group].to_bits();
                Self::int8(k, n, values, scale)
            }
            Content::Int4(Int4Matrix {
                values,
                scales,
                minima,
            }) => Self::int4(k, n, values, |column, group| {
                [scales, minima].map(|halves| halves[column * int4_groups + group].to_bits())
            }),
        }
    }

    /// Packs the transpose of `matrix [n, k]` as it is.
    pub fn f32(matrix: Rows<'_>) -> Self {
        Self {
            k: matrix.width(),
            n: matrix.len(),
            form: Form::F32(Panels::pack(matrix)),
        }
    }

    /// Packs the transpose of a matrix `[n, k]` in int8: values row by row, and the bits of an F16 scale for each group
    /// of 64 of a row.
    fn int8(k: usize, n: usize, values: &[i8], scale: impl Fn(usize, usize) -> u16 + Sync) -> Self {
        let groups = k.div_ceil(Int8::SECTION * 4);
        let word = |column: usize, index: usize| {
            let (block, within) = (index / Int8::BLOCK, index % Int8::BLOCK);
            if within == 0 {
                let bits = |group: usize| {
                    if group < groups {
                        u32::from(scale(column, group))
                    } else {
                        0
                    }
                };
                return bits(2 * block) | bits(2 * block + 1) << 16;
            }
            let first = block * Int8::WEIGHTS + (within - 1) * 4;
            let row = &values[column * k..][..k];
            let byte = |at: usize| {
                let value = row.get(at).copied().unwrap_or(0);
                (i16::from(value) + Int8::BIAS) as u32
            };
            (0..4).fold(0, |word, p| word | byte(first + p) << (8 * p))
        };
        Self {
            k,
            n,
            form: Form::Int8(Panels::of_words(Int8::words(k), n, word)),
        }
    }

    /// Packs the transpose of a matrix `[n, k]` in int4: two values a byte, the first in the lower half, every row from a
    /// new byte on; and the bits of the F16 scale and minimum for each group of 32 of a row.
    fn int4(k: usize, n: usize, values: &[u8], scale: impl Fn(usize, usize) -> [u16; 2] + Sync) -> Self {
        let bytes = k.div_ceil(2);
        let word = |column: usize, index: usize| {
            let (block, within) = (index / Int4::BLOCK, index % Int4::BLOCK);
            if within == 0 {
                let [scale, minimum] = scale(column, block);
                return u32::from(scale) | u32::from(minimum) << 16;
            }
            let first = block * Int4::WEIGHTS / 2 + (within - 1) * 4;
            let row = &values[column * bytes..][..bytes];
            let byte = |at: usize| row.get(at).copied().unwrap_or(0);
            Int4::word(std::array::from_fn(|p| byte(first + p / 2) >> (4 * (p % 2))))
        };
        Self {
            k,
            n,
            form: Form::Int4(Panels::of_words(Int4::words(k), n, word)),
        }
    }

    /// Inner width `k`.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Width that rows have to be filled up to with zeros: `k`, or a few more where words would be half full.
    pub fn row_width(&self) -> usize {
        match &self.form {
            Form::F32(_) => self.k,
            Form::Bf16(_) | Form::F16(_) => self.k.next_multiple_of(2),
            Form::Int8(_) | Form::Int4(_) => self.k,
        }
    }

    /// Whether the product reads rows as integers.
    pub fn is_integer(&self) -> bool {
        matches!(self.form, Form::Int8(_) | Form::Int4(_))
    }

    /// Columns `n` of the product.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of panels.
    #[inline(always)]
    pub fn panels(&self) -> usize {
        match &self.form {
            Form::F32(panels) => panels.panels(),
            Form::Bf16(words) | Form::F16(words) | Form::Int8(words) | Form::Int4(words) => words.panels(),
        }
    }

    /// First column of a panel, or `n` behind the last.
    #[inline(always)]
    pub fn first_column(&self, panel: usize) -> usize {
        match &self.form {
            Form::F32(panels) => panels.first_column(panel),
            Form::Bf16(words) | Form::F16(words) | Form::Int8(words) | Form::Int4(words) => {
                words.first_column(panel).min(self.n)
            }
        }
    }

    /// The precision that it is packed in.
    pub fn precision(&self) -> Precision {
        match &self.form {
            Form::F32(_) => Precision::F32,
            Form::Bf16(_) => Precision::Bf16,
            Form::F16(_) => Precision::F16,
            Form::Int8(_) => Precision::Int8,
            Form::Int4(_) => Precision::Int4,
        }
    }

    /// Bytes that the weight takes.
    pub fn bytes(&self) -> usize {
        match &self.form {
            Form::F32(panels) => panels.bytes(),
            Form::Bf16(words) | Form::F16(words) | Form::Int8(words) | Form::Int4(words) => words.bytes(),
        }
    }

    /// Appends column `column` to `target`: a row of the matrix `[n, k]`.
    pub fn append_column(&self, column: usize, target: &mut Vec<f32>) {
        match &self.form {
            Form::F32(panels) => target.extend(panels.column(column)),
            Form::Bf16(words) => append::<Bf16, 2>(words, self.k, column, target),
            Form::F16(words) => append::<F16, 2>(words, self.k, column, target),
            Form::Int8(words) => append::<Int8, 4>(words, self.k, column, target),
            Form::Int4(words) => append::<Int4, 8>(words, self.k, column, target),
        }
    }

    /// The matrix as `[n, k]`, decoded.
    pub fn unpack(&self) -> Vec<f32> {
        if let Form::F32(panels) = &self.form {
            return panels.unpack();
        }
        let mut matrix = Vec::with_capacity(self.n() * self.k);
        for column in 0..self.n() {
            self.append_column(column, &mut matrix);
        }
        matrix
    }

    /// The product of all rows with one panel.
    ///
    /// # Shapes
    ///
    /// `rows [r, row width]`, `self [k, n] -> [r, columns of the panel]`, into `sink`.
    #[inline(always)]
    pub fn product<S: Simd, K: Sink>(
        &self,
        simd: S,
        factors: Factors<'_>,
        panel: usize,
        scratch: &mut Scratch,
        sink: &mut K,
    ) {
        let rows = factors.rows;
        match &self.form {
            Form::F32(matrix) => simd.vectorize(PanelProduct {
                rows,
                matrix,
                panel,
                column: matrix.first_column(panel),
                sink,
            }),
            Form::Bf16(matrix) => {
                simd.vectorize(coded(Bf16, matrix, rows, panel, &mut scratch.panel, sink));
            }
            Form::F16(matrix) => {
                simd.vectorize(coded(F16, matrix, rows, panel, &mut scratch.panel, sink));
            }
            Form::Int8(matrix) => integer(simd, Integers::Int8, matrix, factors.coded, panel, scratch, sink),
            Form::Int4(matrix) => integer(simd, Integers::Int4, matrix, factors.coded, panel, scratch, sink),
        }
    }
}

fn coded<'a, C, K: Sink>(
    _code: C,
    matrix: &'a Panels<u32>,
    rows: Rows<'a>,
    panel: usize,
    scratch: &'a mut Panels,
    sink: &'a mut K,
) -> CodedProduct<'a, C, K> {
    CodedProduct {
        code: PhantomData,
        rows,
        matrix,
        panel,
        scratch,
        sink,
    }
}

#[inline(always)]
fn integer<S: Simd, K: Sink>(
    simd: S,
    integers: Integers,
    matrix: &Panels<u32>,
    rows: CodedPart<'_>,
    panel: usize,
    scratch: &mut Scratch,
    sink: &mut K,
) {
    let width = PANEL_VECTORS * S::F32_LANES;
    let needed = rows.len() * width;
    if scratch.sums.len() < needed {
        scratch.sums.resize(needed, 0.0);
    }
    let sums = &mut scratch.sums[..needed];
    integer_product(integers, rows, matrix, panel, sums);
    let column = matrix.first_column(panel);
    let (vectors, _) = S::as_simd_f32s(sums);
    for (row, vectors) in vectors.chunks_exact(PANEL_VECTORS).enumerate() {
        for (v, values) in vectors.iter().enumerate() {
            sink.put(simd, row, column + v * S::F32_LANES, *values);
        }
    }
}

/// The words of a matrix `[n, k]` of numbers of 16 bits, row by row in `values`.
fn halves<T: Copy + Sync>(k: usize, n: usize, values: &[T], bits: impl Fn(T) -> u16 + Sync) -> Panels<u32> {
    Panels::of_words(Bf16::words(k), n, |column, index| {
        let row = &values[column * k..][..k];
        let bits = |at: usize| row.get(at).map_or(0, |value| u32::from(bits(*value)));
        bits(2 * index) | bits(2 * index + 1) << 16
    })
}

fn append<C: Code<P>, const P: usize>(words: &Panels<u32>, k: usize, column: usize, target: &mut Vec<f32>) {
    let words: Vec<u32> = words.column(column).collect();
    target.extend((0..k).map(|index| {
        let (header, section, word, position) = C::place(index);
        C::scalar(words[header], section, words[word], position)
    }));
}
