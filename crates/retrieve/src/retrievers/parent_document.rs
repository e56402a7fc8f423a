//! Search small, return large.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Query, ScoredChunk, Span};

use super::enlarge::{Surrounding, Surroundings};
use super::lists::check_threshold;
use crate::document_store::DocumentStore;
use crate::error::Result;
use crate::retriever::Retriever;

/// What a [`ParentDocumentRetriever`] returns in place of a passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Parent {
    /// The whole document.
    Document,
    /// The section of the heading at this depth above the passage, counted from 1 for the outermost, with all sections
    /// below it; the innermost one where the passage has fewer headings.
    Section(usize),
}

impl Parent {
    /// The section of the nearest heading above the passage.
    pub const INNERMOST: Self = Self::Section(usize::MAX);
}

/// Finds passages and returns the documents or sections that they are of, each once, with the scores of its best passage.
///
/// A parent of more than [`ParentDocumentRetriever::with_max_bytes`] bytes is not returned whole: the largest section
/// that fits takes its place, and the passage itself where none does. So it is where the asker may not see all passages
/// of the parent, and where the document changed since it was searched. Parents come from the best
/// [`ParentDocumentRetriever::with_candidates`] passages, so that there may be fewer of them than are wanted. A threshold
/// is the inner retriever's.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::chunk::SentenceChunker;
/// use ragtune_retrieve::{KnowledgeBase, Parent, ParentDocumentRetriever, Retriever};
/// # use std::sync::Arc;
///
/// let one_sentence = SentenceChunker::new(Arc::new(HashingEmbedder::new(256))).with_sentences(1, 0)?;
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?.with_chunker(one_sentence);
/// kb.add([Document::new("tea", "Green tea is steeped at 80 degrees. It turns bitter above. Rinse the pot first.")])?;
/// let parents = ParentDocumentRetriever::new(kb.clone(), kb, Parent::Document);
/// let hits = parents.retrieve(&"How hot is green tea steeped?".into())?;
/// assert_eq!(hits.len(), 1);
/// assert!(hits[0].chunk.text.ends_with("Rinse the pot first."));
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct ParentDocumentRetriever {
    inner: Arc<dyn Retriever>,
    store: Arc<dyn DocumentStore>,
    parent: Parent,
    max_bytes: usize,
    candidates: usize,
}

impl ParentDocumentRetriever {
    /// Bytes of a parent at most when the caller names no limit: about 2,000 tokens of English.
    pub const DEFAULT_MAX_BYTES: usize = 8 * 1024;
    /// Passages that parents are made of when the caller names no number.
    pub const DEFAULT_CANDIDATES: usize = 100;

    /// Returns parents of the passages that `inner` finds; `store` has their documents, and is mostly the knowledge base
    /// that is searched.
    pub fn new(inner: impl Retriever + 'static, store: impl DocumentStore + 'static, parent: Parent) -> Self {
        Self {
            inner: Arc::new(inner),
            store: Arc::new(store),
            parent,
            max_bytes: Self::DEFAULT_MAX_BYTES,
            candidates: Self::DEFAULT_CANDIDATES,
        }
    }

    /// Returns no parent of more bytes.
    pub fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Looks at so many passages; never fewer than a query's `top_k`.
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }

    /// The span of the parent of a passage; the passage's own where no parent can be shown.
    fn parent_of(&self, around: Surrounding<'_>, passage: Span) -> Span {
        let whole = Span::new(0, around.text().len());
        // The first of the sections is all passages of the document; those of headings follow.
        let sections = around
            .place(passage)
            .map(|at| around.sections(at))
            .unwrap_or_default();
        let headings = sections.len().saturating_sub(2);
        let skipped = match self.parent {
            Parent::Document => 0,
            Parent::Section(depth) => depth.min(headings),
        };
        let sections = sections
            .into_iter()
            .skip(skipped)
            .filter_map(|passages| around.span_of(passages));
        let document = (self.parent == Parent::Document).then_some(whole);
        let fits =
            |span: &Span| span.contains(passage) && span.len() <= self.max_bytes && around.may_show(*span);
        document.into_iter().chain(sections).find(fits).unwrap_or(passage)
    }
}

impl Retriever for ParentDocumentRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        check_threshold("the parent document retriever", query)?;
        if query.top_k == 0 {
            return Ok(Vec::new());
        }
        let mut wide = query.clone();
        wide.top_k = query.top_k.max(self.candidates);
        let mut surroundings = Surroundings::new(self.store.as_ref(), query);
        let mut parents: Vec<ScoredChunk> = Vec::new();
        for hit in self.inner.retrieve(&wide)? {
            let parent = match surroundings.of(&hit.chunk)? {
                Some(around) => around.enlarged(hit.clone(), self.parent_of(around, hit.chunk.span)),
                None => hit,
            };
            push_disjoint(&mut parents, parent);
        }
        ScoredChunk::sort(&mut parents);
        parents.truncate(query.top_k);
        Ok(parents)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.inner.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.inner.stored_text(document_id, span)
    }
}

/// Adds a hit that is not better than those before; what one of them shows already is not shown again, and what it shows
/// besides more of those before takes the place of the best of them.
fn push_disjoint(hits: &mut Vec<ScoredChunk>, hit: ScoredChunk) {
    let is_in = |inner: &ScoredChunk, outer: &ScoredChunk| {
        inner.chunk.document_id == outer.chunk.document_id && outer.chunk.span.contains(inner.chunk.span)
    };
    if hits.iter().any(|known| is_in(&hit, known)) {
        return;
    }
    match hits.iter().position(|known| is_in(known, &hit)) {
        None => hits.push(hit),
        Some(at) => {
            let best = ScoredChunk {
                chunk: hit.chunk,
                ..hits.remove(at)
            };
            hits.retain(|known| !is_in(known, &best));
            hits.insert(at, best);
        }
    }
}
