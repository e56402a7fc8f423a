//! Texts of similar length together, so that a batch is neither tiny nor larger than its budget.

use std::ops::Range;

use burn::tensor::Device;
use rayon::prelude::*;

use crate::device;
use crate::error::Result;

/// Tokens of a batch where each thread of the CPU computes batches of its own: the activations of a layer then fit the
/// caches.
const THREAD_TOKENS: usize = 512;
/// Tokens of a batch on a device that parallelises within a batch: 32 texts of 128 tokens.
const DEVICE_TOKENS: usize = 4096;

/// How large batches are, and whether several are computed at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batching {
    /// Most tokens of a batch (or one text).
    pub(super) tokens: usize,
    /// Whether threads take batches, each its own, instead of sharing one after the other. A thread then waits for
    /// nobody between layers; what a text yields stays the same, since texts do not see each other.
    in_parallel: bool,
}

impl Batching {
    /// What is fastest on a device.
    pub(super) fn on(device: &Device) -> Self {
        match device::is_cpu(device) {
            true => Self {
                tokens: THREAD_TOKENS,
                in_parallel: true,
            },
            false => Self {
                tokens: DEVICE_TOKENS,
                in_parallel: false,
            },
        }
    }

    /// Runs `compute` for each batch of texts of these lengths, and returns with each batch's texts what it gave.
    ///
    /// # Errors
    /// An error of `compute`.
    pub(super) fn run<T: Send>(
        self,
        lengths: &[usize],
        compute: impl Fn(&[usize]) -> Result<T> + Sync,
    ) -> Result<Vec<(Vec<usize>, T)>> {
        let batches = Batches::plan(lengths, self.tokens);
        let one = |range: &Range<usize>| {
            let texts = &batches.order[range.clone()];
            Ok((texts.to_vec(), compute(texts)?))
        };
        if self.in_parallel {
            batches.ranges.par_iter().with_max_len(1).map(one).collect()
        } else {
            batches.ranges.iter().map(one).collect()
        }
    }
}

/// Runs `compute` on a thread of rayon's pool: of the many small parallel steps of a forward pass, none then has to wake
/// the pool from outside.
pub(super) fn in_pool<T: Send>(compute: impl FnOnce() -> T + Send) -> T {
    rayon::join(compute, || ()).0
}

/// The order in which texts are computed: by falling length, ties in their own order, in batches of at most
/// `batch_tokens` tokens (or one text).
#[derive(Debug)]
struct Batches {
    order: Vec<usize>,
    ranges: Vec<Range<usize>>,
}

impl Batches {
    fn plan(lengths: &[usize], batch_tokens: usize) -> Self {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(lengths: &[usize], tokens: usize) -> Vec<Vec<usize>> {
        let run = |in_parallel| {
            let batching = Batching { tokens, in_parallel };
            batching.run(lengths, |texts| Ok(texts.len())).unwrap()
        };
        assert_eq!(run(false), run(true));
        let batches = run(true).into_iter();
        batches
            .map(|(texts, computed)| {
                assert_eq!(texts.len(), computed);
                texts
            })
            .collect()
    }

    #[test]
    fn an_error_is_handed_on() {
        let failing = |texts: &[usize]| match texts.contains(&3) {
            true => Err(crate::Error::Cancelled),
            false => Ok(()),
        };
        for in_parallel in [false, true] {
            let batching = Batching {
                tokens: 2,
                in_parallel,
            };
            assert!(batching.run(&[1; 9], failing).is_err());
            assert!(batching.run(&[1; 3], failing).is_ok());
        }
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
