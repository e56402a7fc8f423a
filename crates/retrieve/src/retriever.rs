//! The trait of everything that finds passages for a question.

use std::sync::Arc;

use ragtune_core::forward_trait;
use ragtune_core::text::{Embedder, Query, ScoredChunk, Span};

use crate::error::Result;

/// Finds passages for a question.
///
/// A retriever applies [`Query::condition`] before it scores, honours [`Query::threshold`] and [`Query::top_k`], and
/// returns an error where it cannot; it never ignores a condition. Hits come best first, ties in the order of their
/// chunk ids.
///
/// ```
/// use ragtune_core::text::{Chunk, Document, Query, ScoreKind, ScoredChunk};
/// use ragtune_retrieve::Retriever;
///
/// /// Finds documents that contain the question, the shortest first.
/// struct Contains(Vec<Document>);
///
/// impl Retriever for Contains {
///     fn retrieve(&self, query: &Query) -> ragtune_retrieve::Result<Vec<ScoredChunk>> {
///         let condition = query.condition();
///         let kind = ScoreKind::Custom("shortness".into());
///         let allowed = self.0.iter().filter(|d| condition.as_ref().is_none_or(|c| c.matches(&d.metadata)));
///         let mut hits: Vec<_> = allowed
///             .filter(|document| document.text.contains(&query.text))
///             .map(|document| ScoredChunk::new(Chunk::whole(document), kind.clone(), -(document.text.len() as f32)))
///             .filter(|hit| query.threshold.as_ref().is_none_or(|t| t.passes(&hit.scores) == Some(true)))
///             .collect();
///         ScoredChunk::sort(&mut hits);
///         hits.truncate(query.top_k);
///         Ok(hits)
///     }
/// }
///
/// let retriever = Contains(vec![Document::new("a", "green tea"), Document::new("b", "tea")]);
/// assert_eq!(retriever.retrieve(&"tea".into())?[0].chunk.id, "b");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
pub trait Retriever: Send + Sync {
    /// The passages for a question, best first.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for a condition that it cannot honour, and whatever keeps it from searching.
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>>;

    /// The encoder whose space is searched, where there is one; answerers compare sentences with it.
    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        None
    }

    /// The stored text under a span, to check a citation against; `None` where the retriever keeps no texts or the
    /// document or span does not exist.
    ///
    /// # Errors
    /// Whatever keeps the store from being read.
    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        let _ = (document_id, span);
        Ok(None)
    }
}

forward_trait!(Retriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>>;
    fn embedder(&self) -> Option<Arc<dyn Embedder>>;
    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>>;
});
