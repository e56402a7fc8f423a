//! Passages of so many sentences.

use std::sync::Arc;

use ragtune_core::text::{Document, Embedder, Span};

use super::chunker::{ChunkSpan, Chunker};
use super::outline::{is_markdown, sections};
use super::sentence::sentences;
use super::size::{Sizes, invalid};
use super::split::{Limits, split};
use crate::error::Result;

/// Divides documents into passages of a fixed number of sentences, fewer where the encoder would not take them whole;
/// no passage crosses a heading.
///
/// ```
/// use std::sync::Arc;
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::Chunker;
/// use ragtune_retrieve::chunk::SentenceChunker;
///
/// let chunker = SentenceChunker::new(Arc::new(HashingEmbedder::new(64))).with_sentences(2, 1)?;
/// let text = "One. Two. Three.";
/// let chunks = chunker.chunk(&Document::new("a", text))?;
/// let texts: Vec<_> = chunks.iter().filter_map(|chunk| chunk.span.of(text)).collect();
/// assert_eq!(texts, ["One. Two.", "Two. Three."]);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct SentenceChunker {
    sizes: Sizes,
    sentences: usize,
    overlap: usize,
}

impl SentenceChunker {
    /// Passages of 5 sentences, of which each repeats the last one of the passage before.
    pub fn new(embedder: Arc<dyn Embedder>) -> Self {
        Self {
            sizes: Sizes::new(embedder),
            sentences: 5,
            overlap: 1,
        }
    }

    /// With other numbers of sentences in a passage, and of those that it repeats.
    ///
    /// # Errors
    /// `InvalidArgument` for no sentences, and for as many repeated ones or more.
    pub fn with_sentences(mut self, sentences: usize, overlap: usize) -> Result<Self> {
        if overlap >= sentences {
            return Err(invalid(
                "overlap",
                format!("{overlap} is not below the {sentences} sentences of a passage"),
            ));
        }
        (self.sentences, self.overlap) = (sentences, overlap);
        Ok(self)
    }

    /// With another number of tokens that a passage never exceeds.
    ///
    /// # Errors
    /// `InvalidArgument` for 0 and for more than the encoder takes.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Result<Self> {
        self.sizes = self.sizes.with_max_tokens(max_tokens)?;
        Ok(self)
    }
}

impl Chunker for SentenceChunker {
    fn id(&self) -> String {
        format!(
            "sentences-1 {} overlap {} max {}",
            self.sentences, self.overlap, self.sizes.max_tokens
        )
    }

    fn chunk(&self, document: &Document) -> Result<Vec<ChunkSpan>> {
        let text = &document.text;
        let mut chunks = Vec::new();
        for section in sections(document) {
            let Some(part) = section.span.of(text) else {
                continue;
            };
            let max_tokens = self.sizes.max_under(&section.headings);
            let units: Vec<(Span, usize)> = sentences(part)
                .into_iter()
                .map(|span| span.shifted(section.span.start))
                .map(|span| (span, span.of(text).map_or(0, |part| self.sizes.count(part))))
                .collect();
            let mut push = |span| {
                chunks.push(ChunkSpan {
                    span,
                    headings: section.headings.clone(),
                });
            };
            let mut first = 0;
            while first < units.len() {
                let (mut end, mut tokens) = (first, 0);
                while end < units.len() && end - first < self.sentences && tokens + units[end].1 <= max_tokens
                {
                    tokens += units[end].1;
                    end += 1;
                }
                if end == first {
                    let limits = Limits {
                        target_tokens: max_tokens,
                        max_tokens,
                        overlap_tokens: 0,
                        markdown: is_markdown(document),
                    };
                    split(text, units[first].0, limits, &self.sizes)?
                        .into_iter()
                        .for_each(&mut push);
                    first += 1;
                    continue;
                }
                push(Span::new(units[first].0.start, units[end - 1].0.end));
                // Repeating must not keep the next passage from getting ahead.
                let again = end.saturating_sub(self.overlap).max(first + 1);
                let fits = |from: usize| {
                    units
                        .get(from..=end)
                        .is_some_and(|next| next.iter().map(|unit| unit.1).sum::<usize>() <= max_tokens)
                };
                first = if end == units.len() {
                    end
                } else {
                    (again..end).find(|&from| fits(from)).unwrap_or(end)
                };
            }
        }
        Ok(chunks)
    }
}
