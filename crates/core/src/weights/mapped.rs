//! The bytes of a checkpoint, mapped from disk or held in memory.
//!
//! Mapping a file is `unsafe` because another process may change or shorten the file while it is mapped. Weights are
//! copied into tensors while the model loads and the mapping is dropped after that, every access goes through bounds
//! checked slices, and values are checked when they are copied; the fault tests in `tests/checkpoint_faults.rs` guard
//! the reading of damaged files. Giving pages back is `unsafe` in general because a mapping that was written to would lose
//! what was written; this one is read-only, and a page that is read again comes back from the file.
#![allow(
    unsafe_code,
    reason = "memmap2::Mmap::map is unsafe; see the module's first lines"
)]

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::{Error, Result};

/// Bytes that are shared, not copied.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    Mapped(Arc<Mmap>),
    Owned(Arc<Vec<u8>>),
    Static(&'static [u8]),
}

impl Bytes {
    /// Maps a regular file.
    pub(super) fn map(path: &Path) -> Result<Self> {
        // Asked before opening: to open a pipe waits for somebody who writes.
        let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
        if !metadata.is_file() {
            let source = std::io::Error::other("it is not a regular file");
            return Err(Error::io(path, source));
        }
        if metadata.len() == 0 {
            return Ok(Self::Static(&[]));
        }
        let file = File::open(path).map_err(|source| Error::io(path, source))?;
        // SAFETY: the mapping is private to this process and read-only; see the module's first lines for the rest.
        let mapped = unsafe { Mmap::map(&file) }.map_err(|source| Error::io(path, source))?;
        Ok(Self::Mapped(Arc::new(mapped)))
    }

    /// Gives the memory of a part back to the system; reading it again is slower and nothing else. So a model that is
    /// loaded tensor by tensor is never in memory twice.
    pub(super) fn release(&self, part: Range<usize>) {
        #[cfg(unix)]
        if let Self::Mapped(bytes) = self
            && part.end <= bytes.len()
            && !part.is_empty()
        {
            // SAFETY: the mapping is read-only and of a file; see the module's first lines.
            let given = unsafe {
                bytes.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, part.start, part.len())
            };
            if let Err(error) = given {
                tracing::debug!(%error, "pages of a checkpoint stay in memory");
            }
        }
        #[cfg(not(unix))]
        let _ = part;
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Static(bytes) => bytes,
        }
    }
}

impl From<Cow<'static, [u8]>> for Bytes {
    fn from(bytes: Cow<'static, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(bytes) => Self::Static(bytes),
            Cow::Owned(bytes) => Self::Owned(Arc::new(bytes)),
        }
    }
}
