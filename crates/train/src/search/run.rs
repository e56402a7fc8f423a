//! The search itself.

use std::error::Error as StdError;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::candidates::Candidates;
use super::event::SearchEvent;
use super::halving::Halving;
use super::journal::Journal;
use super::leg::{Leg, Reached, folder_of};
use super::report::SearchReport;
use super::trial::{Failure, Rung, Trial};
use crate::error::{Error, Result};
use crate::objective::Scores;
use crate::trainer::{Control, Told, Watch};

/// Which scores are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Higher ones.
    Maximise,
    /// Lower ones.
    Minimise,
}

/// A search: what is tried, how long, and who watches.
///
/// The module's documentation shows whole ones. The clock is read only for the seconds in the table.
pub struct Search<'a> {
    candidates: Candidates,
    halving: Option<Halving>,
    score: Option<(String, Goal)>,
    data: String,
    watch: Watch<'a, Searching>,
}

/// What a search tells.
struct Searching;

impl Told for Searching {
    type Event<'e> = SearchEvent<'e>;
    const NAME: &'static str = "the search";
    const TRACE: &'static str = "a search";
}

impl<'a> Search<'a> {
    /// A search in which every candidate runs to its end.
    #[must_use]
    pub fn new(candidates: Candidates) -> Self {
        Self {
            candidates,
            halving: None,
            score: None,
            data: String::new(),
            watch: Watch::new(),
        }
    }

    /// Gives the worse candidates up early; needs a folder, from whose states the better ones go on.
    #[must_use]
    pub fn with_halving(mut self, halving: Halving) -> Self {
        self.halving = Some(halving);
        self
    }

    /// The score by which candidates are compared, where that is not the first that the task reports.
    #[must_use]
    pub fn with_score(mut self, name: impl Into<String>, goal: Goal) -> Self {
        self.score = Some((name.into(), goal));
        self
    }

    /// What tells the data, such as [`fingerprint`](crate::trainer::fingerprint): a search over other data is refused to go
    /// on.
    #[must_use]
    pub fn with_data(mut self, fingerprint: impl Into<String>) -> Self {
        self.data = fingerprint.into();
        self
    }

    /// Where the search keeps what it found (`search.json`) and its trials their states (`trial-0001` and so on). States
    /// of trials that were given up or beaten are removed; those of failed ones stay.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.watch.folder = Some(folder.into());
        self
    }

    /// Goes on with the search in the folder, if there is one.
    #[must_use]
    pub fn with_resume(mut self, resume: bool) -> Self {
        self.watch.resume = resume;
        self
    }

    /// Pauses and ends the search from elsewhere.
    #[must_use]
    pub fn with_control(mut self, control: Control) -> Self {
        self.watch.control = control;
        self
    }

    /// Hears of every part of every trial.
    #[must_use]
    pub fn with_observer(mut self, observer: impl FnMut(&SearchEvent<'_>) + 'a) -> Self {
        self.watch.observer = Box::new(observer);
        self
    }

    /// Tries the candidates, in their order and one at a time. What `advance` fails with, and a score that is no number,
    /// ends its trial, which stays in the report with the reason; a disk that fails ends the search, which can go on. The report is the same, but for its seconds, whether the
    /// search ran through or was killed and went on any number of times.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for settings that no search can have and a score that the task does not report,
    /// [`Error::OtherRun`] and [`Error::State`] for a folder that this search cannot go on from, and [`Error::Io`].
    pub fn run<E: Into<Box<dyn StdError>>>(
        mut self,
        mut advance: impl FnMut(&Leg<'_>) -> std::result::Result<Reached, E>,
    ) -> Result<SearchReport> {
        let shares = self.shares()?;
        let journal = self.journal(&shares)?;
        let mut trials = self.begin(journal.as_ref(), &shares)?;
        let kept = |search: &Self, rung: usize| match search.halving {
            Some(halving) => halving.kept(rung, search.candidates.len()),
            None => search.candidates.len(),
        };
        let legs = (0..shares.len()).map(|rung| kept(&self, rung)).sum();
        let done = trials.iter().map(|trial| trial.rungs.len()).sum();
        self.watch.tell(&SearchEvent::Started {
            trials: trials.len(),
            done,
            legs,
        });
        let mut goal = self.goal(&trials);
        let mut running: Vec<usize> = (0..trials.len()).collect();
        let mut open = None;
        'rungs: for (rung, &share) in shares.iter().enumerate() {
            for &index in &running {
                let trial = &mut trials[index];
                if trial.rungs.len() > rung || trial.failure.is_some() {
                    continue;
                }
                if !self.watch.control.proceeds() || !self.advance(trial, share, &mut advance)? {
                    open = Some(unfinished(&trials, &running, rung));
                    break 'rungs;
                }
                if let Some(journal) = &journal {
                    journal.save(&trials)?;
                }
                goal = self.goal(&trials);
                self.watch.tell(&SearchEvent::Advanced {
                    trial: &trials[index],
                });
                if rung + 1 == shares.len() {
                    self.remove_beaten(&trials, &running, rung, goal);
                }
            }
            let last = rung + 1 == shares.len();
            let mut going_on = ranking(&trials, &running, rung, goal);
            let keeps = if last { 1 } else { kept(&self, rung + 1) };
            let given_up = going_on.split_off(keeps.min(going_on.len()));
            let numbers = |of: &[usize]| of.iter().map(|index| trials[*index].number).collect::<Vec<_>>();
            self.watch.tell(&SearchEvent::Compared {
                rung,
                kept: &numbers(&going_on),
                given_up: &numbers(&given_up),
            });
            given_up.iter().for_each(|index| self.remove(&trials[*index]));
            going_on.sort_unstable();
            running = going_on;
        }
        Ok(SearchReport::new(
            trials,
            shares,
            self.score.map(|(name, _)| name),
            goal,
            open,
        ))
    }

    /// Runs a part of a trial; false where it was cancelled.
    fn advance<E: Into<Box<dyn StdError>>>(
        &mut self,
        trial: &mut Trial,
        share: f64,
        advance: &mut impl FnMut(&Leg<'_>) -> std::result::Result<Reached, E>,
    ) -> Result<bool> {
        self.watch.tell(&SearchEvent::Advancing { trial, share });
        let leg = Leg {
            trial: trial.number,
            point: &trial.point,
            share,
            from: trial.rungs.last().map_or(0.0, |rung| rung.share),
            folder: self
                .watch
                .folder
                .as_ref()
                .map(|folder| folder_of(folder, trial.number)),
            control: self.watch.control.clone(),
        };
        let started = Instant::now();
        let reached = advance(&leg);
        let seconds = started.elapsed().as_secs_f64();
        let failure = |message: String| Failure {
            share,
            seconds,
            message,
        };
        match reached {
            Ok(Reached::Cancelled) => return Ok(false),
            Ok(Reached::Scored { scores, steps }) => {
                let score = self.score(&scores)?;
                match score.is_nan() {
                    true => trial.failure = Some(failure("its score is no number".to_owned())),
                    false => trial.rungs.push(Rung {
                        share,
                        steps,
                        seconds,
                        score,
                        scores,
                    }),
                }
            }
            Err(error) => match error.into().downcast::<Error>() {
                // The disk is no matter of the settings: the search ends, and can go on when it is mended.
                Ok(error) if is_of_the_disk(&error) => return Err(*error),
                Ok(error) => trial.failure = Some(failure(chain(error.as_ref()))),
                Err(error) => trial.failure = Some(failure(chain(error.as_ref()))),
            },
        }
        Ok(true)
    }

    fn shares(&self) -> Result<Vec<f64>> {
        let Some(halving) = &self.halving else {
            return Ok(vec![1.0]);
        };
        let shares = halving.shares(self.candidates.len())?;
        if shares.len() > 1 && self.watch.folder.is_none() {
            let reason = "trials go on from their saved states; name a folder for them";
            return Err(Error::invalid("halving", reason));
        }
        Ok(shares)
    }

    fn journal(&self, shares: &[f64]) -> Result<Option<Journal>> {
        let Some(folder) = self.watch.folder()? else {
            return Ok(None);
        };
        let score = self
            .score
            .as_ref()
            .map(|(name, goal)| format!("{name}, {goal:?}"));
        let settings = json!({
            "candidates": self.candidates.source,
            "eta": self.halving.map(|halving| halving.eta),
            "rungs": shares.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "score": score,
            "data": self.data,
        });
        Journal::new(folder, settings).map(Some)
    }

    /// The trials as they stand.
    fn begin(&self, journal: Option<&Journal>, shares: &[f64]) -> Result<Vec<Trial>> {
        let points = self.candidates.points().iter().enumerate();
        let mut trials: Vec<Trial> = points
            .map(|(index, point)| Trial::new(index + 1, point.clone()))
            .collect();
        match journal {
            Some(journal) if journal.is_used() && !self.watch.resume => {
                return Err(Watch::<Searching>::used());
            }
            Some(journal) if journal.is_used() => {
                journal.load(&mut trials, shares, |scores| self.score(scores))?;
            }
            Some(journal) => journal.save(&trials)?,
            None => {}
        }
        Ok(trials)
    }

    /// What a trial is compared by.
    fn score(&self, scores: &Scores) -> Result<f64> {
        let Some((name, _)) = &self.score else {
            return Ok(scores.first());
        };
        scores.get(name).ok_or_else(|| {
            let names: Vec<&str> = scores.iter().map(|(name, _)| name).collect();
            let reason = format!(
                "the task does not report {name:?}; it reports {}",
                names.join(", ")
            );
            Error::invalid("score", reason)
        })
    }

    /// Which scores are better; what the task says where nobody else does.
    fn goal(&self, trials: &[Trial]) -> Goal {
        let first = || trials.iter().find_map(|trial| trial.rungs.first());
        match (&self.score, first()) {
            (Some((_, goal)), _) => *goal,
            (None, Some(rung)) if !rung.scores.higher_is_better() => Goal::Minimise,
            _ => Goal::Maximise,
        }
    }

    /// Removes the states of trials that came to the end and are not the best of those so far.
    fn remove_beaten(&self, trials: &[Trial], running: &[usize], rung: usize, goal: Goal) {
        let ranked = ranking(trials, running, rung, goal);
        ranked
            .iter()
            .skip(1)
            .for_each(|index| self.remove(&trials[*index]));
    }

    fn remove(&self, trial: &Trial) {
        if let Some(folder) = &self.watch.folder {
            // A state that cannot be removed takes room and does no harm.
            let _ = fs::remove_dir_all(folder_of(folder, trial.number));
        }
    }
}

/// The trials that came to a rung, the best first; of equal ones the earlier.
pub(super) fn ranking(trials: &[Trial], among: &[usize], rung: usize, goal: Goal) -> Vec<usize> {
    let score = |index: &usize| trials[*index].rungs.get(rung).map(|rung| rung.score);
    let mut ranked: Vec<usize> = among
        .iter()
        .copied()
        .filter(|index| score(index).is_some())
        .collect();
    ranked.sort_by(|a, b| {
        let (a, b) = (score(a).unwrap_or(f64::NAN), score(b).unwrap_or(f64::NAN));
        match goal {
            Goal::Maximise => b.total_cmp(&a),
            Goal::Minimise => a.total_cmp(&b),
        }
    });
    ranked
}

/// The numbers of the trials that have still to come to a rung, or have come to it and are not compared yet.
fn unfinished(trials: &[Trial], running: &[usize], rung: usize) -> Vec<usize> {
    let open = |trial: &&Trial| trial.failure.is_none() && trial.rungs.len() <= rung + 1;
    let running = running.iter().map(|index| &trials[*index]);
    running.filter(open).map(|trial| trial.number).collect()
}

/// Whether an error says nothing about the settings that were tried.
fn is_of_the_disk(error: &Error) -> bool {
    matches!(
        error,
        Error::Io { .. } | Error::State { .. } | Error::OtherRun { .. }
    )
}

/// An error and its causes in one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
