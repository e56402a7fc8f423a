//! The time and memory that a run took over all the processes that it ran in.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::memory;

const FILE: &str = "spent.json";

/// What a run took, kept beside its state.
pub struct Spent {
    file: PathBuf,
    before: Took,
    since: Instant,
    /// Whether this process only shows what others did.
    over: Cell<bool>,
}

/// What processes took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Took {
    /// Seconds, of all processes together; of one that was killed, up to its last saved state.
    pub seconds: f64,
    /// The most memory that one of them took, where the system says it.
    pub peak_bytes: Option<u64>,
}

impl Spent {
    /// Begins to count, behind what other processes of a run that goes on took.
    #[must_use]
    pub fn begin(out: &Path, goes_on: bool) -> Self {
        let file = out.join(FILE);
        let before = match goes_on {
            // What cannot be read is not known; the run is as good without it.
            true => fs::read(&file)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok()),
            false => None,
        };
        Self {
            file,
            before: before.unwrap_or_default(),
            since: Instant::now(),
            over: Cell::new(false),
        }
    }

    /// What the run took up to now.
    #[must_use]
    pub fn now(&self) -> Took {
        if self.over.get() {
            return self.before;
        }
        Took {
            seconds: self.before.seconds + self.since.elapsed().as_secs_f64(),
            peak_bytes: memory::peak().max(self.before.peak_bytes),
        }
    }

    /// From here on nothing counts: the run was over before this process began.
    pub fn is_over(&self) {
        self.over.set(true);
    }

    /// Keeps it. A disk that is full is told by whoever writes a state to it, and this is no reason to end a run.
    pub fn keep(&self) {
        self.keep_as(self.now());
    }

    /// Keeps what the run took in the end.
    pub fn keep_as(&self, took: Took) {
        let partial = self.file.with_extension("partial");
        let written = serde_json::to_vec(&took).map(|text| fs::write(&partial, text));
        if let Ok(Ok(())) = written {
            let _ = fs::rename(&partial, &self.file);
        }
    }
}
