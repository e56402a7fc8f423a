//! The tuned encoder beside the one before, on one set of questions.

use ragtune::promotion::Trial;
use ragtune::retrieve::measure::Comparison;
use serde::{Deserialize, Serialize};

/// A trial, as it is kept for a loop that goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trialled {
    pub measured: Vec<Measured>,
    /// Why the candidate may not take the place, where it may not.
    pub refusal: Option<String>,
}

/// The tuned encoder (`first`) beside the one before (`second`) in one measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub on: String,
    pub questions: usize,
    pub mode: String,
    pub measure: String,
    pub first: f64,
    pub second: f64,
    pub difference: Difference,
    pub randomisation_p: f64,
}

/// First less second.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Difference {
    pub interval: Interval,
    pub p_value: f64,
}

/// Where it lies.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Interval {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
    pub level: f64,
    pub resamples: usize,
}

impl Trialled {
    /// What a trial found on questions of a name.
    ///
    /// # Errors
    /// Those of [`Trial::verdict`], except that the candidate is refused.
    pub fn of(on: &str, trial: &Trial) -> ragtune::Result<Self> {
        let refusal = match trial.verdict() {
            Ok(_) => None,
            Err(error @ ragtune::Error::NotPromoted { .. }) => Some(error.to_string()),
            Err(error) => return Err(error),
        };
        let row = |mode: &str, comparison: &Comparison| Measured::new(on, trial.questions, mode, comparison);
        let dense = trial.dense.iter().map(|comparison| row("dense", comparison));
        let hybrid = trial.hybrid.iter().map(|comparison| row("hybrid", comparison));
        Ok(Self {
            measured: dense.chain(hybrid).collect(),
            refusal,
        })
    }
}

impl Measured {
    fn new(on: &str, questions: usize, mode: &str, comparison: &Comparison) -> Self {
        let ragtune::core::statistics::Difference { interval, p_value } = comparison.difference;
        Self {
            on: on.to_owned(),
            questions,
            mode: mode.to_owned(),
            measure: comparison.measure.clone(),
            first: comparison.first,
            second: comparison.second,
            difference: Difference {
                interval: Interval {
                    estimate: interval.estimate,
                    low: interval.low,
                    high: interval.high,
                    level: interval.level,
                    resamples: interval.resamples,
                },
                p_value,
            },
            randomisation_p: comparison.randomisation_p,
        }
    }

    /// What was measured on what.
    pub fn name(&self) -> String {
        format!("{}, {}, {}", self.on, self.mode, self.measure)
    }
}
