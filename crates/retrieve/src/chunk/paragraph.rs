//! Passages of whole paragraphs.

use std::sync::Arc;

use ragtune_core::text::{Document, Embedder, Span};

use super::blocks::blocks;
use super::chunker::{ChunkSpan, Chunker};
use super::outline::{is_markdown, sections};
use super::size::{Sizes, invalid};
use super::split::{Limits, split};
use crate::error::Result;

/// Divides documents into paragraphs, where blank lines are; small ones join up to a limit, and one that the encoder
/// would not take whole is divided. No passage crosses a heading; lists and fenced code stay together.
///
/// ```
/// use std::sync::Arc;
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::Chunker;
/// use ragtune_retrieve::chunk::ParagraphChunker;
///
/// let chunker = ParagraphChunker::new(Arc::new(HashingEmbedder::new(64))).with_join_tokens(4)?;
/// let text = "One two.\n\nThree.\n\nFour five six.";
/// let chunks = chunker.chunk(&Document::new("a", text))?;
/// let texts: Vec<_> = chunks.iter().filter_map(|chunk| chunk.span.of(text)).collect();
/// assert_eq!(texts, ["One two.\n\nThree.", "Four five six."]);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct ParagraphChunker {
    sizes: Sizes,
    join_tokens: usize,
}

impl ParagraphChunker {
    /// Passages of one paragraph, or of several that have together no more than half of the tokens that the encoder
    /// takes (128 at most).
    pub fn new(embedder: Arc<dyn Embedder>) -> Self {
        let sizes = Sizes::new(embedder);
        Self {
            join_tokens: sizes.max_tokens.div_ceil(2),
            sizes,
        }
    }

    /// With another number of tokens up to which paragraphs join; 0 keeps each apart.
    ///
    /// # Errors
    /// `InvalidArgument` for more than the maximum.
    pub fn with_join_tokens(mut self, join_tokens: usize) -> Result<Self> {
        if join_tokens > self.sizes.max_tokens {
            let reason = format!("{join_tokens} is above the maximum, {}", self.sizes.max_tokens);
            return Err(invalid("join_tokens", reason));
        }
        self.join_tokens = join_tokens;
        Ok(self)
    }

    /// With another number of tokens that a passage never exceeds; paragraphs join up to half of it.
    ///
    /// # Errors
    /// `InvalidArgument` for 0 and for more than the encoder takes.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Result<Self> {
        self.sizes = self.sizes.with_max_tokens(max_tokens)?;
        self.join_tokens = max_tokens.div_ceil(2);
        Ok(self)
    }
}

impl Chunker for ParagraphChunker {
    fn id(&self) -> String {
        format!(
            "paragraphs-1 join {} max {}",
            self.join_tokens, self.sizes.max_tokens
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
            let limits = Limits {
                target_tokens: max_tokens,
                max_tokens,
                overlap_tokens: 0,
                markdown: is_markdown(document),
            };
            let mut joined: Vec<(Span, usize)> = Vec::new();
            for span in paragraphs(part) {
                let span = span.shifted(section.span.start);
                let tokens = span.of(text).map_or(0, |part| self.sizes.count(part));
                match joined.last_mut() {
                    Some((last, so_far)) if *so_far + tokens <= self.join_tokens.min(max_tokens) => {
                        last.end = span.end;
                        *so_far += tokens;
                    }
                    _ => joined.push((span, tokens)),
                }
            }
            for (span, tokens) in joined {
                let spans = if tokens <= max_tokens {
                    vec![span]
                } else {
                    split(text, span, limits, &self.sizes)?
                };
                chunks.extend(spans.into_iter().map(|span| ChunkSpan {
                    span,
                    headings: section.headings.clone(),
                }));
            }
        }
        Ok(chunks)
    }
}

/// Blocks without a blank line between them.
fn paragraphs(text: &str) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for block in blocks(text) {
        match found.last_mut() {
            Some(last) if !block.after_blank => last.end = block.span.end,
            _ => found.push(block.span),
        }
    }
    found
}
