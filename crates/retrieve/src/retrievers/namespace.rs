//! A retriever whose ids cannot be mistaken for those of another.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Query, ScoredChunk, Span};

use crate::error::Result;
use crate::retriever::Retriever;

/// Puts a name before the ids of all documents and passages (`name/id`), so that retrievers over different documents,
/// which may use the same ids, can be combined.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::{HybridRetriever, KnowledgeBase, NamespaceRetriever, Retriever};
///
/// let base = |text: &str| -> ragtune_retrieve::Result<KnowledgeBase> {
///     let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
///     kb.add([Document::new("README.md", text)])?;
///     Ok(kb)
/// };
/// let both = HybridRetriever::new(
///     NamespaceRetriever::new("tea", base("Green tea is steeped.")?),
///     NamespaceRetriever::new("coffee", base("Coffee is roasted.")?),
/// );
/// let hits = both.retrieve(&"roasted coffee".into())?;
/// assert!(hits.iter().any(|hit| hit.chunk.document_id == "coffee/README.md"));
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct NamespaceRetriever {
    inner: Arc<dyn Retriever>,
    /// The name with the separator.
    prefix: String,
}

impl NamespaceRetriever {
    /// Puts `name/` before the ids of `inner`.
    pub fn new(name: impl AsRef<str>, inner: impl Retriever + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            prefix: format!("{}/", name.as_ref()),
        }
    }
}

impl Retriever for NamespaceRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        let mut hits = self.inner.retrieve(query)?;
        for hit in &mut hits {
            hit.chunk.id.insert_str(0, &self.prefix);
            hit.chunk.document_id.insert_str(0, &self.prefix);
        }
        Ok(hits)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.inner.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        match document_id.strip_prefix(&self.prefix) {
            Some(id) => self.inner.stored_text(id, span),
            None => Ok(None),
        }
    }
}
