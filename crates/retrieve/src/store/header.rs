//! Whether a file is our database, from its first bytes and without opening (hence changing) it.
//!
//! Layout of the header: <https://www.sqlite.org/fileformat.html>, section 1.3.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::schema::{APPLICATION_ID, FORMAT};
use crate::error::{Error, Result};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;

/// What lies at the database's place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or a file that no transaction has written to.
    Nothing,
    /// A database of a format that this version reads.
    Ours,
}

/// Looks at the database's file.
///
/// # Errors
/// [`Error::ForeignStore`], [`Error::NewerStore`], [`Error::Damaged`] for a damaged header, [`Error::Io`].
pub(super) fn inspect(path: &Path) -> Result<Found> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(Error::io(path, error)),
    };
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let read = file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header);
    read.map_err(|error| Error::io(path, error))?;
    if header.is_empty() {
        return Ok(Found::Nothing);
    }
    let foreign = |found: &str| Error::ForeignStore {
        path: path.to_owned(),
        found: found.to_owned(),
    };
    if !header.starts_with(MAGIC) {
        return Err(foreign("a file that is no SQLite database"));
    }
    let field = |at: usize| match header.get(at..at + 4) {
        Some(&[a, b, c, d]) => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    };
    let (Some(format), Some(application), Some(_)) = (field(60), field(68), header.get(HEADER_BYTES - 1))
    else {
        return Err(Error::Damaged {
            path: path.to_owned(),
            reason: format!("the file ends after {} bytes", header.len()),
        });
    };
    if application != APPLICATION_ID {
        return Err(foreign("a SQLite database of another application"));
    }
    match format {
        1..=FORMAT => Ok(Found::Ours),
        0 => Err(Error::Damaged {
            path: path.to_owned(),
            reason: "its header names format 0".to_owned(),
        }),
        newer => Err(Error::NewerStore {
            path: path.to_owned(),
            found: newer,
            supported: FORMAT,
        }),
    }
}
