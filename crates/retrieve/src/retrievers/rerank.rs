//! Hits in the order of a model that reads question and passage together.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Query, Reranker, ScoreKind, ScoredChunk, Span, Threshold};

use super::lists::check_threshold;
use crate::error::{Error, Result};
use crate::retriever::Retriever;

/// Fetches more hits than are wanted, and keeps those that a [`Reranker`] finds most likely to be relevant.
///
/// A threshold on [`ScoreKind::Rerank`] is applied to what the reranker says; one on another kind is the inner
/// retriever's. Each hit keeps the scores that it had.
///
/// ```
/// use ragtune_core::testing::{HashingEmbedder, OverlapReranker};
/// use ragtune_core::text::{Document, Query, ScoreKind, Threshold};
/// use ragtune_retrieve::{KnowledgeBase, RerankRetriever, Retriever};
///
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// kb.add([Document::new("green", "Green tea is steeped."), Document::new("coffee", "Coffee is roasted.")])?;
/// let reranked = RerankRetriever::new(kb, OverlapReranker).with_candidates(20);
/// let sure = Query::new("green tea").with_threshold(Threshold::new(ScoreKind::Rerank, 0.5)?);
/// assert_eq!(reranked.retrieve(&sure)?.len(), 1);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct RerankRetriever {
    inner: Arc<dyn Retriever>,
    reranker: Arc<dyn Reranker>,
    candidates: usize,
}

impl RerankRetriever {
    /// Hits that are judged when the caller names no number.
    pub const DEFAULT_CANDIDATES: usize = 50;

    /// Orders the hits of `inner` by the reranker.
    pub fn new(inner: impl Retriever + 'static, reranker: impl Reranker + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            reranker: Arc::new(reranker),
            candidates: Self::DEFAULT_CANDIDATES,
        }
    }

    /// Judges so many hits; never fewer than a query's `top_k`.
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }
}

impl Retriever for RerankRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        check_threshold("the rerank retriever", query)?;
        if query.top_k == 0 {
            return Ok(Vec::new());
        }
        let of_reranker = |threshold: &&Threshold| *threshold.kind() == ScoreKind::Rerank;
        let threshold = query.threshold.as_ref().filter(of_reranker);
        let mut wide = query.clone();
        wide.top_k = query.top_k.max(self.candidates);
        if threshold.is_some() {
            wide.threshold = None;
        }
        let mut hits = self.inner.retrieve(&wide)?;
        if hits.is_empty() {
            return Ok(hits);
        }
        let passages: Vec<&str> = hits.iter().map(|hit| hit.chunk.text.as_str()).collect();
        let scores = self.reranker.score(&query.text, &passages)?;
        if scores.len() != passages.len() {
            return Err(Error::WrongCount {
                component: "reranker",
                expected: passages.len(),
                found: scores.len(),
            });
        }
        for (hit, score) in hits.iter_mut().zip(scores) {
            if !(0.0..=1.0).contains(&score) {
                return Err(Error::InvalidScore {
                    component: "reranker",
                    what: format!("the passage {:?}, which is no probability", hit.chunk.id),
                    value: score,
                });
            }
            hit.rank_by(ScoreKind::Rerank, score);
        }
        hits.retain(|hit| threshold.is_none_or(|threshold| threshold.passes(&hit.scores) == Some(true)));
        ScoredChunk::sort(&mut hits);
        hits.truncate(query.top_k);
        Ok(hits)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.inner.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.inner.stored_text(document_id, span)
    }
}
