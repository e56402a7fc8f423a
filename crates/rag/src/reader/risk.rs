//! From which odds on answers are given, so that few enough of them are wrong.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::calibration::CalibrationMap;
use super::labelled::Outcome;
use super::options::Calibrating;
use crate::error::{Error, Result};

/// Halvings of the interval in which a bound lies.
const HALVINGS: usize = 100;

/// What a calibration found: keep it beside the model, as JSON for example, and give it to
/// [`ExtractiveReader::with_calibration`](super::ExtractiveReader::with_calibration).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReaderCalibration {
    /// Log-odds to probability.
    pub map: CalibrationMap,
    /// The least log-odds with which an answer is given.
    pub min_log_odds: f64,
    /// Questions with known answers.
    pub questions: usize,
    /// Those that are answered.
    pub answered: usize,
    /// Wrong answers among them.
    pub wrong: usize,
    /// The share of wrong answers that the caller allows.
    pub max_error: f64,
    /// The true share is below this, but for `delta`.
    pub error_bound: f64,
    /// The probability that it is not.
    pub delta: f64,
}

impl ReaderCalibration {
    /// The most answers for which the promise holds.
    ///
    /// This is Selective Guaranteed Risk (Geifman and El-Yaniv 2017, arXiv:1705.08500, algorithm 1): a binary search over the
    /// thresholds, each with the exact binomial bound at `delta` divided by the number of steps. The questions must be drawn
    /// as those that will be asked.
    ///
    /// # Errors
    /// [`Error::NotCalibrated`] where no threshold keeps the promise, `InvalidArgument` for shares out of range.
    pub fn fit(outcomes: &[Outcome], wanted: &Calibrating) -> Result<Self> {
        for (argument, value) in [("max_error", wanted.max_error), ("delta", wanted.delta)] {
            if !(value > 0.0 && value < 1.0) {
                return Err(Error::Core(ragtune_core::Error::InvalidArgument {
                    argument,
                    reason: format!("{value} is not between 0 and 1"),
                }));
            }
        }
        // A question whose passages have no span is never answered, and says nothing about odds.
        let is_answer = |outcome: &&Outcome| outcome.log_odds.is_finite();
        let mut sorted: Vec<Outcome> = outcomes.iter().filter(is_answer).copied().collect();
        sorted.sort_by(|a, b| b.log_odds.total_cmp(&a.log_odds));
        // Answers with equal odds are given together or not at all.
        let is_cut = |answered: &usize| match (sorted.get(answered - 1), sorted.get(*answered)) {
            (Some(last), Some(next)) => last.log_odds > next.log_odds,
            _ => true,
        };
        let cuts: Vec<usize> = (1..=sorted.len()).filter(is_cut).collect();
        // A binary search over so many thresholds at most looks at one more than the logarithm.
        let steps = (sorted.len().max(1) as f64).log2().floor() + 1.0;
        let delta = wanted.delta / steps;
        let (mut low, mut high) = (0, cuts.len());
        let mut best: Option<(usize, usize, f64)> = None;
        let mut least = 1.0_f64;
        while low < high {
            let middle = (low + high) / 2;
            let answered = cuts[middle];
            let wrong = sorted[..answered]
                .iter()
                .filter(|outcome| !outcome.is_right)
                .count();
            let bound = error_bound(wrong, answered, delta);
            least = least.min(bound);
            if bound <= wanted.max_error {
                best = Some((answered, wrong, bound));
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some((answered, wrong, bound)) = best else {
            return Err(Error::NotCalibrated {
                max_error: wanted.max_error,
                delta: wanted.delta,
                questions: outcomes.len(),
                bound: least,
            });
        };
        Ok(Self {
            map: CalibrationMap::fit(wanted.method, &sorted),
            min_log_odds: sorted[answered - 1].log_odds,
            questions: outcomes.len(),
            answered,
            wrong,
            max_error: wanted.max_error,
            error_bound: bound,
            delta: wanted.delta,
        })
    }

    /// The share of questions that are answered.
    pub fn coverage(&self) -> f64 {
        self.answered as f64 / self.questions.max(1) as f64
    }

    /// The probability from which on an answer is given.
    pub fn min_probability(&self) -> f64 {
        self.map.probability(self.min_log_odds)
    }
}

/// The highest share of wrong answers under which so few of `answered` would be `wrong` with probability `delta`: the upper
/// end of Clopper and Pearson's one-sided interval (Biometrika 26, 1934).
///
/// ```
/// use ragtune::reader::error_bound;
/// // No error among 59 answers: below 5 %, with 95 % confidence; the "rule of three".
/// assert!((error_bound(0, 59, 0.05) - 0.0495).abs() < 1e-4);
/// ```
pub fn error_bound(wrong: usize, answered: usize, delta: f64) -> f64 {
    if answered == 0 || wrong >= answered {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        match at_most(wrong, answered, middle) > delta {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// The probability of at most `k` successes in `n` trials of probability `p`.
fn at_most(k: usize, n: usize, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return f64::from(u8::from(k >= n));
    }
    let (ln_p, ln_q) = (p.ln(), (-p).ln_1p());
    let mut log_choose = 0.0;
    let mut sum = 0.0;
    for j in 0..=k {
        if j > 0 {
            log_choose += ((n - j + 1) as f64).ln() - (j as f64).ln();
        }
        sum += (log_choose + j as f64 * ln_p + (n - j) as f64 * ln_q).exp();
    }
    sum.min(1.0)
}

impl fmt::Display for ReaderCalibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "answers {} of {} questions ({:.1} %) from probability {:.3} on, {} of them wrong; at most {:.1} % of its answers \
             are wrong with {:.0} % confidence",
            self.answered,
            self.questions,
            100.0 * self.coverage(),
            self.min_probability(),
            self.wrong,
            100.0 * self.error_bound,
            100.0 * (1.0 - self.delta)
        )
    }
}

#[cfg(test)]
mod tests {
    use ragtune_core::statistics::Random;

    use super::*;

    #[test]
    fn bounds_are_those_of_clopper_and_pearson() {
        // scipy.stats.beta.ppf(1 - delta, k + 1, n - k)
        for (k, n, delta, bound) in [
            (0, 10, 0.05, 0.258_865_6),
            (3, 50, 0.05, 0.147_844),
            (10, 200, 0.01, 0.098_0),
            (5, 5, 0.05, 1.0),
        ] {
            assert!(
                (error_bound(k, n, delta) - bound).abs() < 2e-3,
                "{k} of {n}: {}",
                error_bound(k, n, delta)
            );
        }
        assert!((error_bound(0, 10, 0.05) - (1.0 - 0.05_f64.powf(0.1))).abs() < 1e-12);
    }

    fn drawn(random: &mut Random, count: usize) -> Vec<Outcome> {
        let draw = |_| {
            let log_odds = random.next_normal() * 2.0;
            let is_right = random.next_f64() < 1.0 / (1.0 + (-log_odds).exp());
            Outcome { log_odds, is_right }
        };
        (0..count).map(draw).collect()
    }

    #[test]
    fn the_promise_holds_in_simulations() {
        let mut random = Random::new(11, 0);
        let (mut broken, mut runs, mut coverage) = (0, 0, 0.0);
        let test = drawn(&mut random, 40_000);
        for _ in 0..200 {
            let set = drawn(&mut random, 1_000);
            let Ok(calibration) = ReaderCalibration::fit(&set, &Calibrating::to(0.2)) else {
                continue;
            };
            let answered: Vec<&Outcome> = test
                .iter()
                .filter(|outcome| outcome.log_odds >= calibration.min_log_odds)
                .collect();
            let wrong = answered.iter().filter(|outcome| !outcome.is_right).count();
            runs += 1;
            coverage += calibration.coverage();
            broken += usize::from(wrong as f64 > 0.2 * answered.len() as f64);
        }
        assert!(runs > 190, "{runs}");
        assert!(broken * 20 <= runs, "{broken} of {runs}");
        assert!(coverage / runs as f64 > 0.25, "{coverage} of {runs}");
    }

    #[test]
    fn a_promise_that_cannot_be_kept_is_an_error() {
        let wrong = vec![
            Outcome {
                log_odds: 1.0,
                is_right: false
            };
            50
        ];
        let error = ReaderCalibration::fit(&wrong, &Calibrating::to(0.1)).unwrap_err();
        assert!(
            matches!(error, Error::NotCalibrated { questions: 50, .. }),
            "{error}"
        );
        let few = vec![
            Outcome {
                log_odds: 1.0,
                is_right: true
            };
            3
        ];
        assert!(ReaderCalibration::fit(&few, &Calibrating::to(0.1)).is_err());
        assert!(ReaderCalibration::fit(&[], &Calibrating::to(0.1)).is_err());
        assert!(ReaderCalibration::fit(&few, &Calibrating::to(1.0)).is_err());
    }

    #[test]
    fn equal_odds_are_answered_together() {
        let outcome = |log_odds, is_right| Outcome { log_odds, is_right };
        let mut set: Vec<Outcome> = (0..200).map(|_| outcome(2.0, true)).collect();
        set.extend((0..200).map(|x| outcome(1.0, x % 2 == 0)));
        let calibration = ReaderCalibration::fit(&set, &Calibrating::to(0.05)).unwrap();
        assert_eq!(
            (calibration.answered, calibration.wrong, calibration.min_log_odds),
            (200, 0, 2.0)
        );
    }
}
