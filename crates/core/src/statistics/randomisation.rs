//! Whether a difference between two systems can be chance.

use rayon::prelude::*;

use super::bootstrap::paired;
use super::random::{Purpose, Random};
use crate::error::{Error, Result};

/// Pairs that differ, up to which every permutation is looked at.
const EXACT_PAIRS: usize = 16;
/// Differences are equal within this share of their sum: the order of adding must not decide.
const TOLERANCE: f64 = 1e-12;

/// Fisher's randomisation test for the mean of paired values, two-sided: if the two systems were alike, the two values of
/// every example could be exchanged. M. Smucker, J. Allan and B. Carterette, "A Comparison of Statistical Significance
/// Tests for Information Retrieval Evaluation" (CIKM 2007).
///
/// ```
/// use ragtune_core::statistics::RandomisationTest;
///
/// let tuned = [0.9, 0.8, 0.7, 1.0, 0.6];
/// let before = [0.5, 0.6, 0.6, 0.7, 0.1];
/// // All five differences have one sign: 2 of the 32 permutations are as extreme.
/// assert_eq!(RandomisationTest::default().p_value(&tuned, &before)?, 2.0 / 32.0);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomisationTest {
    permutations: usize,
    seed: u64,
}

impl Default for RandomisationTest {
    fn default() -> Self {
        Self {
            permutations: 100_000,
            seed: 0,
        }
    }
}

impl RandomisationTest {
    /// How many random permutations are looked at where there are too many for all; 100,000 by default.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for fewer than 100.
    pub fn with_permutations(mut self, permutations: usize) -> Result<Self> {
        if permutations < 100 {
            return Err(Error::InvalidArgument {
                argument: "permutations",
                reason: format!("{permutations} is too few for a p-value; take 10,000 or more"),
            });
        }
        self.permutations = permutations;
        Ok(self)
    }

    /// The seed of the permutations; the same one gives the same value.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The share of permutations whose difference of means is at least as large as the one found: small where chance
    /// would seldom bring it. Up to 16 differing pairs it is exact; beyond, the found difference counts as one of the
    /// permutations, so that it is never 0.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for two numbers of values, for none, and for one that is not finite.
    pub fn p_value(&self, first: &[f64], second: &[f64]) -> Result<f64> {
        let mut differences = paired(first, second)?;
        if differences.is_empty() {
            return Err(Error::InvalidArgument {
                argument: "values",
                reason: "there are none, so there is no difference to test".to_owned(),
            });
        }
        // Exchanging equal values changes nothing.
        differences.retain(|difference| *difference != 0.0);
        let found = differences.iter().sum::<f64>().abs();
        let tolerance = TOLERANCE * differences.iter().map(|difference| difference.abs()).sum::<f64>();
        let is_extreme = |sum: f64| sum.abs() >= found - tolerance;
        if differences.len() <= EXACT_PAIRS {
            let all = 1_u64 << differences.len();
            let extreme = (0..all).filter(|signs| is_extreme(signed(&differences, || *signs)));
            return Ok(extreme.count() as f64 / all as f64);
        }
        let extreme = (0..self.permutations).into_par_iter().filter(|number| {
            let mut random = Random::of(self.seed, Purpose::Permutation, *number as u64);
            is_extreme(signed(&differences, || random.next_u64()))
        });
        Ok((extreme.count() + 1) as f64 / (self.permutations + 1) as f64)
    }
}

/// The sum of the differences, with the signs that `bits` gives for every 64 of them.
fn signed(differences: &[f64], mut bits: impl FnMut() -> u64) -> f64 {
    let mut sum = 0.0;
    for differences in differences.chunks(64) {
        let signs = bits();
        for (at, difference) in differences.iter().enumerate() {
            sum += if signs >> at & 1 == 1 {
                -difference
            } else {
                *difference
            };
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Bootstrap;

    /// `tests/fixtures/statistics/make.py` prints the rows.
    #[test]
    fn exact_values_equal_those_of_scipy() {
        for (first, second, expected) in SCIPY {
            let p = RandomisationTest::default()
                .p_value(first, second)
                .expect("pairs");
            assert!((p - expected).abs() < 1e-12, "{p} instead of {expected}");
        }
    }

    const SCIPY: &[(&[f64], &[f64], f64)] = &[
        (&[0.62, 0.74, 0.8], &[0.75, 0.59, 0.74], 0.75),
        (
            &[0.03, 0.47, 0.94, 0.65, 0.9, 0.11],
            &[0.38, 0.2, 0.44, 0.46, 0.01, 0.17],
            0.25,
        ),
        (
            &[0.28, 0.92, 0.77, 0.16, 0.8, 0.14, 0.62, 0.13, 0.0, 0.87],
            &[0.17, 0.17, 0.79, 0.16, 0.23, 0.77, 0.43, 0.13, 0.16, 0.75],
            0.4140625,
        ),
        (
            &[0.69, 0.97, 0.89, 0.3, 0.36, 0.17, 0.15, 0.07, 0.3, 0.6, 0.0, 0.68],
            &[
                0.27, 0.25, 0.65, 0.38, 0.25, 0.38, 0.56, 0.05, 0.78, 0.02, 0.6, 0.68,
            ],
            0.8310546875,
        ),
    ];

    #[test]
    fn random_permutations_come_near_the_exact_value() {
        // Once with 16 pairs, once with a seventeenth that changes next to nothing.
        let first: Vec<f64> = (0..16).map(|i| f64::from(i * 7 % 11) / 10.0).collect();
        let second: Vec<f64> = (0..16).map(|i| f64::from(i * 5 % 13) / 12.0 - 0.15).collect();
        let exact = RandomisationTest::default()
            .p_value(&first, &second)
            .expect("pairs");
        let with = |value: f64, values: &[f64]| values.iter().copied().chain([value]).collect::<Vec<_>>();
        let near = RandomisationTest::default()
            .p_value(&with(1e-9, &first), &with(0.0, &second))
            .expect("pairs");
        assert!((near - exact).abs() < 0.01, "{near} beside {exact}");
    }

    #[test]
    fn it_agrees_with_the_bootstrap_on_what_is_sure() {
        let second: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let first: Vec<f64> = (0..400).map(|i| f64::from(i % 2 == 1 || i < 40)).collect();
        let test = RandomisationTest::default();
        let p = test.p_value(&first, &second).expect("pairs");
        let bootstrap = Bootstrap::default().difference(&first, &second).expect("pairs");
        assert!(p < 1e-4 && bootstrap.p_value < 1e-3, "{p} {bootstrap}");
        assert_eq!(test.p_value(&first, &first).ok(), Some(1.0));
        assert_eq!(test.p_value(&second, &first).ok(), Some(p), "two-sided");
    }

    #[test]
    fn bad_input_is_refused() {
        let test = RandomisationTest::default();
        for (first, second) in [
            (&[][..], &[][..]),
            (&[1.0][..], &[][..]),
            (&[f64::NAN][..], &[1.0][..]),
        ] {
            assert!(matches!(
                test.p_value(first, second),
                Err(Error::InvalidArgument { .. })
            ));
        }
        assert!(test.with_permutations(3).is_err());
    }
}
