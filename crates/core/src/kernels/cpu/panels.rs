//! A matrix packed for [`product`](super::product): what one step of the innermost loop reads lies side by side.
//!
//! Letters: `k` inner width, `n` columns of the product, `l` lanes of a vector register.
//!
//! The `n` columns are divided into panels of three vectors (the last may have one or two, its unused lanes are 0). A
//! panel stores, for each of the `k` inner indices, its columns one after another. So the product streams through memory
//! in order, whichever way the matrix lay before.

use pulp::{Arch, Simd, WithSimd};

use super::rows::Rows;

/// Vectors of a whole panel: with 8 rows they fill 24 of 32 registers with sums, with 4 rows 12 of 16.
pub const PANEL_VECTORS: usize = 3;
/// Bytes of a cache line, on which panels start.
const CACHE_LINE: usize = 64;

/// A packed matrix of `k` by `n`.
pub struct Panels {
    /// The panels from `start` on.
    data: Vec<f32>,
    start: usize,
    k: usize,
    n: usize,
    lanes: usize,
}

impl Panels {
    /// Packs the transpose of `matrix [n, k]`, the layout of weights in checkpoints.
    pub fn pack(matrix: Rows<'_>) -> Self {
        let mut panels = Self::empty();
        Arch::new().dispatch(Pack {
            panels: &mut panels,
            matrix,
        });
        panels
    }

    /// A matrix without columns, to be filled by [`fill_transposed`](Self::fill_transposed) or [`fill`](Self::fill).
    pub fn empty() -> Self {
        Self {
            data: Vec::new(),
            start: 0,
            k: 0,
            n: 0,
            lanes: 1,
        }
    }

    /// Replaces the content by the transpose of `matrix [n, k]`; the memory is kept.
    #[inline(always)]
    pub fn fill_transposed<S: Simd>(&mut self, _simd: S, matrix: Rows<'_>) {
        self.resize(matrix.width(), matrix.len(), S::F32_LANES);
        let (k, lanes) = (self.k, self.lanes);
        for panel in 0..self.panels() {
            let width = self.panel_vectors(panel) * lanes;
            let first = panel * PANEL_VECTORS * lanes;
            let used = width.min(self.n - first);
            let at = self.start + first * k;
            let target = &mut self.data[at..at + width * k];
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
    }

    /// Replaces the content by `matrix [k, n]`; the memory is kept.
    #[inline(always)]
    pub fn fill<S: Simd>(&mut self, _simd: S, matrix: Rows<'_>) {
        self.resize(matrix.len(), matrix.width(), S::F32_LANES);
        let (k, lanes) = (self.k, self.lanes);
        for panel in 0..self.panels() {
            let width = self.panel_vectors(panel) * lanes;
            let first = panel * PANEL_VECTORS * lanes;
            let used = width.min(self.n - first);
            let at = self.start + first * k;
            let target = &mut self.data[at..at + width * k];
            for (index, step) in target.chunks_exact_mut(width).enumerate() {
                step[..used].copy_from_slice(&matrix.row(index)[first..first + used]);
                step[used..].fill(0.0);
            }
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

    /// Row `index` of the matrix as `[n, k]`.
    pub fn copy_row(&self, index: usize, row: &mut [f32]) {
        let panel = index / (PANEL_VECTORS * self.lanes);
        let width = self.panel_vectors(panel) * self.lanes;
        let first = panel * PANEL_VECTORS * self.lanes;
        let at = self.start + first * self.k + (index - first);
        for (value, step) in row.iter_mut().zip(self.data[at..].iter().step_by(width)) {
            *value = *step;
        }
    }

    /// Bytes of the packed matrix.
    pub fn bytes(&self) -> usize {
        self.data.len() * size_of::<f32>()
    }

    /// Inner width `k`.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Columns `n` of the product.
    #[inline(always)]
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

    /// The steps of a panel that is `NV` vectors wide.
    #[inline(always)]
    pub fn panel<S: Simd, const NV: usize>(&self, _simd: S, panel: usize) -> &[[S::f32s; NV]] {
        debug_assert_eq!(self.lanes, S::F32_LANES);
        let at = self.start + panel * PANEL_VECTORS * self.lanes * self.k;
        let (vectors, _) = S::as_simd_f32s(&self.data[at..at + NV * self.lanes * self.k]);
        vectors.as_chunks().0
    }

    fn resize(&mut self, k: usize, n: usize, lanes: usize) {
        let needed = n.next_multiple_of(lanes) * k + CACHE_LINE / size_of::<f32>();
        if self.data.len() < needed {
            self.data = vec![0.0; needed];
            self.start = self
                .data
                .as_ptr()
                .align_offset(CACHE_LINE)
                .min(CACHE_LINE / size_of::<f32>());
        }
        (self.k, self.n, self.lanes) = (k, n, lanes);
    }
}

impl std::fmt::Debug for Panels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Panels({} x {})", self.k, self.n)
    }
}

struct Pack<'a> {
    panels: &'a mut Panels,
    matrix: Rows<'a>,
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.panels.fill_transposed(simd, self.matrix);
    }
}
