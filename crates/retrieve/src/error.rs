//! What can go wrong with documents, stores and indexes, in terms a caller can act on.

use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with documents, stores and indexes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A contract or model of `ragtune-core` failed.
    #[error(transparent)]
    Core(#[from] ragtune_core::Error),
    /// A file or folder could not be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no text that a loader could take out.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would help.
        reason: String,
    },
    /// A retriever was asked for something that it cannot honour; it never ignores a condition.
    #[error("{retriever} cannot honour {what}: {remedy}")]
    Unsupported {
        /// The retriever.
        retriever: &'static str,
        /// What was asked for.
        what: String,
        /// What to do instead.
        remedy: String,
    },
    /// The lexical index could not be read or written; it is derived from the store and can be built again.
    #[error("the lexical index could not {action}")]
    LexicalIndex {
        /// What was tried.
        action: &'static str,
        /// What its library said.
        #[source]
        source: ragtune_core::error::BoxError,
    },
    /// Another process writes here; reading is possible all the same.
    #[error("{} is being written by another process: wait for it or stop it", path.display())]
    Locked {
        /// The file or folder.
        path: PathBuf,
    },
    /// A line of a data file is not as its format wants it.
    #[error("{}, line {line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; 0 where it is no single line.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// Wraps an operating system error with the path that it is about.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
