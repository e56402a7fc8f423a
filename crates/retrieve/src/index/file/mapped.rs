//! Rows of vectors in a mapped file, each block verified when it is first touched.
//!
//! Mapping a file is `unsafe` because another process may change or shorten the file while it is mapped. An index file
//! is written under a name of its own, never changed after that, and replaced by another file; a process that changes it
//! nevertheless could make rows be read that are not those that were verified, which are only used as numbers. The tests
//! of `tests/index_file.rs` flip bits and cut files.
#![allow(
    unsafe_code,
    reason = "memmap2::Mmap::map is unsafe; see the module's first lines"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use memmap2::Mmap;

use super::format::{Sum, sum};
use crate::error::{Error, Result};

const UNKNOWN: u8 = 0;
const WHOLE: u8 = 1;
const DAMAGED: u8 = 2;

/// Maps a file.
///
/// # Errors
/// What the operating system says.
pub(super) fn map(path: &Path, file: &File) -> Result<Mmap> {
    // SAFETY: the mapping is read-only; see the module's first lines for the rest.
    unsafe { Mmap::map(file) }.map_err(|error| Error::io(path, error))
}

/// Rows in a file.
#[derive(Clone, Debug)]
pub(crate) struct MappedRows(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    map: Mmap,
    dim: usize,
    /// Where the rows begin.
    at: usize,
    block_rows: usize,
    sums: Vec<Sum>,
    states: Vec<AtomicU8>,
}

impl MappedRows {
    /// The rows from `at` to the end of a file, whose blocks have these checksums.
    pub(super) fn new(
        path: &Path,
        map: Mmap,
        dim: usize,
        at: usize,
        block_rows: usize,
        sums: Vec<Sum>,
    ) -> Self {
        Self(Arc::new(Inner {
            path: path.to_owned(),
            map,
            dim,
            at,
            block_rows,
            states: sums.iter().map(|_| AtomicU8::new(UNKNOWN)).collect(),
            sums,
        }))
    }

    /// A row.
    ///
    /// # Errors
    /// [`Error::DamagedIndex`] where its block is not as it was written.
    #[inline]
    pub(crate) fn row(&self, row: u32) -> Result<&[f32]> {
        let block = row as usize / self.0.block_rows;
        if self.0.states[block].load(Ordering::Acquire) != WHOLE {
            self.verify(block)?;
        }
        self.peek(row)
            .ok_or_else(|| self.damaged("its rows do not lie as they must"))
    }

    /// A row that may be damaged.
    #[inline]
    pub(crate) fn peek(&self, row: u32) -> Option<&[f32]> {
        let bytes = self.0.dim * 4;
        let at = self.0.at + row as usize * bytes;
        bytemuck::try_cast_slice(self.0.map.get(at..at + bytes)?).ok()
    }

    #[cold]
    fn verify(&self, block: usize) -> Result<()> {
        let bytes = self.0.dim * 4 * self.0.block_rows;
        let start = self.0.at + block * bytes;
        let end = (start + bytes).min(self.0.map.len());
        let is_whole = self.0.states[block].load(Ordering::Acquire) != DAMAGED
            && self
                .0
                .map
                .get(start..end)
                .is_some_and(|bytes| sum(bytes) == self.0.sums[block]);
        self.0.states[block].store(if is_whole { WHOLE } else { DAMAGED }, Ordering::Release);
        match is_whole {
            true => Ok(()),
            false => Err(self.damaged("a block of its vectors is not as it was written")),
        }
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::DamagedIndex {
            path: self.0.path.clone(),
            reason: reason.to_owned(),
        }
    }
}
