//! Siblings that were found together, as the text that they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use ragtune_core::text::{Embedder, Query, ScoredChunk, Span};

use super::enlarge::{Surrounding, Surroundings};
use super::lists::check_threshold;
use crate::document_store::DocumentStore;
use crate::error::{Error, Result};
use crate::retriever::Retriever;

/// Passages of a section that make a block, the smallest thing that passages are merged into.
const BLOCK: usize = 4;

/// Puts passages that were found together in place of each other: where enough passages of a block, a section or a whole
/// document are among the found ones, it is returned in one piece, with the scores of the best of them.
///
/// The blocks are four neighbouring passages of a section; sections lie in each other as their headings do; the largest
/// part of which the given share was found, at least two passages, is taken. Nothing is merged into more than
/// [`AutoMergingRetriever::with_max_bytes`] bytes, nor over a passage that the asker may not see, nor where the document
/// changed since it was searched. What counts as found is the best [`AutoMergingRetriever::with_leaves`] passages; those
/// behind them follow as they are. A threshold is the inner retriever's.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::{Document, Query};
/// use ragtune_retrieve::chunk::SentenceChunker;
/// use ragtune_retrieve::{AutoMergingRetriever, KnowledgeBase, Retriever};
/// # use std::sync::Arc;
///
/// let one_sentence = SentenceChunker::new(Arc::new(HashingEmbedder::new(256))).with_sentences(1, 0)?;
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?.with_chunker(one_sentence);
/// kb.add([
///     Document::new("green", "Green tea is steeped at 80 degrees. Steep green tea for two minutes. It is mild."),
///     Document::new("coffee", "Coffee is roasted. Coffee is ground. Coffee is brewed."),
/// ])?;
/// let merging = AutoMergingRetriever::new(kb.lexical(), kb).with_leaves(6);
/// let hits = merging.retrieve(&"steeping green tea".into())?;
/// assert_eq!(hits[0].chunk.text, "Green tea is steeped at 80 degrees. Steep green tea for two minutes. It is mild.");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct AutoMergingRetriever {
    inner: Arc<dyn Retriever>,
    store: Arc<dyn DocumentStore>,
    ratio: f32,
    max_bytes: usize,
    leaves: usize,
}

impl AutoMergingRetriever {
    /// The share of passages that must have been found when the caller names none.
    pub const DEFAULT_RATIO: f32 = 0.5;
    /// Bytes of a merged passage at most when the caller names no limit: about 2,000 tokens of English.
    pub const DEFAULT_MAX_BYTES: usize = 8 * 1024;
    /// Passages that are merged when the caller names no number.
    pub const DEFAULT_LEAVES: usize = 12;
    /// Passages that are fetched, so that others take the places of merged ones.
    const CANDIDATES: usize = 100;

    /// Merges what `inner` finds; `store` has the documents, and is mostly the knowledge base that is searched.
    pub fn new(inner: impl Retriever + 'static, store: impl DocumentStore + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            store: Arc::new(store),
            ratio: Self::DEFAULT_RATIO,
            max_bytes: Self::DEFAULT_MAX_BYTES,
            leaves: Self::DEFAULT_LEAVES,
        }
    }

    /// Merges where at least this share of the passages was found.
    ///
    /// # Errors
    /// `InvalidArgument` for what is not above 0 and at most 1.
    pub fn with_ratio(mut self, ratio: f32) -> Result<Self> {
        if !(ratio > 0.0 && ratio <= 1.0) {
            return Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "ratio",
                reason: format!("{ratio} is not above 0 and at most 1"),
            }));
        }
        self.ratio = ratio;
        Ok(self)
    }

    /// Merges into no more bytes.
    pub fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Merges among the best so many passages; never fewer than a query's `top_k`. With many of them nearly everything is
    /// merged.
    pub fn with_leaves(mut self, leaves: usize) -> Self {
        self.leaves = leaves;
        self
    }

    /// The largest part around a found passage of which enough was found.
    fn merged(&self, around: Surrounding<'_>, at: usize, found: &BTreeSet<usize>) -> Option<Span> {
        let mut parts = around.sections(at);
        if let Some(section) = parts.last() {
            let first = section.start + (at - section.start) / BLOCK * BLOCK;
            parts.push(first..(first + BLOCK).min(section.end));
        }
        let enough = |part: &Range<usize>| {
            let of_part = found.range(part.clone()).count();
            of_part >= 2 && of_part as f32 >= self.ratio * part.len() as f32
        };
        let spans = parts
            .into_iter()
            .filter(enough)
            .filter_map(|part| around.span_of(part));
        let mut fitting = spans.filter(|span| span.len() <= self.max_bytes && around.may_show(*span));
        fitting.next()
    }
}

impl Retriever for AutoMergingRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        check_threshold("the auto-merging retriever", query)?;
        if query.top_k == 0 {
            return Ok(Vec::new());
        }
        let mut wide = query.clone();
        let leaves = query.top_k.max(self.leaves);
        wide.top_k = leaves.max(Self::CANDIDATES);
        let hits = self.inner.retrieve(&wide)?;
        let mut surroundings = Surroundings::new(self.store.as_ref(), query);
        let mut found: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for hit in hits.iter().take(leaves) {
            let around = surroundings.of(&hit.chunk)?;
            if let Some(at) = around.and_then(|around| around.place(hit.chunk.span)) {
                found.entry(&hit.chunk.document_id).or_default().insert(at);
            }
        }
        let mut merged: Vec<ScoredChunk> = Vec::new();
        for (rank, hit) in hits.iter().enumerate() {
            let is_shown = |known: &ScoredChunk| {
                known.chunk.document_id == hit.chunk.document_id && known.chunk.span.contains(hit.chunk.span)
            };
            if merged.iter().any(is_shown) {
                continue;
            }
            let whole = surroundings.of(&hit.chunk)?.and_then(|around| {
                let found = found
                    .get(hit.chunk.document_id.as_str())
                    .filter(|_| rank < leaves)?;
                let span = self.merged(around, around.place(hit.chunk.span)?, found)?;
                Some(around.enlarged(hit.clone(), span))
            });
            merged.push(whole.unwrap_or_else(|| hit.clone()));
        }
        ScoredChunk::sort(&mut merged);
        merged.truncate(query.top_k);
        Ok(merged)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.inner.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.inner.stored_text(document_id, span)
    }
}
