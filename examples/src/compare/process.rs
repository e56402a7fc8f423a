//! One process for each system.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ragtune::compare::Measured;
use ragtune::experiment::Experiment;
use serde::{Deserialize, Serialize};

use super::args::Args;
use crate::finetune::peak;
use crate::{Outcome, kept, output};

/// What training a system took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Trained {
    pub seconds: f64,
    pub peak_bytes: Option<u64>,
}

/// The files of one system.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
    name: String,
}

impl Place {
    pub fn new(folder: &Path, name: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Its measurement.
    pub fn measured(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.name))
    }

    /// What its training took.
    pub fn trained(&self) -> PathBuf {
        self.folder.join(format!("{}.training.json", self.name))
    }

    /// What training leaves.
    pub fn model(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// What is looked up in.
    pub fn index(&self) -> PathBuf {
        self.folder.join(format!("{}.index", self.name))
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Writes the measurement, with this process's peak of memory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, measured: Measured) -> Outcome {
        kept::write(&self.measured(), &measured.with_peak_bytes(peak()))
    }

    /// Writes what training took, with this process's peak of memory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_training(&self, seconds: f64) -> Outcome {
        let trained = Trained {
            seconds,
            peak_bytes: peak(),
        };
        kept::write(&self.trained(), &trained)
    }

    /// What training took, where there was any.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn training(&self) -> Result<Option<Trained>, Box<dyn Error>> {
        kept::find(&self.trained())
    }
}

/// A system that could not be measured.
#[derive(Clone, Debug, Serialize)]
pub struct Failed {
    pub name: String,
    pub reason: String,
}

/// Measures systems in processes of their own, those that were not measured before: training first, then the questions. Each comes
/// with whether it trains. One that fails is told and stops no other.
///
/// # Errors
/// Of the first, when all of them failed.
pub fn measured(
    args: &Args,
    systems: impl IntoIterator<Item = (Place, bool)>,
    more: &[OsString],
) -> Result<(Vec<Measured>, Vec<Failed>), Box<dyn Error>> {
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for (place, trains) in systems {
        match one(args, &place, more, trains) {
            Ok(one) => measured.push(one),
            Err(error) => {
                let reason = error.to_string();
                args.say(&format!("{}: failed: {reason}", place.name));
                failed.push(Failed {
                    name: place.name,
                    reason,
                });
            }
        }
    }
    match failed.first() {
        Some(first) if measured.is_empty() => {
            Err(format!("no system could be measured; {}: {}", first.name, first.reason).into())
        }
        _ => Ok((measured, failed)),
    }
}

fn one(args: &Args, place: &Place, more: &[OsString], trains: bool) -> Result<Measured, Box<dyn Error>> {
    fs::create_dir_all(&place.folder)?;
    if !place.measured().exists() {
        if trains && !place.trained().exists() {
            args.say(&format!("{}: training", place.name));
            run(args, place, more, true)?;
        }
        args.say(&format!("{}: asking", place.name));
        run(args, place, more, false)?;
    }
    kept::read(&place.measured())
}

/// Ends this process soon after the one that started it: nobody waits for its result then, and what it trains would be in the way of
/// the next.
#[cfg(unix)]
pub fn end_with_parent() {
    use std::os::unix::process::parent_id;
    use std::thread;
    use std::time::Duration;

    let parent = parent_id();
    thread::spawn(move || {
        while parent_id() == parent {
            thread::sleep(Duration::from_millis(200));
        }
        std::process::exit(1);
    });
}

/// Elsewhere a process ends by itself.
#[cfg(not(unix))]
pub fn end_with_parent() {}

/// This program again, for one system.
fn run(args: &Args, place: &Place, more: &[OsString], trains: bool) -> Outcome {
    let mut line = args.again.line.clone();
    line.extend_from_slice(more);
    line.extend(["--only".into(), place.name.clone().into()]);
    if trains {
        line.push("--train".into());
    }
    let mut command = (args.again.program)(&line)?;
    let log = File::create(place.log())?;
    // What training prints is part of what it says.
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    if command.status()?.success() {
        return Ok(());
    }
    let said = fs::read_to_string(place.log()).unwrap_or_default();
    // The first is the reason; what follows is who could not go on because of it.
    let mut errors = said.lines().filter_map(|line| line.strip_prefix("error: "));
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(format!(
        "{} (all of it in {})",
        output::printable(errors.next().or(last).unwrap_or("ended without a word")),
        place.log().display()
    )
    .into())
}

/// Seconds that `finetune` took for a result, where the record of its run stands beside it.
pub fn training_seconds(result: &Path) -> Option<f64> {
    Some(Experiment::load(result.parent()?).ok()?.seconds)
}
