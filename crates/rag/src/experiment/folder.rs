//! The runs below a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::record::Experiment;
use crate::error::{Error, Result};

/// Folders inside of folders that are looked into.
const MAX_DEPTH: usize = 6;

/// What [`list`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Runs {
    /// The runs, by the time when they began and then by folder.
    pub runs: Vec<Run>,
    /// What looks like a run and cannot be read, by folder.
    pub bad: Vec<BadRun>,
}

/// A run and where it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// Its folder.
    pub folder: PathBuf,
    /// Its record.
    pub experiment: Experiment,
}

/// A folder whose record cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct BadRun {
    /// The folder.
    pub folder: PathBuf,
    /// Why.
    pub error: Error,
}

/// The runs in a folder and in the folders inside it, up to six deep; `folder` itself may be one. A record that cannot be
/// read is named and stops nothing. Links are not followed.
///
/// ```
/// # let folder = std::env::temp_dir().join("ragtune-doc-runs");
/// use ragtune::experiment::{Experiment, list};
///
/// Experiment::start("evaluate", "garden").save(folder.join("first"))?;
/// let found = list(&folder)?;
/// assert_eq!(found.runs[0].experiment.name, "garden");
/// assert!(found.bad.is_empty());
/// # std::fs::remove_dir_all(&folder).ok();
/// # Ok::<(), ragtune::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] where `folder` itself cannot be read.
pub fn list(folder: impl AsRef<Path>) -> Result<Runs> {
    let mut runs = Runs::default();
    look(folder.as_ref(), 0, &mut runs)?;
    runs.runs
        .sort_by(|a, b| (&a.experiment.started, &a.folder).cmp(&(&b.experiment.started, &b.folder)));
    runs.bad.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(runs)
}

fn look(folder: &Path, depth: usize, runs: &mut Runs) -> Result<()> {
    let failed = |source| Error::io(folder, source);
    let mut inner = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() == Experiment::FILE {
            match Experiment::load(folder) {
                Ok(experiment) => runs.runs.push(Run {
                    folder: folder.to_owned(),
                    experiment,
                }),
                Err(error) => runs.bad.push(BadRun {
                    folder: folder.to_owned(),
                    error,
                }),
            }
        } else if entry.file_type().map_err(failed)?.is_dir() {
            inner.push(entry.path());
        }
    }
    for folder in inner.into_iter().filter(|_| depth < MAX_DEPTH) {
        if let Err(error) = look(&folder, depth + 1, runs) {
            runs.bad.push(BadRun { folder, error });
        }
    }
    Ok(())
}
