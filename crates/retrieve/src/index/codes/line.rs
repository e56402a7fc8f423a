//! Codes in units of a cache line, so that a row never shares a line with more of its neighbours than it has to, and
//! every vector load is aligned.

/// Bytes of a cache line, and of the widest vector register.
pub(crate) const LINE_BYTES: usize = 64;

/// One line of codes: each byte is a value from -127 to 127 plus 128, and 128 behind the last component of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; LINE_BYTES]);

impl Line {
    /// A line of zeros.
    pub(crate) const ZERO: Self = Self([128; LINE_BYTES]);

    /// Lines that a row of so many components fills.
    pub(crate) fn per_row(dim: usize) -> usize {
        dim.div_ceil(LINE_BYTES)
    }
}
