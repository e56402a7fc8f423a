//! A retriever for one user.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Filter, Query, ScoredChunk, Span};

use crate::error::Result;
use crate::retriever::Retriever;

/// Adds an access rule to every query, so that no caller can forget it. A query's own rule and filter hold besides.
///
/// Only searching is restricted: [`Retriever::stored_text`], which checks citations of what was found, is not.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::{Document, Filter};
/// use ragtune_retrieve::{KnowledgeBase, RestrictedRetriever, Retriever};
///
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// kb.add([
///     Document::new("menu", "Green tea costs two euros.").with_metadata("group", "guests"),
///     Document::new("books", "Green tea costs us ten cents.").with_metadata("group", "owners"),
/// ])?;
/// let for_guests = RestrictedRetriever::new(kb, Filter::eq("group", "guests"));
/// let hits = for_guests.retrieve(&"What does green tea cost?".into())?;
/// assert_eq!((hits.len(), hits[0].chunk.document_id.as_str()), (1, "menu"));
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct RestrictedRetriever {
    inner: Arc<dyn Retriever>,
    access: Filter,
}

impl RestrictedRetriever {
    /// Searches for a user who may see only documents that meet `access`.
    pub fn new(inner: impl Retriever + 'static, access: Filter) -> Self {
        Self {
            inner: Arc::new(inner),
            access,
        }
    }
}

impl Retriever for RestrictedRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        let mut query = query.clone();
        query.access = Some(match query.access.take() {
            Some(access) => Filter::And(vec![self.access.clone(), access]),
            None => self.access.clone(),
        });
        self.inner.retrieve(&query)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.inner.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.inner.stored_text(document_id, span)
    }
}
