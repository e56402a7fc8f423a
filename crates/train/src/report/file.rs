//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a text beside its place and moves it there when it is safely on the disk, so that a full disk leaves the old
/// file whole.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn write(path: &Path, text: &str) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let written = File::create(&partial)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // What is half written is of no use; that it cannot be removed either is told by the first error.
        let _ = fs::remove_file(&partial);
        Error::io(path, source)
    })
}
