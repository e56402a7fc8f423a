//! Where each text of a packed batch begins and ends.

use std::ops::Range;

/// The token ranges of the texts of a packed batch, in order.
///
/// # Example
///
/// ```
/// use ragtune_core::nn::Segments;
///
/// let segments = Segments::from_lengths([3, 0, 2]);
/// assert_eq!(segments.tokens(), 5);
/// assert_eq!(segments.iter().collect::<Vec<_>>(), [0..3, 3..3, 3..5]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Start of each text and, last, the number of tokens; never empty, never falling.
    offsets: Vec<usize>,
}

impl Segments {
    /// Lays texts of these lengths one after another.
    #[must_use]
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let ends = lengths.into_iter().map(|length| {
            end += length;
            end
        });
        Self {
            offsets: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// Number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of tokens of all texts.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.offsets.last().copied().unwrap_or_default()
    }

    /// Number of tokens of the longest text.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.iter().map(|range| range.len()).max().unwrap_or_default()
    }

    /// Start of each text and, last, the number of tokens.
    #[must_use]
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The token range of each text.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The position of each token within its text, counted from 0.
    ///
    /// # Shapes
    ///
    /// `-> [tokens]`.
    #[must_use]
    pub fn positions(&self) -> Vec<u32> {
        let position = |p: usize| u32::try_from(p).unwrap_or(u32::MAX);
        self.iter()
            .flat_map(|range| (0..range.len()).map(position))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_texts_no_tokens() {
        let none = Segments::from_lengths([]);
        assert!(none.is_empty());
        assert_eq!((none.tokens(), none.longest()), (0, 0));
        assert_eq!(none.iter().count(), 0);
    }

    #[test]
    fn positions_restart_with_each_text() {
        let segments = Segments::from_lengths([2, 3]);
        assert_eq!(segments.positions(), [0, 1, 0, 1, 2]);
        assert_eq!(segments.longest(), 3);
    }
}
