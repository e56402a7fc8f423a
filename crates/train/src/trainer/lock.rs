//! A folder that one run has at a time.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};

/// The file that is locked.
const NAME: &str = "run.lock";

/// Says that a folder is a run's, as long as this lives. The operating system holds the lock, so that one whose process was
/// killed is gone; the file stays, and means nothing.
///
/// ```
/// use ragtune_train::Error;
/// use ragtune_train::trainer::FolderLock;
/// # let folder = std::env::temp_dir().join(format!("ragtune-lock-{}", std::process::id()));
/// let lock = FolderLock::take(&folder)?;
/// assert!(matches!(FolderLock::take(&folder), Err(Error::InUse { .. })));
/// drop(lock);
/// assert!(FolderLock::take(&folder).is_ok());
/// # std::fs::remove_dir_all(&folder).ok();
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes a folder, which is made where there is none.
    ///
    /// # Errors
    /// [`Error::InUse`] where another run has it, and [`Error::Io`].
    pub fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let path = folder.join(NAME);
        let opened = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = opened.map_err(|source| Error::io(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse {
                path: folder.to_owned(),
            }),
            // A file system without locks keeps nobody out.
            Err(TryLockError::Error(source)) if source.kind() == std::io::ErrorKind::Unsupported => {
                Ok(Self { _file: file })
            }
            Err(TryLockError::Error(source)) => Err(Error::io(&path, source)),
        }
    }
}
