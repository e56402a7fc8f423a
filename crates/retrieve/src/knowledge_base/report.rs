//! What long work tells while it runs and when it is done.

use std::fmt;

use ragtune_core::text::{Metadata, Value};
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
    /// New and changed files of which only a part could be read, in the order of the paths.
    #[serde(default)]
    pub partly_read: Vec<PartlyRead>,
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

/// A file that was read, but not all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartlyRead {
    /// Path below the synced folder.
    pub path: String,
    /// Pages that are whole and have no text, as pictures of text have none: an OCR program adds it.
    pub pages_without_text: Vec<u32>,
    /// Pages of which at least a part could not be read.
    pub unread_pages: Vec<u32>,
    /// Why those could not be read; empty where there are none.
    pub unread_because: String,
}

impl PartlyRead {
    /// What a loader said in a document's metadata; `None` where it read all.
    pub(super) fn of(path: &str, metadata: &Metadata) -> Option<Self> {
        let pages = |name: &str| match metadata.get(name) {
            Some(Value::List(pages)) => pages
                .iter()
                .filter_map(|page| match page {
                    Value::Int(page) => u32::try_from(*page).ok(),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        let found = Self {
            path: path.to_owned(),
            pages_without_text: pages("pages_without_text"),
            unread_pages: pages("unread_pages"),
            unread_because: match metadata.get("unread_because") {
                Some(Value::Text(because)) => because.clone(),
                _ => String::new(),
            },
        };
        (!found.pages_without_text.is_empty() || !found.unread_pages.is_empty()).then_some(found)
    }
}

impl fmt::Display for PartlyRead {
    /// Which pages, and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.unread_pages.is_empty() {
            let pages = numbered(&self.unread_pages);
            write!(f, "{pages} could not be read ({})", self.unread_because)?;
        }
        if !self.pages_without_text.is_empty() {
            let separator = if self.unread_pages.is_empty() { "" } else { "; " };
            let pages = numbered(&self.pages_without_text);
            write!(
                f,
                "{separator}no text on {pages}, which may be pictures that need OCR"
            )?;
        }
        Ok(())
    }
}

/// Numbers of pages in their order, those in a row by the first and the last.
fn numbered(pages: &[u32]) -> String {
    let rows = pages.chunk_by(|a, b| a + 1 == *b).map(|row| match row {
        [first, .., last] => format!("{first}-{last}"),
        row => row.iter().map(u32::to_string).collect(),
    });
    let what = if pages.len() == 1 { "page" } else { "pages" };
    format!("{what} {}", rows.collect::<Vec<_>>().join(", "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_with_why() {
        let pages = |pages: &[i64]| Value::List(pages.iter().map(|page| Value::Int(*page)).collect());
        let mut metadata = Metadata::new();
        assert_eq!(PartlyRead::of("a.pdf", &metadata), None);
        metadata.insert("pages_without_text".to_owned(), pages(&[2, 3, 4, 9]));
        let found = PartlyRead::of("a.pdf", &metadata).unwrap();
        assert_eq!(
            found.to_string(),
            "no text on pages 2-4, 9, which may be pictures that need OCR"
        );
        metadata.insert("unread_pages".to_owned(), pages(&[7]));
        metadata.insert("unread_because".to_owned(), "its stream is damaged".into());
        let found = PartlyRead::of("a.pdf", &metadata).unwrap().to_string();
        assert!(
            found.starts_with("page 7 could not be read (its stream is damaged); no text on pages"),
            "{found}"
        );
    }
}
