//! The trait of everything that knows what surrounds a passage.

use std::sync::Arc;

use ragtune_core::forward_trait;
use ragtune_core::text::{Document, Filter, Locator, Metadata, Span};

use crate::error::Result;

/// Documents with the passages that they are divided into, for retrievers that return more than was found: parents,
/// windows, merged siblings. [`crate::KnowledgeBase`] is one.
///
/// ```
/// use ragtune_core::text::{Document, Span};
/// use ragtune_retrieve::{DividedDocument, DocumentPassage, DocumentStore};
///
/// /// Notes, a passage a line.
/// struct Notes(Vec<Document>);
///
/// impl DocumentStore for Notes {
///     fn divided(&self, id: &str) -> ragtune_retrieve::Result<Option<DividedDocument>> {
///         Ok(self.0.iter().find(|note| note.id == id).map(|note| {
///             let mut at = 0;
///             let passages = note.text.split_inclusive('\n').map(|line| {
///                 let span = Span::new(at, at + line.trim_end().len());
///                 at += line.len();
///                 DocumentPassage::new(span)
///             });
///             let passages = passages.collect();
///             DividedDocument { document: note.clone(), passages }
///         }))
///     }
/// }
///
/// let notes = Notes(vec![Document::new("tea", "Green tea.\nBlack tea.")]);
/// let tea = notes.divided("tea")?.expect("it is there");
/// assert_eq!(tea.passages[1].span, Span::new(11, 21));
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
pub trait DocumentStore: Send + Sync {
    /// A document with its passages, both of the same moment; `None` where there is no such document.
    ///
    /// # Errors
    /// Whatever keeps the store from being read.
    fn divided(&self, id: &str) -> Result<Option<DividedDocument>>;
}

forward_trait!(DocumentStore {
    fn divided(&self, id: &str) -> Result<Option<DividedDocument>>;
});

/// A document and where its passages lie.
#[derive(Clone, Debug, PartialEq)]
pub struct DividedDocument {
    /// The whole document.
    pub document: Document,
    /// Its passages in the order of their starts.
    pub passages: Vec<DocumentPassage>,
}

/// A passage's place in its document.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentPassage {
    /// Bytes of the document's text.
    pub span: Span,
    /// Where it was in the original; its headings say to which section it belongs.
    pub locator: Locator,
    /// Values of the passage alone; they count before those of the document.
    pub metadata: Metadata,
}

impl DocumentPassage {
    /// A passage without headings and values of its own.
    pub fn new(span: Span) -> Self {
        Self {
            span,
            locator: Locator::default(),
            metadata: Metadata::new(),
        }
    }
}

impl DividedDocument {
    /// Whether a condition allows all text under a span to be shown: the document meets it, and so does every passage
    /// that the span touches.
    pub fn allows(&self, condition: &Filter, span: Span) -> bool {
        let of_document = &self.document.metadata;
        let meets = |passage: &DocumentPassage| {
            condition.matches_by(&|name| passage.metadata.get(name).or_else(|| of_document.get(name)))
        };
        let touched = self.passages.iter().filter(|passage| passage.span.overlaps(span));
        condition.matches(of_document) && touched.into_iter().all(meets)
    }
}
