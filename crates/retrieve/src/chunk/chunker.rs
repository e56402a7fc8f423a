//! The trait of everything that divides documents.

use std::sync::Arc;

use ragtune_core::forward_trait;
use ragtune_core::text::{Document, Span};

use crate::error::Result;

/// A passage found in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkSpan {
    /// Its bytes in the stored text, on character boundaries, not empty.
    pub span: Span,
    /// The headings above it, outermost first.
    pub headings: Vec<String>,
}

/// Divides documents into passages.
///
/// ```
/// use ragtune_core::text::{Document, Span};
/// use ragtune_retrieve::{ChunkSpan, Chunker};
///
/// /// One passage a line.
/// struct Lines;
///
/// impl Chunker for Lines {
///     fn id(&self) -> String {
///         "lines-1".into()
///     }
///     fn chunk(&self, document: &Document) -> ragtune_retrieve::Result<Vec<ChunkSpan>> {
///         let start = |line: &str| line.as_ptr() as usize - document.text.as_ptr() as usize;
///         let spans = document.text.lines().filter(|line| !line.trim().is_empty());
///         let spans = spans.map(|line| Span::new(start(line), start(line) + line.len()));
///         Ok(spans.map(|span| ChunkSpan { span, headings: vec![] }).collect())
///     }
/// }
///
/// assert_eq!(Lines.chunk(&Document::new("a", "one\n\ntwo"))?[1].span, Span::new(5, 8));
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
pub trait Chunker: Send + Sync {
    /// A fingerprint of the method and all its settings; a store notices when it changes.
    fn id(&self) -> String;

    /// The passages of a document in the order of their starts; a document without text has none.
    ///
    /// # Errors
    /// Whatever keeps the document from being divided.
    fn chunk(&self, document: &Document) -> Result<Vec<ChunkSpan>>;
}

forward_trait!(Chunker {
    fn id(&self) -> String;
    fn chunk(&self, document: &Document) -> Result<Vec<ChunkSpan>>;
});
