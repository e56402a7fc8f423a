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
}
