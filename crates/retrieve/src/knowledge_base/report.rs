//! What long work tells while it runs and when it is done.

use serde::{Deserialize, Serialize};

/// What an [`crate::KnowledgeBase::add`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AddReport {
    /// Documents that were not there before.
    pub added: usize,
    /// Documents that took the place of another version.
    pub replaced: usize,
    /// Documents that were stored exactly so already.
    pub unchanged: usize,
    /// Ids that came more than once in the call; the last document of each is the one stored.
    pub duplicates: Vec<String>,
    /// Ids of documents in which the chunker found no passage; they are stored, but cannot be found by a search.
    pub empty: Vec<String>,
    /// What it cost to embed.
    pub embedding: EmbeddingReport,
}

/// What it cost to embed the passages of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingReport {
    /// Texts given to the embedder.
    pub embedded: usize,
    /// Passages whose vector was known from the same text.
    pub reused: usize,
    /// Texts longer than the embedder takes, which it cut.
    pub truncated: usize,
}

/// What a [`crate::KnowledgeBase::sync_folder`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// Files that were not stored before.
    pub added: usize,
    /// Files stored anew, because they, their loader or the chunker changed.
    pub changed: usize,
    /// Files that were stored exactly so already.
    pub unchanged: usize,
    /// Files that are gone, and so are their documents.
    pub removed: usize,
    /// What could not be read, with the reason, in the order of the paths.
    pub skipped: Vec<Skipped>,
    /// Paths of files in which the chunker found no passage; they are stored, but cannot be found by a search.
    pub empty: Vec<String>,
    /// What it cost to embed.
    pub embedding: EmbeddingReport,
}

/// A file or folder that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Path below the synced folder; bytes that are no text are shown as U+FFFD.
    pub path: String,
    /// Why.
    pub reason: String,
    /// Whether the version stored by an earlier run was kept.
    pub kept: bool,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileOutcome {
    /// It is new.
    Added,
    /// It is stored anew.
    Changed,
    /// It was stored so already.
    Unchanged,
    /// It could not be read; the report says why.
    Skipped,
    /// It is gone.
    Removed,
}

/// A moment of long work.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SyncEvent<'a> {
    /// The folder was walked.
    Scanned {
        /// Files found.
        files: usize,
    },
    /// A file was read; it is stored with the next batch.
    File {
        /// Path below the folder.
        path: &'a str,
        /// What became of it.
        outcome: FileOutcome,
        /// Files done so far, this one included.
        done: usize,
        /// Files in all.
        total: usize,
    },
    /// A batch of texts was embedded.
    Embedded {
        /// Texts embedded so far.
        done: usize,
        /// Texts known to need embedding so far.
        total: usize,
    },
    /// A sync is done.
    Finished {
        /// What it did.
        report: &'a SyncReport,
    },
    /// A base answers from its new vectors.
    ReembedFinished {
        /// What it cost.
        report: &'a EmbeddingReport,
    },
}
