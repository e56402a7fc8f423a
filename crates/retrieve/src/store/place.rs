//! The database's file in the file system: whether it still is the one that was opened, and how it may be read.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// How the database's file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// With the files that connections share (`-wal`, `-shm`) beside it.
    Shared,
    /// As a file that does not change, because nothing can be written beside it: <https://www.sqlite.org/wal.html>,
    /// section 5. Nobody may have it open otherwise.
    Still,
}

impl Access {
    /// The file's name for SQLite: <https://www.sqlite.org/uri.html>.
    pub(super) fn uri(self, path: &Path) -> String {
        let mut uri = "file:".to_owned();
        for c in path.to_string_lossy().chars() {
            match c {
                '%' => uri.push_str("%25"),
                '?' => uri.push_str("%3f"),
                '#' => uri.push_str("%23"),
                c => uri.push(c),
            }
        }
        if self == Self::Still {
            uri.push_str("?immutable=1");
        }
        uri
    }
}

/// The file as it was when it was opened.
pub(super) struct Place {
    path: PathBuf,
    access: Access,
    identity: Identity,
}

impl Place {
    /// Remembers the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn new(path: &Path, access: Access) -> Result<Self> {
        Ok(Self {
            identity: identity(path).map_err(|error| Error::io(path, error))?,
            path: path.to_owned(),
            access,
        })
    }

    /// How the file is opened.
    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// Whether some process has the database of this name open for writing, or ended without closing it.
    pub(super) fn is_in_use(path: &Path) -> bool {
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        Path::new(&wal).exists()
    }

    /// Refuses to work on a file that nobody else can see any more: what is written to it would be lost.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the file was deleted or replaced; [`Error::Locked`] for a file that is read as one
    /// that does not change, and is written.
    pub(super) fn check(&self) -> Result<()> {
        if !identity(&self.path).is_ok_and(|found| found == self.identity) {
            return Err(Error::Damaged {
                path: self.path.clone(),
                reason: "its file was deleted or replaced while it was open, so open the base anew"
                    .to_owned(),
            });
        }
        if self.access == Access::Still && Self::is_in_use(&self.path) {
            return Err(Error::Locked {
                path: self.path.clone(),
            });
        }
        Ok(())
    }
}

/// Device and number of the file.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map(|about| (about.dev(), about.ino()))
}

/// Where open files cannot be deleted, it is enough that it exists.
#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(path: &Path) -> std::io::Result<Identity> {
    fs::metadata(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let uri = Access::Still.uri(Path::new("/a b/100%?#x/base"));
        assert_eq!(uri, "file:/a b/100%25%3f%23x/base?immutable=1");
    }
}
