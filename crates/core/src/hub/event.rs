//! What a fetch tells while it runs, and what it returns.

use std::path::PathBuf;

/// A step of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubEvent {
    /// The hub answered which commit the revision is.
    Resolved {
        /// The repository.
        repo: String,
        /// The commit that every file is fetched from.
        commit: String,
    },
    /// Bytes of a file are on disk.
    Progress {
        /// The file's path in the repository.
        file: String,
        /// Bytes of it on disk, those of an earlier attempt included.
        bytes_done: u64,
        /// Bytes of the whole file.
        bytes_total: u64,
    },
    /// A file is whole and its digest was checked.
    Finished {
        /// The file's path in the repository.
        file: String,
        /// Bytes of the whole file.
        bytes_total: u64,
        /// Whether it was in the cache already.
        cached: bool,
    },
    /// The connection broke; the fetch goes on from what is on disk.
    Retry {
        /// The file's path in the repository.
        file: String,
        /// Which retry this is, from 1.
        attempt: u32,
        /// What happened.
        reason: String,
    },
    /// Another process fetches the same file; this one waits for it.
    Waiting {
        /// The file's path in the repository.
        file: String,
    },
    /// The hub could not be reached, and the copy in the cache is used instead.
    Fallback {
        /// The repository.
        repo: String,
        /// The commit of the copy.
        commit: String,
        /// Why the hub was not used.
        reason: String,
    },
}

/// Where the files of a snapshot come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The hub was asked, and what the cache lacked was fetched.
    Hub,
    /// The cache alone was asked, because the caller wanted so or because a commit never changes.
    Cache,
    /// The hub could not be reached, for this reason; the cached copy may be older than the hub's.
    Fallback(String),
}

/// A model folder on disk and what it is a copy of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder, ready for a loader.
    pub folder: PathBuf,
    /// The repository.
    pub repo: String,
    /// The commit that the files are from.
    pub commit: String,
    /// Where the files come from.
    pub origin: Origin,
}
