//! Texts of similar length together, so that a batch is neither tiny nor larger than its budget.

use std::ops::Range;

/// The order in which texts are computed: by falling length, ties in their own order, in batches of at most
/// `batch_tokens` tokens (or one text).
#[derive(Debug)]
pub(super) struct Batches {
    order: Vec<usize>,
    ranges: Vec<Range<usize>>,
}

impl Batches {
    pub(super) fn plan(lengths: &[usize], batch_tokens: usize) -> Self {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
        let mut ranges = Vec::new();
        let (mut start, mut tokens) = (0, 0);
        for (at, &i) in order.iter().enumerate() {
            if at > start && tokens + lengths[i] > batch_tokens {
                ranges.push(start..at);
                (start, tokens) = (at, 0);
            }
            // An empty text costs a row all the same.
            tokens += lengths[i].max(1);
        }
        if start < order.len() {
            ranges.push(start..order.len());
        }
        Self { order, ranges }
    }

    /// The texts of each batch, as positions in the list of lengths.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[usize]> {
        self.ranges.iter().map(|range| &self.order[range.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(lengths: &[usize], batch_tokens: usize) -> Vec<Vec<usize>> {
        Batches::plan(lengths, batch_tokens)
            .iter()
            .map(<[usize]>::to_vec)
            .collect()
    }

    #[test]
    fn packs_by_falling_length() {
        assert_eq!(plan(&[3, 9, 3, 1, 0, 5], 8), [vec![1], vec![5, 0], vec![2, 3, 4]]);
        assert_eq!(plan(&[], 8), Vec::<Vec<usize>>::new());
        assert_eq!(plan(&[20, 20], 8), [[0], [1]]);
    }

    #[test]
    fn every_text_is_in_one_batch() {
        let lengths: Vec<usize> = (0..500).map(|i| i * 7919 % 130).collect();
        let mut all = plan(&lengths, 256).concat();
        all.sort_unstable();
        assert_eq!(all, (0..500).collect::<Vec<_>>());
    }
}
