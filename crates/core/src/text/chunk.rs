//! A passage of a document, and the same as a search hit.

use serde::{Deserialize, Serialize};

use super::document::Locator;
use super::metadata::Metadata;
use super::plan::Plan;
use super::score::{ScoreKind, Scores};
use super::span::Span;

/// An exact passage of a stored text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Stable name within its retriever; ties in a ranking break by it.
    pub id: String,
    /// The document's id.
    pub document_id: String,
    /// Bytes of the stored text; `text` is exactly what they cover.
    pub span: Span,
    /// The passage.
    pub text: String,
    /// Metadata of the document and of the passage.
    pub metadata: Metadata,
    /// Where the passage was in the original.
    #[serde(default)]
    pub locator: Locator,
}

impl Chunk {
    /// The whole of a short document as one passage.
    pub fn whole(document: &super::Document) -> Self {
        Self {
            id: document.id.clone(),
            document_id: document.id.clone(),
            span: Span::new(0, document.text.len()),
            text: document.text.clone(),
            metadata: document.metadata.clone(),
            locator: Locator::default(),
        }
    }

    /// The line of the original on which the given byte of the stored text lies, where lines are known.
    pub fn line_at(&self, byte: usize) -> Option<u32> {
        let before = self.text.as_bytes().get(..byte.checked_sub(self.span.start)?)?;
        let breaks = before.iter().filter(|&&b| b == b'\n').count();
        Some(self.locator.line? + u32::try_from(breaks).ok()?)
    }
}

/// A search hit: the passage and every score that led to its place.
///
/// ```
/// use ragtune_core::text::{Chunk, Document, ScoreKind, ScoredChunk};
/// let chunk = Chunk::whole(&Document::new("a", "Tea is a drink."));
/// let hit = ScoredChunk::new(chunk, ScoreKind::Bm25, 3.5);
/// assert_eq!(hit.score(), 3.5);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredChunk {
    /// The passage.
    pub chunk: Chunk,
    /// All scores by kind; higher is better, and different kinds are not comparable.
    pub scores: Scores,
    /// The kind that orders the list that the hit is in.
    pub ranked_by: ScoreKind,
    /// How the vectors were searched that led to the hit; `None` where none were, or where it may not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

impl ScoredChunk {
    /// A hit with a single score, which ranks it.
    pub fn new(chunk: Chunk, kind: ScoreKind, value: f32) -> Self {
        Self {
            chunk,
            scores: Scores::from([(kind.clone(), value)]),
            ranked_by: kind,
            plan: None,
        }
    }

    /// The score that orders the list; minus infinity where it is missing.
    pub fn score(&self) -> f32 {
        self.scores
            .get(&self.ranked_by)
            .copied()
            .unwrap_or(f32::NEG_INFINITY)
    }

    /// Adds a score and ranks the hit by it.
    pub fn rank_by(&mut self, kind: ScoreKind, value: f32) {
        self.scores.insert(kind.clone(), value);
        self.ranked_by = kind;
    }

    /// Orders hits by their ranking score, best first, ties by chunk id.
    pub fn sort(hits: &mut [Self]) {
        hits.sort_by(|a, b| {
            b.score()
                .total_cmp(&a.score())
                .then_with(|| a.chunk.id.cmp(&b.chunk.id))
        });
    }
}
