//! The folder of a run: one process at a time, one subject, and nothing that others wrote.

use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::path::Path;

use serde_json::Value;

use crate::{Outcome, kept};

/// The file that says what a folder is about.
const SUBJECT: &str = "subject.json";
/// The file that is locked while a run works.
const LOCK: &str = "lock";
/// Characters of a value up to which a difference shows it; fingerprints say nothing to a person.
const SHOWN: usize = 60;

/// A folder in which this process works; others are kept out until it is dropped.
#[derive(Debug)]
pub struct Claim {
    _lock: Option<File>,
    goes_on: bool,
}

impl Claim {
    /// Claims a folder for what a run depends on, an object with a name for each setting. `what` is what the folder holds, such
    /// as "comparison". What was kept for another subject is never taken for this.
    ///
    /// # Errors
    /// A folder that holds something else, one in which another process works, and one of another subject, with the first
    /// difference.
    pub fn take(folder: &Path, what: &str, subject: &Value) -> Result<Self, Box<dyn Error>> {
        let (file, out) = (folder.join(SUBJECT), folder.display());
        let foreign = || format!("{out} holds something else than a {what}; name another --out");
        if folder.is_file() {
            return Err(format!("{out} is a file; --out is a folder").into());
        }
        if !file.exists() && holds_anything(folder)? {
            return Err(foreign().into());
        }
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join(LOCK))?;
        let lock = match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => {
                return Err(
                    format!("another {what} runs in {out}; wait for its end, or name another --out").into(),
                );
            }
            // A file system without locks keeps nobody out.
            Err(TryLockError::Error(_)) => None,
        };
        let goes_on = file.exists();
        if goes_on {
            let there: Value =
                serde_json::from_slice(&fs::read(&file)?).map_err(|_| Box::<dyn Error>::from(foreign()))?;
            if let Some(difference) = difference(&there, subject) {
                return Err(format!(
                    "{out} holds a {what} with another {difference}; name another --out, or remove it"
                )
                .into());
            }
        } else {
            kept::write(&file, subject)?;
        }
        Ok(Self { _lock: lock, goes_on })
    }

    /// Whether a run began here before.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }
}

/// Refuses a folder with anything else in it than a `what`, such as "an evaluation", of which the files are written anew.
///
/// # Errors
/// Such a folder, a file, and a folder that cannot be read.
pub fn holds_only(folder: &Path, what: &str, is_one: impl FnOnce() -> bool) -> Outcome {
    let out = folder.display();
    if folder.is_file() {
        return Err(format!("{out} is a file; --out is a folder").into());
    }
    match !holds_anything(folder)? || is_one() {
        true => Ok(()),
        false => Err(format!("{out} holds something else than {what}; name another --out").into()),
    }
}

/// Refuses a folder of results inside of the documents: they would be read as documents, and the documents would be others with
/// each run.
///
/// # Errors
/// Such a folder, and documents that do not exist.
pub fn outside(option: &str, folder: &Path, documents: &Path) -> Outcome {
    let documents = documents
        .canonicalize()
        .map_err(|error| format!("cannot read {}: {error}", documents.display()))?;
    let mut above = std::path::absolute(folder)?;
    // What does not exist yet has a folder above that does.
    while !above.exists() && above.pop() {}
    match documents.is_dir() && above.canonicalize()?.starts_with(&documents) {
        true => Err(format!(
            "{option} {} lies inside of {}, whose files are what is read; name a folder beside it",
            folder.display(),
            documents.display()
        )
        .into()),
        false => Ok(()),
    }
}

fn holds_anything(folder: &Path) -> Result<bool, Box<dyn Error>> {
    if !folder.is_dir() {
        return Ok(false);
    }
    let mut entries = folder.read_dir()?;
    Ok(entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK)))
}

/// The first setting that differs, with both values where they are short.
fn difference(there: &Value, now: &Value) -> Option<String> {
    let value = |of: &Value, name: &str| of.get(name).cloned().unwrap_or_default();
    let names = |of: &Value| -> Vec<String> {
        let names = of.as_object().into_iter().flatten().map(|(name, _)| name.clone());
        names.collect()
    };
    let mut all = names(now);
    all.extend(names(there));
    let name = all
        .into_iter()
        .find(|name| value(there, name) != value(now, name))?;
    let (there, now) = (value(there, &name), value(now, &name));
    let shown = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (there, now) = (shown(&there), shown(&now));
    Some(match there.len().max(now.len()) <= SHOWN {
        true => format!("{name} ({there}, not {now})"),
        false => name,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_folder_is_of_one_subject_and_of_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let subject = json!({"--seed": 1, "--data": "a".repeat(64)});
        let first = Claim::take(&out, "loop", &subject).unwrap();
        assert!(!first.goes_on());
        let taken = Claim::take(&out, "loop", &subject).unwrap_err().to_string();
        assert!(taken.contains("another loop runs"), "{taken}");
        drop(first);
        assert!(Claim::take(&out, "loop", &subject).unwrap().goes_on());
        let refused = |subject: &Value| Claim::take(&out, "loop", subject).unwrap_err().to_string();
        let seed = refused(&json!({"--seed": 2, "--data": "a".repeat(64)}));
        assert!(seed.contains("another --seed (1, not 2)"), "{seed}");
        let data = refused(&json!({"--seed": 1, "--data": "b".repeat(64)}));
        assert!(data.contains("another --data;"), "{data}");
        let more = refused(&json!({"--seed": 1, "--data": "a".repeat(64), "--lr": 0.1}));
        assert!(more.contains("another --lr (none, not 0.1)"), "{more}");
    }

    #[test]
    fn results_do_not_lie_among_documents() {
        let folder = tempfile::tempdir().unwrap();
        let (notes, beside) = (folder.path().join("notes"), folder.path().join("notes-out"));
        fs::create_dir(&notes).unwrap();
        assert!(outside("--out", &beside, &notes).is_ok());
        for inside in [notes.clone(), notes.join("a/b")] {
            let refused = outside("--out", &inside, &notes).unwrap_err().to_string();
            assert!(refused.contains("--out"), "{refused}");
        }
        assert!(outside("--out", &beside, &folder.path().join("none")).is_err());
    }

    #[test]
    fn what_others_wrote_stays() {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes.md");
        fs::write(&notes, "mine").unwrap();
        let refused = |path: &Path| Claim::take(path, "loop", &json!({})).unwrap_err().to_string();
        assert!(refused(folder.path()).contains("something else than a loop"));
        assert!(refused(&notes).contains("is a file"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(folder.path().join(SUBJECT), "no JSON").unwrap();
        assert!(refused(folder.path()).contains("something else"));
    }
}
