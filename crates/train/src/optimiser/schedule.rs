//! The learning rate over the steps of a run.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decay {
    /// Not at all.
    Constant,
    /// In a straight line to 0.
    #[default]
    Linear,
    /// Along half a cosine to 0 (Loshchilov and Hutter 2016, arXiv:1608.03983, equation 5).
    Cosine,
}

/// The learning rate over the steps of a run: it rises in a straight line for `warmup` steps, then falls.
///
/// The factors are those of transformers 5.23 (`optimization.py`): `t / max(1, warmup)` for the step `t`, counted from 0,
/// then with `p = (t - warmup) / (total - warmup)` the factor `1`, `1 - p` or `(1 + cos(pi p)) / 2`.
///
/// ```
/// use ragtune_train::optimiser::{Decay, Schedule};
/// let schedule = Schedule { peak: 1e-3, warmup: 2, total: 10, decay: Decay::Linear };
/// assert_eq!(schedule.rate(0), 0.0);
/// assert_eq!(schedule.rate(2), 1e-3);
/// assert_eq!(schedule.rate(6), 5e-4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f64,
    /// Steps until it.
    pub warmup: usize,
    /// Steps of the run.
    pub total: usize,
    /// How the rate falls afterwards.
    pub decay: Decay,
}

impl Schedule {
    /// The rate of a step, counted from 0.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "runs have far fewer than 2^52 steps")]
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup.max(1) as f64;
        }
        let progress = (step - self.warmup) as f64 / self.total.saturating_sub(self.warmup).max(1) as f64;
        let factor = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => (1.0 - progress).max(0.0),
            Decay::Cosine => 0.5 * (1.0 + (PI * progress.min(1.0)).cos()),
        };
        self.peak * factor
    }
}

impl FromStr for Decay {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidArgument`] lists the names that there are.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "constant" => Ok(Self::Constant),
            "linear" => Ok(Self::Linear),
            "cosine" => Ok(Self::Cosine),
            other => Err(Error::invalid(
                "decay",
                format!("{other:?}; there are constant, linear and cosine"),
            )),
        }
    }
}

impl fmt::Display for Decay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `get_*_schedule_with_warmup` of transformers 5.23 with peak 1, 4 steps of warm-up and 20 in all, at 0, 3, 4, 12, 19.
    #[test]
    fn equal_to_transformers() {
        let expected = [
            (Decay::Constant, [0.0, 0.75, 1.0, 1.0, 1.0]),
            (Decay::Linear, [0.0, 0.75, 1.0, 0.5, 0.0625]),
            (Decay::Cosine, [0.0, 0.75, 1.0, 0.5, 0.009_607_359_798_384_785]),
        ];
        for (decay, rates) in expected {
            let schedule = Schedule {
                peak: 1.0,
                warmup: 4,
                total: 20,
                decay,
            };
            for (step, rate) in [0, 3, 4, 12, 19].into_iter().zip(rates) {
                assert!(
                    (schedule.rate(step) - rate).abs() < 1e-15,
                    "{decay} {step}: {}",
                    schedule.rate(step)
                );
            }
        }
    }

    #[test]
    fn extremes_stay_finite() {
        for (warmup, total) in [(0, 0), (5, 3), (0, 1), (3, 3)] {
            let schedule = Schedule {
                peak: 1.0,
                warmup,
                total,
                decay: Decay::Cosine,
            };
            assert!((0..9).all(|step| (0.0..=1.0).contains(&schedule.rate(step))));
        }
    }
}
