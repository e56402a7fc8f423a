//! The file of a search: what was tried and what came out, whole or not there.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::trial::{Failure, Rung, Trial};
use crate::error::{Error, Result};
use crate::objective::Scores;
use crate::report::write;
use crate::trainer::{FolderLock, differences, reread};

/// The layout of the file; another number is another layout.
const VERSION: u32 = 1;
const NAME: &str = "search.json";

/// The file of a search.
pub(super) struct Journal {
    path: PathBuf,
    settings: Json,
    _lock: FolderLock,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    settings: Json,
    trials: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    rungs: Vec<Reading>,
    failure: Option<(f64, String)>,
}

#[derive(Serialize, Deserialize)]
struct Reading {
    steps: usize,
    seconds: f64,
    scores: Scores,
    /// Of the scores: decimal digits would not bring back the last of them.
    bits: Vec<u64>,
}

impl Journal {
    pub(super) fn new(folder: &Path, settings: Json) -> Result<Self> {
        let _lock = FolderLock::take(folder)?;
        let path = folder.join(NAME);
        Ok(Self {
            path,
            settings,
            _lock,
        })
    }

    /// Whether a search was begun in the folder.
    pub(super) fn is_used(&self) -> bool {
        self.path.exists()
    }

    pub(super) fn save(&self, trials: &[Trial]) -> Result<()> {
        let reading = |rung: &Rung| Reading {
            steps: rung.steps,
            seconds: rung.seconds,
            scores: rung.scores.clone(),
            bits: rung.scores.bits(),
        };
        let entry = |trial: &Trial| Entry {
            rungs: trial.rungs.iter().map(reading).collect(),
            failure: trial
                .failure
                .as_ref()
                .map(|failure| (failure.seconds, failure.message.clone())),
        };
        let file = File {
            version: VERSION,
            settings: self.settings.clone(),
            trials: trials.iter().map(entry).collect(),
        };
        let text = serde_json::to_string_pretty(&file).map_err(|source| self.wrong(source.to_string()))?;
        write(&self.path, &text)
    }

    /// Puts what was found before into the trials; `score` is what trials are compared by.
    pub(super) fn load(
        &self,
        trials: &mut [Trial],
        shares: &[f64],
        score: impl Fn(&Scores) -> Result<f64>,
    ) -> Result<()> {
        let bytes = fs::read(&self.path).map_err(|source| Error::io(&self.path, source))?;
        let file: File = serde_json::from_slice(&bytes).map_err(|source| self.wrong(source.to_string()))?;
        if file.version != VERSION {
            return Err(self.wrong(format!(
                "its layout is version {}, this is {VERSION}",
                file.version
            )));
        }
        let differences = differences(&file.settings, &reread(&self.settings));
        if !differences.is_empty() {
            return Err(Error::OtherRun {
                path: self.path.clone(),
                differences,
            });
        }
        let fits = |entry: &Entry| {
            let parts = entry.rungs.len() + usize::from(entry.failure.is_some());
            parts <= shares.len()
        };
        if file.trials.len() != trials.len() || !file.trials.iter().all(fits) {
            return Err(self.wrong("its trials are not those of its settings".to_owned()));
        }
        for (trial, entry) in trials.iter_mut().zip(file.trials) {
            for (reading, &share) in entry.rungs.into_iter().zip(shares) {
                let mut scores = reading.scores;
                scores.set_bits(&reading.bits);
                trial.rungs.push(Rung {
                    share,
                    steps: reading.steps,
                    seconds: reading.seconds,
                    score: score(&scores)?,
                    scores,
                });
            }
            trial.failure = entry.failure.map(|(seconds, message)| Failure {
                share: shares[trial.rungs.len()],
                seconds,
                message,
            });
        }
        Ok(())
    }

    fn wrong(&self, reason: String) -> Error {
        Error::State {
            path: self.path.clone(),
            reason,
        }
    }
}
