//! A document to what is stored of it: checked passages, their places and the hashes by which change is noticed.

use ragtune_core::text::{Document, Locator, Marker, Metadata, Span, Value};

use crate::chunk::{ChunkSpan, Chunker};
use crate::error::{Error, Result};
use crate::store::sums::{self, text_hash};
use crate::store::{NewChunk, NewDocument, SyncedFile};

/// Divides a document.
///
/// # Errors
/// [`Error::InvalidChunk`], what the chunker raises, and metadata that cannot be stored.
pub(super) fn prepare(
    document: Document,
    file: Option<SyncedFile>,
    chunker: &dyn Chunker,
) -> Result<NewDocument> {
    check_metadata(&document.metadata)?;
    let content_hash = content_hash(&document)?;
    let id = chunker.id();
    let found = chunker.chunk(&document)?;
    let mut lines = Lines::new(&document);
    let mut chunks = Vec::with_capacity(found.len());
    let mut last_start = 0;
    for ChunkSpan { span, headings } in found {
        let invalid = |reason| Error::InvalidChunk {
            chunker: id.clone(),
            document: document.id.clone(),
            span,
            reason,
        };
        let text = span.of(&document.text);
        let text = text.ok_or_else(|| invalid("it leaves the text or cuts a character"))?;
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if span.start < last_start {
            return Err(invalid("it starts before the passage that came before it"));
        }
        last_start = span.start;
        let locator = lines.locate(span, headings);
        let hash = text_hash(&locator.headings, text);
        chunks.push(NewChunk { span, locator, hash });
    }
    Ok(NewDocument {
        document,
        file,
        content_hash,
        chunker: id,
        chunks,
    })
}

/// The hash of all that is stored of a document.
pub(super) fn content_hash(document: &Document) -> Result<[u8; 32]> {
    let external = |error| Error::Core(ragtune_core::Error::external("the metadata's encoder", error));
    sums::content_hash(document).map_err(external)
}

/// JSON has no form for NaN and the infinities.
fn check_metadata(metadata: &Metadata) -> Result<()> {
    fn check(name: &str, value: &Value) -> Result<()> {
        match value {
            Value::Float(number) if !number.is_finite() => Err(Error::Core(ragtune_core::Error::NotFinite {
                what: format!("the metadata value {name:?}"),
                value: *number as f32,
            })),
            Value::List(values) => values.iter().try_for_each(|value| check(name, value)),
            _ => Ok(()),
        }
    }
    metadata.iter().try_for_each(|(name, value)| check(name, value))
}

/// Walks a document's markers and line breaks in step with its passages.
pub(crate) struct Lines<'d> {
    document: &'d Document,
    /// Markers at or before `at`.
    passed: usize,
    current: Option<&'d Marker>,
    at: usize,
    line: Option<u32>,
}

impl<'d> Lines<'d> {
    pub(crate) fn new(document: &'d Document) -> Self {
        Self {
            document,
            passed: 0,
            current: None,
            at: 0,
            line: document.markers.is_empty().then_some(1),
        }
    }

    /// The place of a passage that starts at or after the one before.
    pub(crate) fn locate(&mut self, span: Span, headings: Vec<String>) -> Locator {
        while let Some(marker) = self.document.markers.get(self.passed)
            && marker.at <= span.start
        {
            self.passed += 1;
            self.current = Some(marker);
            if marker.at >= self.at {
                self.at = marker.at;
                self.line = marker.locator.line;
            }
        }
        if let Some(line) = &mut self.line {
            let between = self
                .document
                .text
                .as_bytes()
                .get(self.at..span.start)
                .unwrap_or_default();
            let breaks = between.iter().filter(|byte| **byte == b'\n').count();
            *line = line.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
        }
        self.at = span.start;
        let mut locator = self
            .current
            .map(|marker| marker.locator.clone())
            .unwrap_or_default();
        locator.line = self.line;
        if !headings.is_empty() {
            locator.headings = headings;
        }
        locator
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Vec<Span>);

    impl Chunker for Fixed {
        fn id(&self) -> String {
            "fixed".to_owned()
        }
        fn chunk(&self, _: &Document) -> Result<Vec<ChunkSpan>> {
            let chunk = |span: &Span| ChunkSpan {
                span: *span,
                headings: vec![],
            };
            Ok(self.0.iter().map(chunk).collect())
        }
    }

    #[test]
    fn passages_outside_their_document_are_refused() {
        let document = Document::new("a", "tée");
        for (span, what) in [
            (Span::new(0, 9), "leaves"),
            (Span::new(0, 2), "cuts"),
            (Span::new(1, 1), "empty"),
            (Span { start: 3, end: 1 }, "leaves"),
        ] {
            let error = prepare(document.clone(), None, &Fixed(vec![span])).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        let unordered = Fixed(vec![Span::new(1, 3), Span::new(0, 1)]);
        assert!(
            prepare(document, None, &unordered)
                .unwrap_err()
                .to_string()
                .contains("before")
        );
    }

    #[test]
    fn lines_count_from_markers_and_end_at_those_without() {
        let mut document = Document::new("a", "one\ntwo\nthree\nfour\n");
        let chunks = Fixed(vec![
            Span::new(0, 3),
            Span::new(4, 7),
            Span::new(8, 13),
            Span::new(14, 18),
        ]);
        let lines = |document: &Document| {
            let prepared = prepare(document.clone(), None, &chunks).unwrap();
            prepared
                .chunks
                .iter()
                .map(|chunk| chunk.locator.line)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&document), [Some(1), Some(2), Some(3), Some(4)]);
        let marker = |at, line| Marker {
            at,
            locator: Locator {
                line,
                ..Locator::default()
            },
        };
        document.markers = vec![marker(4, Some(10)), marker(14, None)];
        assert_eq!(lines(&document), [None, Some(10), Some(11), None]);
    }

    #[test]
    fn metadata_that_json_cannot_hold_are_refused() {
        let document = Document::new("a", "x").with_metadata("price", f64::NAN);
        assert!(
            prepare(document, None, &Fixed(vec![]))
                .unwrap_err()
                .to_string()
                .contains("price")
        );
    }
}
