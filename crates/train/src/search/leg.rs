//! A part of a trial: what a search asks for, and what it gets.

use std::path::{Path, PathBuf};

use super::point::Point;
use crate::error::{Error, Result};
use crate::objective::{Objective, Scores};
use crate::trainer::{Control, Outcome, Trainer};
use crate::tuning::{Trainable, Tuning};

/// A part of a trial: from where it stands to a share of its course.
#[derive(Debug)]
#[non_exhaustive]
pub struct Leg<'a> {
    /// The number of the trial, from 1.
    pub trial: usize,
    /// Its settings.
    pub point: &'a Point,
    /// The share of its course, to 1, at which the part ends.
    pub share: f64,
    /// The share at which it begins; 0 for a trial that is new.
    pub from: f64,
    /// Where the trial keeps its state, if the search has a folder. A part that was killed is asked for again, and finds
    /// what it left there.
    pub folder: Option<PathBuf>,
    /// Pauses and ends the search.
    pub control: Control,
}

/// What a part of a trial came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reached {
    /// The share that was asked for, or the trial's own end before it.
    Scored {
        /// How good it is.
        scores: Scores,
        /// Steps since the trial began.
        steps: usize,
    },
    /// It was cancelled; the trial goes on with the search.
    Cancelled,
}

impl Reached {
    /// How good a trial is behind so many steps.
    #[must_use]
    pub fn scored(scores: Scores, steps: usize) -> Self {
        Self::Scored { scores, steps }
    }
}

impl Leg<'_> {
    /// Trains from where the trial stands to the share, with the schedule of the whole run; pause and cancel go through to
    /// the run. The trainer needs validation examples; its folder and its control are the search's.
    ///
    /// # Errors
    /// Those of [`Trainer::run`], and [`Error::InvalidArgument`] for a trainer without validation examples.
    pub fn train<O: Objective>(
        &self,
        trainer: Trainer<'_, O>,
        tuning: &Tuning,
        trainable: &mut Trainable,
    ) -> Result<Reached> {
        let mut trainer = trainer.with_share(self.share).with_control(self.control.clone());
        if let Some(folder) = &self.folder {
            trainer = trainer.with_folder(folder).with_resume(true);
        }
        let report = trainer.run(tuning, trainable)?;
        match (report.outcome, report.scores) {
            (Outcome::Cancelled, _) => Ok(Reached::Cancelled),
            (_, Some(scores)) => Ok(Reached::scored(scores, report.steps)),
            (_, None) => Err(Error::invalid(
                "search",
                "trials are compared on validation examples, and the trainer has none; give it `with_valid`",
            )),
        }
    }
}

/// Where a trial keeps its state.
pub(super) fn folder_of(search: &Path, trial: usize) -> PathBuf {
    search.join(format!("trial-{trial:04}"))
}
