//! A folder that appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Lets `write` fill a folder beside the one that is asked for, and gives it its name when it is whole.
///
/// # Errors
/// [`Error::InvalidArgument`] when `folder` exists, [`Error::Io`], and errors of `write`.
pub(in crate::models) fn new_folder(folder: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.symlink_metadata().is_ok() {
        return Err(Error::InvalidArgument {
            argument: "folder",
            reason: format!("{} exists; name one that does not", folder.display()),
        });
    }
    let name = folder.file_name().ok_or_else(|| Error::InvalidArgument {
        argument: "folder",
        reason: format!("{} is no name of a folder", folder.display()),
    })?;
    let mut partial = name.to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial: PathBuf = folder.with_file_name(partial);
    fs::create_dir(&partial).map_err(|error| Error::io(&partial, error))?;
    let renamed =
        write(&partial).and_then(|()| fs::rename(&partial, folder).map_err(|error| Error::io(folder, error)));
    if renamed.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    renamed
}
