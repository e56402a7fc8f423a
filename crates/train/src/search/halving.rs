//! Successive halving: most trials end early.

use crate::error::{Error, Result};

/// Rungs at most, where nothing is said about the first.
const MAX_RUNGS: usize = 5;

/// Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943): all trials run for a share of their course, the best
/// of them for `eta` times as long, the best of these again, until what is left runs to the end.
///
/// Of `n` trials `n / eta^k`, rounded down and at least one, run to the rung `k`; shares of the course are `eta` times those
/// of the rung before. A trial that goes on does so from where it stood. Failed trials are among the `n`. Of trials with
/// the same score the earlier goes on.
///
/// ```
/// use ragtune_train::search::Halving;
/// let halving = Halving::new(3);
/// assert_eq!(halving.shares(9)?, [1.0 / 9.0, 1.0 / 3.0, 1.0]);
/// assert_eq!((0..3).map(|rung| halving.kept(rung, 9)).collect::<Vec<_>>(), [9, 3, 1]);
/// // One epoch of ten first, with half of the trials behind each rung:
/// assert_eq!(Halving::new(2).with_first(0.1).shares(8)?, [0.1, 0.2, 0.4, 0.8, 1.0]);
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Halving {
    /// The factor by which trials become fewer and runs longer.
    pub eta: usize,
    /// The share of its course that every trial runs for; without it, so that fewer than `eta` trials run to the end, in at
    /// most five rungs.
    pub first: Option<f64>,
}

impl Default for Halving {
    /// A third goes on.
    fn default() -> Self {
        Self::new(3)
    }
}

impl Halving {
    /// One of `eta` trials goes on behind each rung.
    #[must_use]
    pub fn new(eta: usize) -> Self {
        Self { eta, first: None }
    }

    /// The share of its course that every trial runs for: 0.1 is one epoch of ten.
    #[must_use]
    pub fn with_first(mut self, share: f64) -> Self {
        self.first = Some(share);
        self
    }

    /// The shares of the course at which so many trials are compared; the last is 1.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a factor below 2 and a first share outside 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "powers of a small number")]
    pub fn shares(&self, trials: usize) -> Result<Vec<f64>> {
        if self.eta < 2 {
            let reason = format!("{}; at least 2, or all trials run to the end", self.eta);
            return Err(Error::invalid("eta", reason));
        }
        let eta = self.eta as f64;
        let Some(first) = self.first else {
            let mut rungs = 1;
            while rungs < MAX_RUNGS && self.power(rungs) <= trials {
                rungs += 1;
            }
            return Ok((0..rungs)
                .rev()
                .map(|power| 1.0 / self.power(power) as f64)
                .collect());
        };
        if !(first > 0.0 && first <= 1.0) {
            let reason = format!("{first}; a share is from above 0 to 1");
            return Err(Error::invalid("first", reason));
        }
        let mut shares = Vec::new();
        let mut share = first;
        // A share that differs from the whole by rounding alone is the whole.
        while share < 1.0 - 1e-9 {
            shares.push(share);
            share *= eta;
        }
        shares.push(1.0);
        Ok(shares)
    }

    /// How many of so many trials run to a rung, counted from 0.
    #[must_use]
    pub fn kept(&self, rung: usize, trials: usize) -> usize {
        (trials / self.power(rung)).max(1)
    }

    fn power(&self, exponent: usize) -> usize {
        let exponent = u32::try_from(exponent).unwrap_or(u32::MAX);
        self.eta.saturating_pow(exponent).max(1)
    }
}
