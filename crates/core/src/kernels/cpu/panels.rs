//! A matrix packed for [`product`](super::product): what one step of the innermost loop reads lies side by side.
//!
//! Letters: `k` inner width, `n` columns of the product, `l` lanes of a vector register.
//!
//! The `n` columns are divided into panels of three vectors (the last may have one or two, its unused lanes are 0). A
//! panel stores, for each of the `k` inner indices, its columns one after another. So the product streams through memory
//! in order, whichever way the matrix lay before.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::rows::Rows;

/// Vectors of a whole panel: with 8 rows they fill 24 of 32 registers with sums, with 4 rows 12 of 16.
pub const PANEL_VECTORS: usize = 3;
/// Bytes of a cache line, on which panels start.
const CACHE_LINE: usize = 64;

/// A packed matrix of `k` by `n`: of f32, or of words in which several coded numbers stand.
pub struct Panels<T = f32> {
    /// The panels from `start` on.
    data: Vec<T>,
    start: usize,
    k: usize,
    n: usize,
    lanes: usize,
}

impl Panels {
    /// Packs the transpose of `matrix [n, k]`, the layout of weights in checkpoints.
    pub fn pack(matrix: Rows<'_>) -> Self {
        let mut panels = Self::empty();
        panels.resize(matrix.width(), matrix.len(), Arch::new().dispatch(Lanes));
        let (k, n, lanes, start) = (panels.k, panels.n, panels.lanes, panels.start);
        let whole = (PANEL_VECTORS * lanes * k).max(1);
        let used = n.next_multiple_of(lanes) * k;
        panels.data[start..start + used]
            .par_chunks_mut(whole)
            .enumerate()
            .for_each(|(panel, target)| {
                transpose(matrix, panel * PANEL_VECTORS * lanes, target.len() / k, target);
            });
        panels
    }

    /// Packs `matrix [k, n]`.
    pub fn pack_rows(matrix: Rows<'_>) -> Self {
        let mut panels = Self::empty();
        panels.resize(matrix.len(), matrix.width(), Arch::new().dispatch(Lanes));
        let (k, n, lanes, start) = (panels.k, panels.n, panels.lanes, panels.start);
        let whole = (PANEL_VECTORS * lanes * k).max(1);
        let used = n.next_multiple_of(lanes) * k;
        panels.data[start..start + used]
            .par_chunks_mut(whole)
            .enumerate()
            .for_each(|(panel, target)| {
                copy(matrix, panel * PANEL_VECTORS * lanes, target.len() / k, target)
            });
        panels
    }

    /// Replaces the content by the transpose of `matrix [n, k]`; the memory is kept.
    #[inline(always)]
    pub fn fill_transposed<S: Simd>(&mut self, _simd: S, matrix: Rows<'_>) {
        self.resize(matrix.width(), matrix.len(), S::F32_LANES);
        let (k, lanes) = (self.k, self.lanes);
        for panel in 0..self.panels() {
            let width = self.panel_vectors(panel) * lanes;
            let first = panel * PANEL_VECTORS * lanes;
            let at = self.start + first * k;
            transpose(matrix, first, width, &mut self.data[at..at + width * k]);
        }
    }

    /// Replaces the content by `matrix [k, n]`; the memory is kept.
    #[inline(always)]
    pub fn fill<S: Simd>(&mut self, _simd: S, matrix: Rows<'_>) {
        self.resize(matrix.len(), matrix.width(), S::F32_LANES);
        let (k, lanes) = (self.k, self.lanes);
        for panel in 0..self.panels() {
            let width = self.panel_vectors(panel) * lanes;
            let first = panel * PANEL_VECTORS * lanes;
            let at = self.start + first * k;
            copy(matrix, first, width, &mut self.data[at..at + width * k]);
        }
    }

    /// The matrix as `[n, k]`, the inverse of [`pack`](Self::pack).
    pub fn unpack(&self) -> Vec<f32> {
        let mut matrix = vec![0.0; self.n * self.k];
        for panel in 0..self.panels() {
            let width = self.panel_vectors(panel) * self.lanes;
            let first = panel * PANEL_VECTORS * self.lanes;
            let at = self.start + first * self.k;
            for (index, step) in self.data[at..at + width * self.k].chunks_exact(width).enumerate() {
                for (column, value) in step.iter().take(self.n - first).enumerate() {
                    matrix[(first + column) * self.k + index] = *value;
                }
            }
        }
        matrix
    }

    /// Makes room for one panel of `k` steps, to be written by the caller.
    #[inline(always)]
    pub fn one_panel<S: Simd>(&mut self, _simd: S, k: usize) -> &mut [[S::f32s; PANEL_VECTORS]] {
        let width = PANEL_VECTORS * S::F32_LANES;
        self.resize(k, width, S::F32_LANES);
        let at = self.start;
        let (vectors, _) = S::as_mut_simd_f32s(&mut self.data[at..at + width * k]);
        vectors.as_chunks_mut().0
    }

    /// The steps of a panel that is `NV` vectors wide.
    #[inline(always)]
    pub fn panel<S: Simd, const NV: usize>(&self, _simd: S, panel: usize) -> &[[S::f32s; NV]] {
        debug_assert_eq!(self.lanes, S::F32_LANES);
        let at = self.at(panel);
        let (vectors, _) = S::as_simd_f32s(&self.data[at..at + NV * self.lanes * self.k]);
        vectors.as_chunks().0
    }
}

impl Panels<u32> {
    /// A matrix of `k` words a column, each made by `word(column, index)`; columns of zeros fill the last panel up.
    pub fn of_words(k: usize, n: usize, word: impl Fn(usize, usize) -> u32 + Sync) -> Self {
        Self::of_words_in(Arch::new().dispatch(Lanes), k, n, word)
    }

    /// The same for vectors of the given lanes.
    pub fn of_words_in(lanes: usize, k: usize, n: usize, word: impl Fn(usize, usize) -> u32 + Sync) -> Self {
        let mut panels = Self::empty();
        let width = PANEL_VECTORS * lanes;
        panels.resize(k, n.next_multiple_of(width), lanes);
        let (start, used) = (panels.start, panels.n * k);
        panels.data[start..start + used]
            .par_chunks_mut((width * k).max(1))
            .enumerate()
            .for_each(|(panel, target)| {
                for (index, step) in target.chunks_exact_mut(width).enumerate() {
                    for (column, target) in (panel * width..n).zip(step) {
                        *target = word(column, index);
                    }
                }
            });
        panels
    }

    /// The words of a panel.
    #[inline(always)]
    pub fn words<S: Simd>(&self, _simd: S, panel: usize) -> &[[S::u32s; PANEL_VECTORS]] {
        debug_assert_eq!(self.lanes, S::F32_LANES);
        let at = self.at(panel);
        let (vectors, _) = S::as_simd_u32s(&self.data[at..at + PANEL_VECTORS * self.lanes * self.k]);
        vectors.as_chunks().0
    }
}

impl<T: Copy + Default> Panels<T> {
    /// A matrix without columns, to be filled.
    pub fn empty() -> Self {
        Self {
            data: Vec::new(),
            start: 0,
            k: 0,
            n: 0,
            lanes: 1,
        }
    }

    /// Inner width `k`.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Lanes of the vectors that it is packed for.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Columns of the product `n`.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of panels.
    #[inline(always)]
    pub fn panels(&self) -> usize {
        self.n.div_ceil(PANEL_VECTORS * self.lanes)
    }

    /// First column of a panel.
    #[inline(always)]
    pub fn first_column(&self, panel: usize) -> usize {
        (panel * PANEL_VECTORS * self.lanes).min(self.n)
    }

    /// Vectors side by side in a panel: 3, in the last one 1 to 3.
    #[inline(always)]
    pub fn panel_vectors(&self, panel: usize) -> usize {
        (self.n.div_ceil(self.lanes) - panel * PANEL_VECTORS).min(PANEL_VECTORS)
    }

    /// Bytes that the matrix takes.
    pub fn bytes(&self) -> usize {
        self.data.len() * size_of::<T>()
    }

    /// Where the panel's content begins.
    #[inline(always)]
    fn at(&self, panel: usize) -> usize {
        self.start + panel * PANEL_VECTORS * self.lanes * self.k
    }

    /// The components of a column.
    pub fn column(&self, column: usize) -> impl Iterator<Item = T> + '_ {
        let panel = column / (PANEL_VECTORS * self.lanes);
        let width = self.panel_vectors(panel) * self.lanes;
        let at = self.at(panel) + column - self.first_column(panel);
        self.data[at..].iter().step_by(width).take(self.k).copied()
    }

    fn resize(&mut self, k: usize, n: usize, lanes: usize) {
        let spare = CACHE_LINE / size_of::<T>();
        let needed = n.next_multiple_of(lanes) * k + spare;
        if self.data.len() < needed {
            self.data = vec![T::default(); needed];
            self.start = self.data.as_ptr().align_offset(CACHE_LINE).min(spare);
        }
        (self.k, self.n, self.lanes) = (k, n, lanes);
    }
}

impl<T> std::fmt::Debug for Panels<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Panels({} x {})", self.k, self.n)
    }
}

/// Writes columns of `matrix [k, n]` from column `first` on as those of a panel of the given width.
#[inline(always)]
fn copy(matrix: Rows<'_>, first: usize, width: usize, target: &mut [f32]) {
    let used = width.min(matrix.width() - first);
    for (index, step) in target.chunks_exact_mut(width).enumerate() {
        step[..used].copy_from_slice(&matrix.row(index)[first..first + used]);
        step[used..].fill(0.0);
    }
}

/// Writes rows of `matrix [n, k]` from row `first` on as columns of a panel of the given width.
#[inline(always)]
fn transpose(matrix: Rows<'_>, first: usize, width: usize, target: &mut [f32]) {
    let used = width.min(matrix.len() - first);
    for column in 0..used {
        let source = matrix.row(first + column);
        for (step, value) in target.chunks_exact_mut(width).zip(source) {
            step[column] = *value;
        }
    }
    for step in target.chunks_exact_mut(width) {
        step[used..].fill(0.0);
    }
}

/// The lanes of a vector on this machine.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        S::F32_LANES
    }
}
