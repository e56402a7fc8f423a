//! What an answer rests on.

use std::fmt;

use ragtune_core::text::{Locator, ScoredChunk, Span, Value};
use serde::{Deserialize, Serialize};

/// A passage that the answer was made from, numbered as in the prompt and in the answer's text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its number, counted from 1.
    pub number: usize,
    /// The passage with all its scores.
    pub chunk: ScoredChunk,
    /// Whether a citation points to it.
    pub cited: bool,
}

impl Source {
    /// What to show to people: the metadata `path`, else the document's id.
    pub fn path(&self) -> &str {
        let chunk = &self.chunk.chunk;
        chunk
            .metadata
            .get("path")
            .and_then(Value::as_text)
            .unwrap_or(&chunk.document_id)
    }
}

/// A checked link from a part of the answer to the bytes of the stored document that it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// Number of the [`Source`].
    pub source: usize,
    /// The document.
    pub document_id: String,
    /// Bytes of the stored document.
    pub span: Span,
    /// Exactly what those bytes are.
    pub text: String,
    /// Bytes of [`crate::Answer::text`] that the passage supports.
    pub answer_span: Span,
    /// Where the passage is in the original; `line` is that of its first byte.
    pub locator: Locator,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.number, self.path())?;
        let locator = &self.chunk.chunk.locator;
        match (locator.line, locator.page) {
            (Some(line), _) => write!(f, ":{line}"),
            (None, Some(page)) => write!(f, ", page {page}"),
            (None, None) => Ok(()),
        }
    }
}
