//! One process writes: an advisory lock on a file beside the database.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// The right to write to a base's folder; taken at the first write and kept until the value is dropped.
///
/// The operating system gives the lock back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct WriterLock {
    /// `None` for a base in memory, which nobody else can see.
    folder: Option<PathBuf>,
    held: Mutex<Option<File>>,
}

impl WriterLock {
    /// Name of the lock's file in the base's folder.
    pub(crate) const FILE: &'static str = "writer.lock";

    /// The lock of a folder, not yet taken.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Path::to_owned),
            held: Mutex::new(None),
        }
    }

    /// Takes the lock where this value does not hold it already.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process holds it.
    pub(crate) fn acquire(&self) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Some(try_lock(folder)?);
        }
        Ok(())
    }

    /// Whether this value holds the lock; a base in memory always may be written.
    pub(crate) fn is_held(&self) -> bool {
        self.folder.is_none() || self.held.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Runs `work` under the lock when it can be had at once; gives it back when it was taken for this only.
    pub(crate) fn while_free<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        let Some(folder) = &self.folder else {
            return work().map(Some);
        };
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return work().map(Some);
        }
        match try_lock(folder) {
            Ok(_until_done) => work().map(Some),
            Err(Error::Locked { .. }) => Ok(None),
            // A folder that cannot be written has no writer, and is read without its derived files.
            Err(Error::Io { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn try_lock(folder: &Path) -> Result<File> {
    let path = folder.join(WriterLock::FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| Error::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(Error::io(path, error)),
    }
}
