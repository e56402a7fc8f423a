//! Rows of a matrix that may lie apart in memory, such as one head's columns of `[tokens, hidden]`.

/// A borrowed matrix whose rows are contiguous and `stride` components apart.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    stride: usize,
    len: usize,
    width: usize,
}

impl<'a> Rows<'a> {
    /// `len` rows of `width` components, the first at the start of `data`.
    pub fn new(data: &'a [f32], stride: usize, len: usize, width: usize) -> Self {
        debug_assert!(len == 0 || (len - 1) * stride + width <= data.len());
        Self {
            data,
            stride,
            len,
            width,
        }
    }

    /// Number of rows.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Components of a row.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Row `index`.
    #[inline(always)]
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.stride..][..self.width]
    }

    /// `len` rows from row `first` on, and of these the columns `column..column + width`.
    pub fn part(&self, first: usize, len: usize, column: usize, width: usize) -> Self {
        let start = (first * self.stride + column).min(self.data.len());
        Self::new(&self.data[start..], self.stride, len, width)
    }
}
