//! A folder that appears under its name when it is whole.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What the name of a folder that is being written ends in.
const ENDING: &str = ".partial";
/// Attempts at a folder that another process takes for a leftover in the moment between its creation and its lock.
const ATTEMPTS: usize = 8;

/// A folder that is written beside its final name, as `NAME.PROCESS.partial`, and takes that name when it is whole.
///
/// While it is written it is locked. A process that is killed leaves its folder behind without a lock; the next one that
/// writes the same name removes it. Where folders cannot be locked (outside of Unix), leftovers stay.
///
/// ```
/// use ragtune_core::weights::StagedFolder;
/// # let parent = tempfile::tempdir()?;
/// # let out = parent.path().join("model");
/// let staged = StagedFolder::create(&out)?;
/// std::fs::write(staged.path().join("config.json"), "{}")?;
/// assert!(!out.exists());
/// staged.commit()?;
/// assert!(out.join("config.json").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StagedFolder {
    target: PathBuf,
    path: PathBuf,
    /// Holds the lock; none where folders cannot be locked.
    lock: Option<File>,
    committed: bool,
}

impl StagedFolder {
    /// An empty folder beside `target`; leftovers of processes that are gone are removed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `target` exists or names no folder, and [`Error::Io`].
    pub fn create(target: impl Into<PathBuf>) -> Result<Self> {
        let target = target.into();
        if target.symlink_metadata().is_ok() {
            return Err(Error::InvalidArgument {
                argument: "folder",
                reason: format!("{} exists; name one that does not", target.display()),
            });
        }
        let Some(name) = target.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(Error::InvalidArgument {
                argument: "folder",
                reason: format!("{} is no name of a folder", target.display()),
            });
        };
        remove_leftovers(&target, &name);
        let path = target.with_file_name(format!("{name}.{}{ENDING}", std::process::id()));
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..ATTEMPTS {
            match create_locked(&path) {
                Ok(lock) => {
                    return Ok(Self {
                        target,
                        path,
                        lock,
                        committed: false,
                    });
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {
                    last = error;
                }
                Err(error) => return Err(Error::io(path, error)),
            }
        }
        Err(Error::io(path, last))
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// [`Error::Io`]; then it is removed.
    pub fn commit(mut self) -> Result<()> {
        fs::rename(&self.path, &self.target).map_err(|error| Error::io(&self.target, error))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if !self.committed {
            // A failure leaves what the next process removes.
            let _ = fs::remove_dir_all(&self.path);
        }
        self.lock = None;
    }
}

/// A new folder and its lock.
fn create_locked(path: &Path) -> io::Result<Option<File>> {
    fs::create_dir(path)?;
    if !cfg!(unix) {
        return Ok(None);
    }
    let folder = File::open(path)?;
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
        // A file system without locks: then nobody removes it either.
        Err(TryLockError::Error(_)) => return Ok(None),
    }
    // Whoever took it for a leftover before the lock has removed it.
    path.symlink_metadata()?;
    Ok(Some(folder))
}

/// Removes the folders of this name that nobody writes any more. What cannot be read or removed stays: it is in
/// nobody's way unless its process number comes again.
fn remove_leftovers(target: &Path, name: &str) {
    if !cfg!(unix) {
        return;
    }
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|found| is_leftover(found, name));
        // A link is not followed.
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if let Ok(folder) = File::open(&path)
            && folder.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Whether a name is that of a folder written for `name`: `NAME.PROCESS.partial`.
fn is_leftover(found: &str, name: &str) -> bool {
    found
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(ENDING))
        .is_some_and(|process| !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("m");
        let dropped = StagedFolder::create(&out).unwrap();
        fs::write(dropped.path().join("x"), "x").unwrap();
        drop(dropped);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        let whole = StagedFolder::create(&out).unwrap();
        fs::write(whole.path().join("x"), "x").unwrap();
        whole.commit().unwrap();
        assert!(out.join("x").exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
        assert!(matches!(
            StagedFolder::create(&out),
            Err(Error::InvalidArgument { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn leftovers_are_removed_and_what_is_being_written_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("x"), "x").unwrap();
            path
        };
        // Left behind: by another process, and by one that had this process's number.
        let leftovers = [
            folder("m.4000000001.partial"),
            folder(&format!("m.{}.partial", std::process::id())),
        ];
        let others = [
            folder("m2.1.partial"),
            folder("m.x.partial"),
            folder("m..partial"),
            folder("m.1"),
            folder("xm.1.partial"),
        ];
        let busy = folder("m.4000000002.partial");
        let lock = File::open(&busy).unwrap();
        lock.lock().unwrap();
        let file = parent.path().join("m.7.partial");
        fs::write(&file, "x").unwrap();
        let staged = StagedFolder::create(parent.path().join("m")).unwrap();
        assert!(!leftovers[0].exists());
        assert_eq!(fs::read_dir(staged.path()).unwrap().count(), 0);
        assert!(others.iter().all(|path| path.exists()));
        assert!(busy.exists() && file.exists());
        // A second writer of the same process does not take the first one's folder away.
        assert!(StagedFolder::create(parent.path().join("m")).is_err());
        assert!(staged.path().exists());
    }
}
