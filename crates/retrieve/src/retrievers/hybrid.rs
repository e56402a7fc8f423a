//! Several retrievers, fused.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Query, ScoredChunk, Span};

use super::lists::{self, check_threshold};
use crate::error::Result;
use crate::fusion::Fusion;
use crate::retriever::Retriever;

/// Asks several retrievers and fuses their lists: dense and lexical views of a base, bases, retrievers of one's own.
///
/// A passage is the same in two lists when it has the same id. Every part is asked for [`HybridRetriever::candidates`]
/// hits. Under a threshold a part that cannot honour its kind is asked without it, and the fused list is cut by the scores
/// that its hits have from any part, so that it may hold fewer hits.
///
/// A [`KnowledgeBase`](crate::KnowledgeBase) is already such a retriever over its own two views, in one pass.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::{Fusion, HybridRetriever, KnowledgeBase, Retriever};
///
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// kb.add([Document::new("green", "Green tea is steeped at 80 degrees."), Document::new("black", "Black tea boils.")])?;
/// let hybrid = HybridRetriever::new(kb.dense(), kb.lexical())
///     .with_fusion(Fusion::convex().with_weights([0.4, 0.6])?);
/// assert_eq!(hybrid.retrieve(&"How hot is green tea steeped?".into())?[0].chunk.document_id, "green");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct HybridRetriever {
    parts: Vec<Arc<dyn Retriever>>,
    fusion: Fusion,
    candidates: usize,
}

impl HybridRetriever {
    /// Hits taken from each part when the caller names no number.
    pub const DEFAULT_CANDIDATES: usize = 100;

    /// Two retrievers, fused by reciprocal ranks with equal weights.
    pub fn new(first: impl Retriever + 'static, second: impl Retriever + 'static) -> Self {
        Self {
            parts: vec![Arc::new(first), Arc::new(second)],
            fusion: Fusion::default(),
            candidates: Self::DEFAULT_CANDIDATES,
        }
    }

    /// One more retriever.
    pub fn with_retriever(mut self, retriever: impl Retriever + 'static) -> Self {
        self.parts.push(Arc::new(retriever));
        self
    }

    /// Fuses by this; weights are in the order in which the retrievers were named.
    pub fn with_fusion(mut self, fusion: Fusion) -> Self {
        self.fusion = fusion;
        self
    }

    /// Takes so many hits from each part; never fewer than a query's `top_k`.
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }

    /// How the lists become one.
    pub fn fusion(&self) -> &Fusion {
        &self.fusion
    }

    /// Hits taken from each part.
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// Number of retrievers.
    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The list of each part; empty for one of weight 0.
    pub(super) fn lists(&self, query: &Query, fusion: &Fusion) -> Result<Vec<Vec<ScoredChunk>>> {
        let mut wide = query.clone();
        wide.top_k = query.top_k.max(self.candidates);
        let weighed: Vec<usize> = (0..self.parts.len())
            .filter(|at| fusion.weight(*at) != 0.0)
            .collect();
        let asked: Vec<(&dyn Retriever, &Query)> = weighed
            .iter()
            .map(|at| (self.parts[*at].as_ref(), &wide))
            .collect();
        let mut lists = vec![Vec::new(); self.parts.len()];
        for (at, list) in weighed.into_iter().zip(lists::gather(&asked)?) {
            lists[at] = list;
        }
        Ok(lists)
    }
}

impl Retriever for HybridRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        check_threshold("the hybrid retriever", query)?;
        if query.top_k == 0 {
            return Ok(Vec::new());
        }
        lists::fuse(self.lists(query, &self.fusion)?, &self.fusion, query)
    }

    /// That of the first part that has one.
    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.parts.iter().find_map(|part| part.embedder())
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        lists::stored_text(self.parts.iter().map(AsRef::as_ref), document_id, span)
    }
}
