//! The product of rows with a matrix of 16-bit numbers: weights become f32 in registers, or panel by panel in the cache,
//! but never as a whole.
//!
//! Letters: `k` inner width, `n` columns of the product.

#![allow(
    clippy::needless_range_loop,
    reason = "one index runs through several arrays of equal length"
)]

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::coded::Halves;
use super::panels::{PANEL_VECTORS, Panels};
use super::product::{Sink, panel_product, put};
use super::rows::Rows;

/// Rows from which on a panel is decoded as a whole before it is multiplied with.
const DECODE_ROWS: usize = 16;
/// Words of a panel that lie side by side.
type Words<S> = [<S as Simd>::u32s; PANEL_VECTORS];
/// The weights of one position of those words.
type Weights<S> = [<S as Simd>::f32s; PANEL_VECTORS];
/// Weights of a word.
const P: usize = 2;

/// The product of rows with one panel of an f32 matrix.
///
/// # Shapes
///
/// `rows [r, k]`, `matrix [k, n] -> [r, columns of the panel]`, into `sink`.
pub struct PanelProduct<'a, K> {
    pub rows: Rows<'a>,
    pub matrix: &'a Panels,
    pub panel: usize,
    /// What `sink` knows the first column of the panel as.
    pub column: usize,
    pub sink: &'a mut K,
}

impl<K: Sink> WithSimd for PanelProduct<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let steps = 0..self.matrix.k();
        panel_product(
            simd,
            self.rows,
            self.matrix,
            steps,
            self.panel,
            self.column,
            self.sink,
        );
    }
}

/// The product of rows with one panel of a matrix of 16-bit numbers.
///
/// Few rows are multiplied with what is decoded in registers; for many the panel is decoded once into `scratch`, which
/// stays in the cache. Either way a sum runs over the inner width in order, so that a row's result does not depend on how
/// many others there are. Rows are as wide as the words of a column have weights, with zeros behind the `k`-th component.
///
/// # Shapes
///
/// `rows [r, k rounded up]`, `matrix [k, n] -> [r, columns of the panel]`, into `sink`.
pub struct CodedProduct<'a, C, K> {
    pub code: PhantomData<C>,
    pub rows: Rows<'a>,
    pub matrix: &'a Panels<u32>,
    pub panel: usize,
    pub scratch: &'a mut Panels,
    pub sink: &'a mut K,
}

impl<C: Halves, K: Sink> WithSimd for CodedProduct<'_, C, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.rows;
        let column = self.matrix.first_column(self.panel);
        let words = self.matrix.words(simd, self.panel);
        if rows.len() >= DECODE_ROWS {
            decode::<S, C>(simd, words, self.scratch.one_panel(simd, rows.width()));
            simd.vectorize(PanelProduct {
                rows,
                matrix: self.scratch,
                panel: 0,
                column,
                sink: self.sink,
            });
            return;
        }
        let mut row = 0;
        while row + 4 <= rows.len() {
            tile::<S, C, K, 4>(simd, rows, row, words, column, self.sink);
            row += 4;
        }
        while row < rows.len() {
            tile::<S, C, K, 1>(simd, rows, row, words, column, self.sink);
            row += 1;
        }
    }
}

/// A coded panel as the panel of its weights.
#[inline(always)]
fn decode<S: Simd, C: Halves>(simd: S, words: &[Words<S>], panel: &mut [Weights<S>]) {
    for (word, steps) in words.iter().zip(panel.as_chunks_mut::<P>().0) {
        for (p, step) in steps.iter_mut().enumerate() {
            for v in 0..PANEL_VECTORS {
                step[v] = C::weight(simd, word[v], p);
            }
        }
    }
}

/// `MR` rows with one coded panel.
#[inline(always)]
fn tile<S: Simd, C: Halves, K: Sink, const MR: usize>(
    simd: S,
    rows: Rows<'_>,
    first: usize,
    words: &[Words<S>],
    column: usize,
    sink: &mut K,
) {
    let x: [&[[f32; P]]; MR] =
        std::array::from_fn(|r| &rows.row(first + r).as_chunks::<P>().0[..words.len()]);
    let mut sums = [[simd.splat_f32s(0.0); PANEL_VECTORS]; MR];
    for index in 0..words.len() {
        let word = &words[index];
        for p in 0..P {
            for v in 0..PANEL_VECTORS {
                let weight = C::weight(simd, word[v], p);
                for r in 0..MR {
                    let factor = simd.splat_f32s(x[r][index][p]);
                    sums[r][v] = simd.mul_add_e_f32s(factor, weight, sums[r][v]);
                }
            }
        }
    }
    put(simd, sums, first, column, sink);
}
