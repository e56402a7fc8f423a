//! A retriever over a single text.

use std::sync::Arc;

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Chunk, Document, Embedder, Locator, Query, Role, ScoreKind, ScoredChunk, Span};
use ragtune_retrieve::{Result, Retriever};

/// A retriever over one text, a passage for each paragraph, ranked by the cosine of hashed words.
///
/// ```
/// use ragtune::testing::OneDocument;
/// use ragtune::Retriever;
/// let hits = OneDocument::new("a.md", "Black coffee.\n\nGreen tea.").retrieve(&"tea".into())?;
/// assert_eq!(hits[0].chunk.locator.line, Some(3));
/// # Ok::<(), ragtune::retrieve::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OneDocument {
    document: Document,
    embedder: HashingEmbedder,
}

impl OneDocument {
    /// A retriever over this text.
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            document: Document::new(id, text),
            embedder: HashingEmbedder::new(512),
        }
    }

    fn chunks(&self) -> Vec<Chunk> {
        let text = &self.document.text;
        let mut chunks = Vec::new();
        let mut start = 0;
        let mut line = 1;
        for part in text.split_inclusive("\n\n") {
            let body = part.trim_end();
            if !body.is_empty() {
                chunks.push(Chunk {
                    id: format!("{}#{}", self.document.id, chunks.len()),
                    span: Span::new(start, start + body.len()),
                    text: body.to_owned(),
                    locator: Locator {
                        line: Some(line),
                        ..Locator::default()
                    },
                    ..Chunk::whole(&self.document)
                });
            }
            start += part.len();
            line += u32::try_from(part.matches('\n').count()).unwrap_or(0);
        }
        chunks
    }
}

impl Retriever for OneDocument {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        if query
            .condition()
            .is_some_and(|condition| !condition.matches(&self.document.metadata))
        {
            return Ok(Vec::new());
        }
        let asked = self.embedder.embed(&[&query.text], Role::Query)?;
        let mut hits = Vec::new();
        for chunk in self.chunks() {
            let vector = self.embedder.embed(&[&chunk.text], Role::Document)?;
            let cosine = asked
                .as_slice()
                .iter()
                .zip(vector.as_slice())
                .map(|(a, b)| a * b)
                .sum();
            hits.push(ScoredChunk::new(chunk, ScoreKind::Cosine, cosine));
        }
        hits.retain(|hit| {
            query
                .threshold
                .as_ref()
                .is_none_or(|t| t.passes(&hit.scores) != Some(false))
        });
        ScoredChunk::sort(&mut hits);
        hits.truncate(query.top_k);
        Ok(hits)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        Some(Arc::new(self.embedder.clone()))
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        let own = document_id == self.document.id;
        Ok(own
            .then(|| span.of(&self.document.text))
            .flatten()
            .map(str::to_owned))
    }
}
