//! One question asked in several ways.

use std::collections::BTreeSet;
use std::sync::Arc;

use ragtune_core::text::{Embedder, Query, ScoredChunk, Span};

use super::lists::{self, check_threshold};
use crate::error::Result;
use crate::fusion::{Fusion, FusionMethod};
use crate::retriever::Retriever;

/// Rephrases or divides a question; called for every search.
type Expand = Arc<dyn Fn(&Query) -> Result<Vec<String>> + Send + Sync>;

/// Searches for a question and for further ones made of it (rephrased, or the parts of a question with several), and
/// fuses the lists, all with equal weight.
///
/// The function that makes them is the caller's: a language model, a table of synonyms. Its errors travel as
/// [`ragtune_core::Error::external`]. Every search is under the conditions and the threshold of the query itself.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::{Document, Query};
/// use ragtune_retrieve::{KnowledgeBase, MultiQueryRetriever, Retriever};
///
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// kb.add([Document::new("sencha", "Sencha is steeped at 80 degrees."), Document::new("coffee", "Coffee is roasted.")])?;
/// let wider = MultiQueryRetriever::new(kb.lexical(), |query: &Query| {
///     Ok(vec![query.text.replace("green tea", "sencha")])
/// });
/// assert_eq!(wider.retrieve(&"How hot for green tea?".into())?[0].chunk.document_id, "sencha");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct MultiQueryRetriever {
    inner: Arc<dyn Retriever>,
    expand: Expand,
    method: FusionMethod,
    candidates: usize,
}

impl MultiQueryRetriever {
    /// Hits taken for each question when the caller names no number.
    pub const DEFAULT_CANDIDATES: usize = 100;

    /// Asks `inner` the question itself and what `expand` makes of it; of equal texts one is asked.
    pub fn new(
        inner: impl Retriever + 'static,
        expand: impl Fn(&Query) -> Result<Vec<String>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: Arc::new(inner),
            expand: Arc::new(expand),
            method: FusionMethod::default(),
            candidates: Self::DEFAULT_CANDIDATES,
        }
    }

    /// Fuses the lists by this method; reciprocal rank fusion by default.
    pub fn with_method(mut self, method: FusionMethod) -> Self {
        self.method = method;
        self
    }

    /// Takes so many hits for each question; never fewer than a query's `top_k`.
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }
}

impl Retriever for MultiQueryRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        check_threshold("the multi-query retriever", query)?;
        if query.top_k == 0 {
            return Ok(Vec::new());
        }
        let mut texts = vec![query.text.clone()];
        texts.extend((self.expand)(query)?);
        let mut seen = BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        let queries: Vec<Query> = texts
            .into_iter()
            .map(|text| {
                let mut wide = query.clone();
                wide.text = text;
                wide.top_k = query.top_k.max(self.candidates);
                wide
            })
            .collect();
        let inner = self.inner.as_ref();
        let asked: Vec<(&dyn Retriever, &Query)> = queries.iter().map(|query| (inner, query)).collect();
        lists::fuse(lists::gather(&asked)?, &Fusion::new(self.method), query)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.inner.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.inner.stored_text(document_id, span)
    }
}
