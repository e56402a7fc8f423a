//! What a search found.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::run::{Goal, ranking};
use super::table::{Table, share};
use super::trial::Trial;
use crate::error::{Error, Result};
use crate::report::write;

/// What a search found: every trial, and which is the best.
///
/// As text it is a table, those that came furthest first, and a line on what it cost.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SearchReport {
    /// All trials, by number.
    pub trials: Vec<Trial>,
    /// The shares of a course at which trials were compared.
    pub shares: Vec<f64>,
    /// The name of the score, where there is one.
    pub score: Option<String>,
    /// Which scores are better.
    pub goal: Goal,
    /// Whether the search ended before its end.
    pub cancelled: bool,
    /// The numbers of the trials that a cancelled search would go on with.
    pub open: Vec<usize>,
}

impl SearchReport {
    pub(super) fn new(
        trials: Vec<Trial>,
        shares: Vec<f64>,
        score: Option<String>,
        goal: Goal,
        open: Option<Vec<usize>>,
    ) -> Self {
        let first = || {
            let scores = trials.iter().find_map(|trial| trial.rungs.first())?;
            scores.scores.iter().next().map(|(name, _)| name.to_owned())
        };
        let score = score.or_else(first);
        Self {
            trials,
            shares,
            score,
            goal,
            cancelled: open.is_some(),
            open: open.unwrap_or_default(),
        }
    }

    /// The best of the trials that ran to the end; `None` where none did.
    #[must_use]
    pub fn best(&self) -> Option<&Trial> {
        let all: Vec<usize> = (0..self.trials.len()).collect();
        let ranked = ranking(&self.trials, &all, self.shares.len() - 1, self.goal);
        ranked.first().map(|index| &self.trials[*index])
    }

    /// How much of whole runs was done: the share of its course that every trial came to, added up.
    #[must_use]
    pub fn whole_runs(&self) -> f64 {
        let reached = |trial: &Trial| trial.rungs.last().map_or(0.0, |rung| rung.share);
        self.trials.iter().map(reached).sum()
    }

    /// Seconds of all trials together.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.trials.iter().map(Trial::seconds).sum()
    }

    /// All trials as CSV, by number: number, settings, the score at each rung, steps, seconds, what became of it.
    ///
    /// # Errors
    /// None in practice: memory holds any table.
    pub fn to_csv(&self) -> Result<String> {
        self.table(false).to_csv()
    }

    /// The table as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        format!("{}\n{}\n", self.table(true).to_markdown(), self.cost())
    }

    /// Everything as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let trial = |trial: &Trial| {
            let settings: serde_json::Map<_, _> = trial
                .point
                .iter()
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect();
            let rung = |rung: &super::Rung| {
                let scores: serde_json::Map<_, _> = rung
                    .scores
                    .iter()
                    .map(|(name, value)| (name.to_owned(), json!(value)))
                    .collect();
                json!({
                    "share": rung.share, "steps": rung.steps, "seconds": rung.seconds,
                    "score": rung.score, "scores": scores,
                })
            };
            json!({
                "number": trial.number, "settings": settings, "state": self.state(trial),
                "rungs": trial.rungs.iter().map(rung).collect::<Vec<_>>(),
                "score": trial.score(), "steps": trial.steps(), "seconds": trial.seconds(),
                "failure": trial.failure.as_ref().map(|failure| &failure.message),
            })
        };
        json!({
            "score": self.score,
            "goal": match self.goal { Goal::Maximise => "maximise", Goal::Minimise => "minimise" },
            "shares": self.shares,
            "best": self.best().map(|trial| trial.number),
            "cancelled": self.cancelled,
            "whole_runs": self.whole_runs(),
            "seconds": self.seconds(),
            "trials": self.trials.iter().map(trial).collect::<Vec<_>>(),
        })
    }

    /// Writes `trials.csv`, `trials.md` and `trials.json` into a folder, and returns their paths.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<[PathBuf; 3]> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let files = ["trials.csv", "trials.md", "trials.json"].map(|name| folder.join(name));
        write(&files[0], &self.to_csv()?)?;
        write(&files[1], &self.to_markdown())?;
        write(&files[2], &format!("{:#}\n", self.to_json()))?;
        Ok(files)
    }

    /// What became of a trial, in a word or two.
    fn state(&self, trial: &Trial) -> String {
        let reached = trial.rungs.len();
        match &trial.failure {
            Some(failure) => format!("failed before {}: {}", share(failure.share), failure.message),
            None if self.best().is_some_and(|best| best.number == trial.number) => "best".to_owned(),
            None if reached == self.shares.len() => "whole".to_owned(),
            None if self.open.contains(&trial.number) => "not done".to_owned(),
            None => format!("given up at {}", share(self.shares[reached - 1])),
        }
    }

    fn table(&self, best_first: bool) -> Table {
        let mut order: Vec<&Trial> = self.trials.iter().collect();
        if best_first {
            let score = |trial: &Trial| trial.score().unwrap_or(f64::NAN);
            order.sort_by(|a, b| {
                let further = b.rungs.len().cmp(&a.rungs.len());
                let better = match self.goal {
                    Goal::Maximise => score(b).total_cmp(&score(a)),
                    Goal::Minimise => score(a).total_cmp(&score(b)),
                };
                further.then(better)
            });
        }
        let mut header = vec!["trial".to_owned()];
        // Points of one's own may differ in their settings.
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.trials.iter().flat_map(|trial| trial.point.iter()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        header.extend(names.iter().map(|name| (*name).to_owned()));
        let score = self.score.as_deref().unwrap_or("score");
        header.extend(self.shares.iter().map(|at| match self.shares.len() {
            1 => score.to_owned(),
            _ => format!("{score} at {}", share(*at)),
        }));
        header.extend(["steps", "seconds", "state"].map(str::to_owned));
        let rows = order.into_iter().map(|trial| {
            let mut row = vec![trial.number.to_string()];
            let value = |name: &&str| trial.point.get(name).map(ToString::to_string).unwrap_or_default();
            row.extend(names.iter().map(value));
            row.extend((0..self.shares.len()).map(|rung| match trial.rungs.get(rung) {
                Some(rung) if best_first => format!("{:.4}", rung.score),
                Some(rung) => rung.score.to_string(),
                None => String::new(),
            }));
            row.push(trial.steps().to_string());
            row.push(format!("{:.1}", trial.seconds()));
            row.push(self.state(trial));
            row
        });
        Table::new(header, rows.collect())
    }

    /// What the search cost, and how many trials failed.
    fn cost(&self) -> String {
        let failed = self.trials.iter().filter(|trial| trial.failure.is_some()).count();
        let steps: usize = self.trials.iter().map(Trial::steps).sum();
        let failed = match failed {
            0 => String::new(),
            failed => format!(", {failed} of them failed"),
        };
        let ended = if self.cancelled { "; cancelled" } else { "" };
        format!(
            "{} trials{failed}: {steps} steps, as much as {:.1} whole runs, {:.1} s{ended}",
            self.trials.len(),
            self.whole_runs(),
            self.seconds()
        )
    }
}

impl fmt::Display for SearchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.table(true), self.cost())
    }
}

impl Serialize for SearchReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}
