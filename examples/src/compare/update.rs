//! What a change of knowledge costs: one document changes, and the clock runs until the answer does.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use ragtune::{Document, KnowledgeBase};

/// Seconds from adding documents until `has_changed` says that the answer is another. `document` gives the document of each
/// try, since a single example may not outvote the others; after `tries` of them it is given up.
///
/// # Errors
/// Those of the base and of asking.
pub fn seconds(
    base: &KnowledgeBase,
    tries: usize,
    document: impl Fn(usize) -> Document,
    mut has_changed: impl FnMut() -> Result<bool, Box<dyn Error>>,
) -> Result<Option<f64>, Box<dyn Error>> {
    let started = Instant::now();
    for number in 0..tries {
        base.add([document(number)])?;
        if has_changed()? {
            return Ok(Some(started.elapsed().as_secs_f64()));
        }
    }
    Ok(None)
}

/// The id of the document that [`found_after`] adds.
pub const DOCUMENT: &str = "a new document";

/// Seconds from adding a document until asking about it finds it.
///
/// # Errors
/// As [`seconds`].
pub fn found_after(
    base: &KnowledgeBase,
    mut finds: impl FnMut(&str) -> Result<bool, Box<dyn Error>>,
) -> Result<Option<f64>, Box<dyn Error>> {
    const TEXT: &str =
        "The lighthouse keeper of Skagerholm counts seventeen gulls on the first Tuesday of March.";
    const QUESTION: &str = "How many gulls does the lighthouse keeper of Skagerholm count?";
    seconds(base, 1, |_| Document::new(DOCUMENT, TEXT), || finds(QUESTION))
}

/// Bytes of all files of a folder.
///
/// # Errors
/// The folder cannot be read.
pub fn folder_bytes(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        bytes += match (kind.is_dir(), kind.is_file()) {
            (true, _) => folder_bytes(&entry.path())?,
            (_, true) => entry.metadata()?.len(),
            _ => 0,
        };
    }
    Ok(bytes)
}
