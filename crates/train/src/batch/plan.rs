//! The order of examples and their division into batches and steps.

use super::packing;
use super::{Purpose, Random};
use crate::error::{Error, Result};

/// Steps whose examples are sorted by length together, where batches are grouped by length. More of them make batches of
/// more equal lengths and less chance.
const STEPS_TOGETHER: usize = 50;
/// Examples that are packed together, where batches are limited by tokens.
const PACKED_TOGETHER: usize = 2048;

/// How an epoch is divided into batches.
///
/// A step of the optimiser is a window of `accumulation` batches. Where batches are counted in examples, the examples of
/// a step depend on the step's size only: 1 x 8, 2 x 4 and 8 x 1 divide the same steps.
///
/// ```
/// use ragtune_train::batch::{BatchPlan, BatchSize};
/// let lengths = [5, 3, 9, 4, 7];
/// let plan = BatchPlan::default().with_size(BatchSize::Tokens(12)).with_seed(1);
/// let batches = plan.epoch(&lengths, 0)?;
/// assert!(batches.iter().all(|batch| batch.iter().map(|&i| lengths[i]).sum::<usize>() <= 12));
/// assert_eq!(batches.iter().flatten().count(), 5);
/// assert_eq!(batches, plan.epoch(&lengths, 0)?);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchPlan {
    /// The size of a batch.
    pub size: BatchSize,
    /// Batches to a step of the optimiser.
    pub accumulation: usize,
    /// Whether examples of like length come together.
    pub group_by_length: bool,
    /// Whether every epoch has an order of its own; otherwise examples keep their order.
    pub shuffle: bool,
    /// The seed of the order.
    pub seed: u64,
}

/// The size of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// So many examples; the last batch of an epoch may have fewer.
    Examples(usize),
    /// As many examples as fit into so many tokens.
    Tokens(usize),
}

impl Default for BatchPlan {
    fn default() -> Self {
        Self {
            size: BatchSize::Examples(8),
            accumulation: 1,
            group_by_length: false,
            shuffle: true,
            seed: 42,
        }
    }
}

impl BatchPlan {
    /// Another size of batches.
    #[must_use]
    pub fn with_size(mut self, size: BatchSize) -> Self {
        self.size = size;
        self
    }

    /// So many batches to a step of the optimiser.
    #[must_use]
    pub fn with_accumulation(mut self, batches: usize) -> Self {
        self.accumulation = batches;
        self
    }

    /// Whether examples of like length come together.
    #[must_use]
    pub fn with_group_by_length(mut self, group: bool) -> Self {
        self.group_by_length = group;
        self
    }

    /// Whether every epoch has an order of its own.
    #[must_use]
    pub fn with_shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Another seed of the order.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The batches of an epoch: every index of `lengths` (in tokens) once.
    ///
    /// # Errors
    /// As [`BatchPlan::steps`].
    pub fn epoch(&self, lengths: &[usize], epoch: u64) -> Result<Vec<Vec<usize>>> {
        let steps = self.steps(lengths, epoch)?;
        Ok(steps.into_iter().flatten().collect())
    }

    /// The steps of an epoch, each the batches whose gradients are added up.
    ///
    /// # Errors
    /// [`Error::Empty`] without examples; [`Error::InvalidArgument`] for a size or accumulation of 0, and for an example
    /// with more tokens than a batch may have.
    pub fn steps(&self, lengths: &[usize], epoch: u64) -> Result<Vec<Vec<Vec<usize>>>> {
        self.check(lengths)?;
        let mut random = Random::of(self.seed, Purpose::Order, epoch);
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        if self.shuffle {
            random.shuffle(&mut order);
        }
        Ok(match self.size {
            BatchSize::Examples(batch) => self.by_examples(order, lengths, batch, &mut random),
            BatchSize::Tokens(limit) => self.by_tokens(order, lengths, limit, &mut random),
        })
    }

    /// The number of steps of every epoch, where it is the same for all: with batches counted in examples. With batches
    /// counted in tokens it is that of this epoch.
    ///
    /// # Errors
    /// As [`BatchPlan::steps`].
    pub fn count_steps(&self, lengths: &[usize], epoch: u64) -> Result<usize> {
        match self.size {
            BatchSize::Examples(batch) => {
                self.check(lengths)?;
                Ok(lengths.len().div_ceil(batch.saturating_mul(self.accumulation)))
            }
            BatchSize::Tokens(_) => Ok(self.steps(lengths, epoch)?.len()),
        }
    }

    fn by_examples(
        &self,
        mut order: Vec<usize>,
        lengths: &[usize],
        batch: usize,
        random: &mut Random,
    ) -> Vec<Vec<Vec<usize>>> {
        let step = batch.saturating_mul(self.accumulation);
        if self.group_by_length {
            for together in order.chunks_mut(step.saturating_mul(STEPS_TOGETHER)) {
                together.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
            }
        }
        let mut steps: Vec<&[usize]> = order.chunks(step).collect();
        if self.group_by_length && self.shuffle {
            random.shuffle(&mut steps);
        }
        let batches = |step: &[usize]| step.chunks(batch).map(<[usize]>::to_vec).collect();
        steps.into_iter().map(batches).collect()
    }

    fn by_tokens(
        &self,
        mut order: Vec<usize>,
        lengths: &[usize],
        limit: usize,
        random: &mut Random,
    ) -> Vec<Vec<Vec<usize>>> {
        let mut packs = Vec::new();
        for together in order.chunks_mut(PACKED_TOGETHER) {
            let mut packed = if self.group_by_length {
                together.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
                packing::in_order(together, lengths, limit)
            } else if self.shuffle {
                packing::best_fit(together, lengths, limit)
            } else {
                packing::in_order(together, lengths, limit)
            };
            if self.shuffle {
                random.shuffle(&mut packed);
            }
            packs.extend(packed);
        }
        packs.chunks(self.accumulation).map(<[_]>::to_vec).collect()
    }

    fn check(&self, lengths: &[usize]) -> Result<()> {
        if lengths.is_empty() {
            return Err(Error::Empty {
                what: "the epoch".to_owned(),
                hint: "read or keep at least one example".to_owned(),
            });
        }
        if self.accumulation == 0 {
            return Err(Error::invalid("accumulation", "0; a step has at least one batch"));
        }
        match self.size {
            BatchSize::Examples(0) | BatchSize::Tokens(0) => Err(Error::invalid(
                "batch size",
                "0; a batch has at least one example",
            )),
            BatchSize::Examples(_) => Ok(()),
            BatchSize::Tokens(limit) => match lengths.iter().position(|&length| length > limit) {
                None => Ok(()),
                Some(index) => Err(Error::invalid(
                    "batch size",
                    format!(
                        "{limit} tokens, and example {index} (counted from 0) alone has {}; raise it, or shorten the \
                         examples with `Overflow::Truncate`",
                        lengths[index]
                    ),
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plans() -> impl Strategy<Value = BatchPlan> {
        let size = prop_oneof![
            (1_usize..20).prop_map(BatchSize::Examples),
            (64_usize..400).prop_map(BatchSize::Tokens),
        ];
        (size, 1_usize..5, any::<bool>(), any::<bool>(), any::<u64>()).prop_map(
            |(size, accumulation, group, shuffle, seed)| {
                BatchPlan::default()
                    .with_size(size)
                    .with_accumulation(accumulation)
                    .with_group_by_length(group)
                    .with_shuffle(shuffle)
                    .with_seed(seed)
            },
        )
    }

    proptest! {
        #[test]
        fn every_example_once_within_the_limits(
            plan in plans(),
            lengths in prop::collection::vec(0_usize..=64, 1..300),
            epoch in 0_u64..5,
        ) {
            let steps = plan.steps(&lengths, epoch).unwrap();
            prop_assert_eq!(&steps, &plan.steps(&lengths, epoch).unwrap());
            prop_assert_eq!(steps.len(), plan.count_steps(&lengths, epoch).unwrap());
            let mut seen: Vec<usize> = steps.iter().flatten().flatten().copied().collect();
            if !plan.shuffle && !plan.group_by_length {
                prop_assert!(seen.is_sorted());
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for step in &steps {
                prop_assert!(!step.is_empty() && step.len() <= plan.accumulation);
                for batch in step {
                    prop_assert!(!batch.is_empty());
                    match plan.size {
                        BatchSize::Examples(n) => prop_assert!(batch.len() <= n),
                        BatchSize::Tokens(n) => {
                            prop_assert!(batch.iter().map(|&i| lengths[i]).sum::<usize>() <= n);
                        }
                    }
                }
            }
        }

        #[test]
        fn accumulation_divides_the_same_steps(
            lengths in prop::collection::vec(1_usize..=64, 1..200),
            group in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let examples = |batch: usize| {
                let plan = BatchPlan::default()
                    .with_size(BatchSize::Examples(batch))
                    .with_accumulation(8 / batch)
                    .with_group_by_length(group)
                    .with_seed(seed);
                let steps = plan.steps(&lengths, 3).unwrap();
                steps.into_iter().map(|step| step.concat()).collect::<Vec<_>>()
            };
            prop_assert_eq!(examples(8), examples(4));
            prop_assert_eq!(examples(8), examples(1));
        }
    }

    #[test]
    fn epochs_and_seeds_have_their_own_order() {
        let lengths = [1; 64];
        let plan = BatchPlan::default();
        let first = plan.epoch(&lengths, 0).unwrap();
        assert_ne!(first, plan.epoch(&lengths, 1).unwrap());
        assert_ne!(first, plan.clone().with_seed(1).epoch(&lengths, 0).unwrap());
        let kept = plan.with_shuffle(false).epoch(&lengths, 1).unwrap().concat();
        assert!(kept.is_sorted());
    }

    #[test]
    fn groups_have_like_lengths() {
        let mut random = Random::new(0, 0);
        let lengths: Vec<usize> = (0..800).map(|_| 1 + random.below(500)).collect();
        let spread = |plan: &BatchPlan| {
            let batches = plan.epoch(&lengths, 0).unwrap();
            let longest = |batch: &Vec<usize>| batch.iter().map(|&i| lengths[i]).max().unwrap();
            let padded: usize = batches.iter().map(|b| longest(b) * b.len()).sum();
            padded as f64 / lengths.iter().sum::<usize>() as f64
        };
        let plain = BatchPlan::default();
        let grouped = plain.clone().with_group_by_length(true);
        assert!(spread(&grouped) < 1.05 && spread(&plain) > 1.5);
    }

    #[test]
    fn what_cannot_be_divided_is_an_error() {
        let plan = BatchPlan::default();
        assert!(matches!(plan.epoch(&[], 0), Err(Error::Empty { .. })));
        let none = plan.clone().with_size(BatchSize::Examples(0));
        assert!(none.epoch(&[1], 0).is_err());
        assert!(plan.clone().with_accumulation(0).epoch(&[1], 0).is_err());
        let long = plan.with_size(BatchSize::Tokens(4)).epoch(&[1, 5], 0);
        assert!(long.unwrap_err().to_string().contains("example 1"));
    }
}
