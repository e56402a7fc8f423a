//! What became of one point.

use serde::Serialize;

use super::point::Point;
use crate::objective::Scores;

/// A point and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Trial {
    /// Its number, from 1.
    pub number: usize,
    /// Its settings.
    pub point: Point,
    /// The rungs that it came to.
    pub rungs: Vec<Rung>,
    /// Why it ended before the next rung, where it failed.
    pub failure: Option<Failure>,
}

/// A trial behind a share of its course.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rung {
    /// The share of the course, to 1.
    pub share: f64,
    /// Steps since the trial began.
    pub steps: usize,
    /// Seconds that this part of the course took.
    pub seconds: f64,
    /// The score by which trials are compared.
    pub score: f64,
    /// All scores.
    pub scores: Scores,
}

/// Why a trial ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The share of its course that it did not reach.
    pub share: f64,
    /// Seconds until it failed, behind its last rung.
    pub seconds: f64,
    /// What went wrong, with all its causes.
    pub message: String,
}

impl Trial {
    pub(super) fn new(number: usize, point: Point) -> Self {
        Self {
            number,
            point,
            rungs: Vec::new(),
            failure: None,
        }
    }

    /// The score behind the last rung that it came to.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        self.rungs.last().map(|rung| rung.score)
    }

    /// Steps in all, but for those of a part that failed.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.rungs.last().map_or(0, |rung| rung.steps)
    }

    /// Seconds in all.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let failed = self.failure.as_ref().map_or(0.0, |failure| failure.seconds);
        self.rungs.iter().map(|rung| rung.seconds).sum::<f64>() + failed
    }
}
