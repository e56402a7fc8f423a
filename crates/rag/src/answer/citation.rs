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

/// A path as one line for people: a name may hold line breaks and terminal controls, which could forge a source.
pub(super) struct OneLine<'p>(pub &'p str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c.is_control() || is_direction_mark(c) {
                true => write!(f, "{}", c.escape_default())?,
                false => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// Embeddings, overrides and isolates of the bidirectional algorithm (Unicode UAX #9).
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.number, OneLine(self.path()))?;
        let locator = &self.chunk.chunk.locator;
        match (locator.line, locator.page, &locator.part) {
            (Some(line), ..) => write!(f, ":{line}"),
            (None, Some(page), _) => write!(f, ", page {page}"),
            (None, None, Some(part)) => write!(f, ", {}", OneLine(part)),
            (None, None, None) => match locator.headings.last() {
                Some(heading) => write!(f, ", {}", OneLine(heading)),
                None => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use ragtune_core::text::{Chunk, Document, ScoreKind};

    use super::*;

    #[test]
    fn pages_and_parts_are_named() {
        let shown = |locator| {
            let mut chunk = Chunk::whole(&Document::new("tea.pdf", "text"));
            chunk.locator = locator;
            let chunk = ScoredChunk::new(chunk, ScoreKind::Bm25, 1.0);
            let source = Source {
                number: 1,
                chunk,
                cited: true,
            };
            source.to_string()
        };
        let page = Locator {
            page: Some(3),
            ..Locator::default()
        };
        assert_eq!(shown(page), "[1] tea.pdf, page 3");
        let part = Locator {
            part: Some("slide 2\n".to_owned()),
            ..Locator::default()
        };
        assert_eq!(shown(part), "[1] tea.pdf, slide 2\\n");
        let headings = Locator {
            headings: vec!["Terms".to_owned(), "Notice".to_owned()],
            ..Locator::default()
        };
        assert_eq!(shown(headings), "[1] tea.pdf, Notice");
    }

    #[test]
    fn a_name_cannot_forge_a_second_source() {
        let chunk = Chunk::whole(&Document::new("x\n[2] trusted.md\u{1b}[31m\u{202e}", "text"));
        let chunk = ScoredChunk::new(chunk, ScoreKind::Bm25, 1.0);
        let source = Source {
            number: 1,
            chunk,
            cited: true,
        };
        assert_eq!(source.to_string(), "[1] x\\n[2] trusted.md\\u{1b}[31m\\u{202e}");
    }
}
