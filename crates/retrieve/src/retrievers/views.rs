//! A knowledge base searched by one kind of evidence.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Query, ScoredChunk, Span};

use crate::error::Result;
use crate::knowledge_base::{KnowledgeBase, Mode};
use crate::retriever::Retriever;

/// A knowledge base searched by nearness of vectors; [`KnowledgeBase::dense`] makes one.
#[derive(Clone, Debug)]
pub struct DenseRetriever(KnowledgeBase);

/// A knowledge base searched by words in common; [`KnowledgeBase::lexical`] makes one.
#[derive(Clone, Debug)]
pub struct LexicalRetriever(KnowledgeBase);

impl KnowledgeBase {
    /// The base searched by nearness of vectors alone, whatever the mode of this handle is.
    ///
    /// ```
    /// use ragtune_core::testing::HashingEmbedder;
    /// use ragtune_core::text::{Document, ScoreKind};
    /// use ragtune_retrieve::{KnowledgeBase, Retriever};
    ///
    /// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
    /// kb.add([Document::new("tea", "Green tea is steeped at 80 degrees.")])?;
    /// assert_eq!(kb.dense().retrieve(&"steeped tea".into())?[0].ranked_by, ScoreKind::Cosine);
    /// # Ok::<(), ragtune_retrieve::Error>(())
    /// ```
    pub fn dense(&self) -> DenseRetriever {
        DenseRetriever(self.in_mode(Mode::Dense))
    }

    /// The base searched by BM25 alone, whatever the mode of this handle is; it needs no embedder.
    ///
    /// ```
    /// # use ragtune_core::testing::HashingEmbedder;
    /// # use ragtune_core::text::{Document, ScoreKind};
    /// # use ragtune_retrieve::{KnowledgeBase, Retriever};
    /// # let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
    /// kb.add([Document::new("tea", "Green tea is steeped at 80 degrees.")])?;
    /// assert_eq!(kb.lexical().retrieve(&"degrees".into())?[0].ranked_by, ScoreKind::Bm25);
    /// # Ok::<(), ragtune_retrieve::Error>(())
    /// ```
    pub fn lexical(&self) -> LexicalRetriever {
        LexicalRetriever(self.in_mode(Mode::Lexical))
    }

    fn in_mode(&self, mode: Mode) -> Self {
        self.clone()
            .with_search(self.search_options().clone().with_mode(mode))
    }
}

impl Retriever for DenseRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        self.0.retrieve(query)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.0.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.0.stored_text(document_id, span)
    }
}

impl Retriever for LexicalRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        self.0.retrieve(query)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.0.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.0.stored_text(document_id, span)
    }
}
