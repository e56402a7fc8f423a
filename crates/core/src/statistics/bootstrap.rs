//! How sure a measured number is: intervals by resampling the test set.

use std::fmt;

use rayon::prelude::*;
use serde::Serialize;

use super::random::{Purpose, Random};
use crate::error::{Error, Result};

/// The percentile bootstrap: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; paired for
/// differences, as Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation".
///
/// ```
/// use ragtune_core::statistics::Bootstrap;
///
/// // Right or wrong, for the same eight examples, with two models.
/// let tuned = [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0];
/// let before = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0];
/// let difference = Bootstrap::default().difference(&tuned, &before)?;
/// assert_eq!(difference.interval.estimate, 0.25);
/// assert!(difference.interval.low >= 0.0 && difference.interval.high <= 1.0);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    resamples: usize,
    level: f64,
    seed: u64,
}

/// A number and the interval that its resampled values lie in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The number on the set as it is.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The share of resampled values in the interval.
    pub level: f64,
    /// How often the set was resampled.
    pub resamples: usize,
}

/// A difference between two systems on the same examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// First minus second.
    pub interval: Interval,
    /// Twice the smaller share of resampled differences on one side of 0 or on it, at most 1: small where the sign of
    /// the difference is sure. Never below 2 / resamples, because no fewer can be told from none.
    pub p_value: f64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            level: 0.95,
            seed: 0,
        }
    }
}

impl Bootstrap {
    /// How often the set is resampled; 10,000 by default.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for fewer than 100, whose ends of an interval are noise.
    pub fn with_resamples(mut self, resamples: usize) -> Result<Self> {
        if resamples < 100 {
            return Err(Error::InvalidArgument {
                argument: "resamples",
                reason: format!("{resamples} is too few for an interval; take 1,000 or more"),
            });
        }
        self.resamples = resamples;
        Ok(self)
    }

    /// The share of resampled values in the interval; 0.95 by default.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what is not between 0 and 1.
    pub fn with_level(mut self, level: f64) -> Result<Self> {
        if !(level > 0.0 && level < 1.0) {
            return Err(Error::InvalidArgument {
                argument: "level",
                reason: format!("{level} is not between 0 and 1"),
            });
        }
        self.level = level;
        Ok(self)
    }

    /// Another seed; the same seed gives the same interval.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The interval of the mean of some values, one for each example.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no values, and for one that is not finite.
    pub fn mean(&self, values: &[f64]) -> Result<Interval> {
        finite(values)?;
        self.statistic(values.len(), |examples| mean_of(values, examples))
    }

    /// The interval of the difference of two means over the same examples.
    ///
    /// # Errors
    /// As [`Bootstrap::mean`], and [`Error::InvalidArgument`] for two numbers of values.
    pub fn difference(&self, first: &[f64], second: &[f64]) -> Result<Difference> {
        let differences = paired(first, second)?;
        self.statistic_difference(differences.len(), |examples| mean_of(&differences, examples))
    }

    /// The interval of any statistic of a set of `examples`, for example of BLEU: `statistic` is given the examples
    /// of a resampled set, some of them several times.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no examples.
    pub fn statistic(&self, examples: usize, statistic: impl Fn(&[usize]) -> f64 + Sync) -> Result<Interval> {
        Ok(self.run(examples, statistic)?.0)
    }

    /// As [`Bootstrap::statistic`], of a statistic that is the difference of two systems on the given examples.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no examples.
    pub fn statistic_difference(
        &self,
        examples: usize,
        difference: impl Fn(&[usize]) -> f64 + Sync,
    ) -> Result<Difference> {
        let (interval, values) = self.run(examples, difference)?;
        let share = |side: fn(f64) -> bool| {
            let count = values.iter().filter(|value| side(**value)).count();
            count.max(1) as f64 / values.len() as f64
        };
        let smaller = share(|value| value <= 0.0).min(share(|value| value >= 0.0));
        Ok(Difference {
            interval,
            p_value: (2.0 * smaller).min(1.0),
        })
    }

    fn run(
        &self,
        examples: usize,
        statistic: impl Fn(&[usize]) -> f64 + Sync,
    ) -> Result<(Interval, Vec<f64>)> {
        if examples == 0 {
            return Err(Error::InvalidArgument {
                argument: "examples",
                reason: "there are none, so there is nothing to resample".to_owned(),
            });
        }
        let all: Vec<usize> = (0..examples).collect();
        let estimate = statistic(&all);
        // Every resampled set has a stream of its own, so that they are the same on any number of threads.
        let resample = |drawn: &mut Vec<usize>, number: usize| {
            let mut random = Random::of(self.seed, Purpose::Resampling, number as u64);
            for example in drawn.iter_mut() {
                *example = random.below(examples);
            }
            statistic(drawn)
        };
        let mut values: Vec<f64> = (0..self.resamples)
            .into_par_iter()
            .map_init(|| all.clone(), resample)
            .collect();
        values.sort_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        let interval = Interval {
            estimate,
            low: percentile(&values, tail),
            high: percentile(&values, 1.0 - tail),
            level: self.level,
            resamples: self.resamples,
        };
        Ok((interval, values))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.4} [{:.4}, {:.4}] ({:.0} %)",
            self.estimate,
            self.low,
            self.high,
            self.level * 100.0
        )
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} p = {:.4}", self.interval, self.p_value)
    }
}

fn finite(values: &[f64]) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::InvalidArgument {
            argument: "values",
            reason: format!("one is {value}"),
        }),
        None => Ok(()),
    }
}

/// The difference of each pair of finite values.
pub(super) fn paired(first: &[f64], second: &[f64]) -> Result<Vec<f64>> {
    if first.len() != second.len() {
        return Err(Error::InvalidArgument {
            argument: "values",
            reason: format!(
                "there are {} of the first and {} of the second; give both for each example, in the same order",
                first.len(),
                second.len()
            ),
        });
    }
    finite(first)?;
    finite(second)?;
    Ok(first.iter().zip(second).map(|(a, b)| a - b).collect())
}

fn mean_of(values: &[f64], examples: &[usize]) -> f64 {
    let sum: f64 = examples.iter().filter_map(|&example| values.get(example)).sum();
    sum / examples.len() as f64
}

/// Linear between the two nearest of the sorted values, as numpy's default.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(position.floor() as usize), at(position.ceil() as usize));
    low + (high - low) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_normal_distribution() {
        // 400 of 1,000 right: the standard error is sqrt(.4 * .6 / 1000) = .01549.
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i % 5 < 2)).collect();
        let interval = Bootstrap::default().mean(&values).expect("values");
        assert_eq!(interval.estimate, 0.4);
        assert!(
            (interval.low - (0.4 - 1.96 * 0.01549)).abs() < 0.002,
            "{interval}"
        );
        assert!(
            (interval.high - (0.4 + 1.96 * 0.01549)).abs() < 0.002,
            "{interval}"
        );
    }

    #[test]
    fn pairing_sees_what_two_intervals_hide() {
        // The first is right wherever the second is, and on 12 of 400 besides.
        let second: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let first: Vec<f64> = (0..400).map(|i| f64::from(i % 2 == 1 || i < 24)).collect();
        let difference = Bootstrap::default().difference(&first, &second).expect("pairs");
        assert!(
            difference.interval.low > 0.0 && difference.p_value < 0.01,
            "{difference}"
        );
        let same = Bootstrap::default().difference(&first, &first).expect("pairs");
        assert_eq!(
            (same.interval.low, same.interval.high, same.p_value),
            (0.0, 0.0, 1.0)
        );
        let [a, b] = [&first, &second].map(|v| Bootstrap::default().mean(v).expect("values"));
        assert!(a.low < b.high, "apart, the intervals overlap");
    }

    #[test]
    fn the_seed_decides() {
        let values = [0.0, 1.0, 1.0, 0.0, 1.0];
        let run = |seed| Bootstrap::default().with_seed(seed).mean(&values);
        assert_eq!(run(1).ok(), run(1).ok());
        let bad = Bootstrap::default().mean(&[f64::NAN]);
        assert!(matches!(bad, Err(Error::InvalidArgument { .. })));
        let none = Bootstrap::default().mean(&[]);
        assert!(matches!(none, Err(Error::InvalidArgument { .. })));
        let unpaired = Bootstrap::default().difference(&values, &values[1..]);
        assert!(matches!(unpaired, Err(Error::InvalidArgument { .. })));
    }
}
