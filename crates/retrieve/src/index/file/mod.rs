//! The file of an index: what is searched on comes into memory and is verified, what is only scored with stays on disk.

mod format;
mod mapped;
mod read;
mod section;
mod write;

pub(crate) use format::Stamp;
pub(crate) use mapped::MappedRows;
pub(crate) use read::open;
#[cfg(test)]
pub(crate) use write::limit_writing;
pub(crate) use write::{Keys, STAGED, save};
