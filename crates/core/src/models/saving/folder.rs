//! A folder that appears whole or not at all.

use std::path::Path;

use crate::error::Result;
use crate::weights::StagedFolder;

/// Lets `write` fill a folder beside the one that is asked for, and gives it its name when it is whole.
///
/// # Errors
/// Those of [`StagedFolder`], and errors of `write`.
pub(in crate::models) fn new_folder(folder: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let staged = StagedFolder::create(folder)?;
    write(staged.path())?;
    staged.commit()
}
