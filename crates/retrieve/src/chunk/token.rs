//! The default chunker: passages of so many tokens along the structure of the text.

use std::sync::Arc;

use ragtune_core::text::{Document, Embedder};

use super::chunker::{ChunkSpan, Chunker};
use super::outline::{Section, is_markdown, sections};
use super::size::{Sizes, WordCounts, invalid};
use super::split::{Limits, bisect, split, trimmed};
use crate::error::Result;

/// Divides documents into passages that an encoder takes whole, along their structure.
///
/// Where the metadata's `format` is `markdown` or `html`, passages follow the headings: a section that fits is one
/// passage, several small ones under the same heading join, a long one is divided at its blocks, then sentences, then
/// words. Other texts are divided at blank lines, lines, sentences and words. A single word that is too long is
/// divided too; nothing is left out.
///
/// ```
/// use std::sync::Arc;
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::Chunker;
/// use ragtune_retrieve::chunk::TokenChunker;
///
/// let chunker = TokenChunker::new(Arc::new(HashingEmbedder::new(64))).with_max_tokens(4)?;
/// let text = "# Tea\n\nGreen tea is steeped at 80 degrees.\n\n## Cup\n\nWarm it.";
/// let chunks = chunker.chunk(&Document::new("a", text).with_metadata("format", "markdown"))?;
/// let last = chunks.last().map(|chunk| (chunk.span.of(text), chunk.headings.join(" > ")));
/// assert_eq!(last, Some((Some("## Cup\n\nWarm it."), "Tea > Cup".to_owned())));
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct TokenChunker {
    sizes: Sizes,
    target_tokens: usize,
    overlap_tokens: usize,
}

impl TokenChunker {
    /// Passages of at most 256 tokens, less where the encoder takes less (headings and special tokens fit in too),
    /// three quarters of that as target, no overlap.
    pub fn new(embedder: Arc<dyn Embedder>) -> Self {
        let sizes = Sizes::new(embedder);
        Self {
            target_tokens: default_target(sizes.max_tokens),
            sizes,
            overlap_tokens: 0,
        }
    }

    /// With another number of tokens that a passage never exceeds; the target becomes three quarters of it.
    ///
    /// # Errors
    /// `InvalidArgument` for 0, for more than the encoder takes, and for a target within the overlap.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Result<Self> {
        self.sizes = self.sizes.with_max_tokens(max_tokens)?;
        self.with_target_tokens(default_target(max_tokens))
    }

    /// With another number of tokens that a passage reaches for where its structure does not say better.
    ///
    /// # Errors
    /// `InvalidArgument` for 0, for more than the maximum, and for no more than the overlap.
    pub fn with_target_tokens(mut self, target_tokens: usize) -> Result<Self> {
        if target_tokens <= self.overlap_tokens || target_tokens > self.sizes.max_tokens {
            let (overlap, max) = (self.overlap_tokens, self.sizes.max_tokens);
            let reason =
                format!("{target_tokens} is not above the overlap, {overlap}, and up to the maximum, {max}");
            return Err(invalid("target_tokens", reason));
        }
        self.target_tokens = target_tokens;
        Ok(self)
    }

    /// With passages of one section that repeat up to so many tokens of the one before.
    ///
    /// # Errors
    /// `InvalidArgument` for as much as the target or more.
    pub fn with_overlap_tokens(mut self, overlap_tokens: usize) -> Result<Self> {
        if overlap_tokens >= self.target_tokens {
            let reason = format!("{overlap_tokens} is not below the target, {}", self.target_tokens);
            return Err(invalid("overlap_tokens", reason));
        }
        self.overlap_tokens = overlap_tokens;
        Ok(self)
    }

    /// A section with less than so many tokens joins the next ones.
    fn min_tokens(&self) -> usize {
        self.target_tokens / 3
    }

    /// Sections to passages or, where they are too long, to parts that must be divided.
    fn join(&self, text: &str, sections: Vec<Section>) -> Vec<(Section, usize)> {
        let mut joined: Vec<(Section, usize)> = Vec::new();
        let mut counts = WordCounts::new(&self.sizes);
        for section in sections {
            let tokens = section.span.of(text).map_or(0, |part| counts.estimate(part));
            if let Some((last, so_far)) = joined.last_mut() {
                let small = *so_far < self.min_tokens() || tokens < self.min_tokens();
                if small && *so_far + tokens <= self.target_tokens && may_join(last, &section) {
                    last.span.end = section.span.end;
                    let common = common_headings(&last.headings, &section.headings);
                    last.headings.truncate(common);
                    *so_far += tokens;
                    continue;
                }
            }
            joined.push((section, tokens));
        }
        joined
    }
}

impl Chunker for TokenChunker {
    /// Method and numbers. The encoder is not part of it: its tokens decide where passages end, but a base that gets
    /// another encoder keeps its passages.
    fn id(&self) -> String {
        format!(
            "tokens-1 target {} max {} overlap {}",
            self.target_tokens, self.sizes.max_tokens, self.overlap_tokens
        )
    }

    fn chunk(&self, document: &Document) -> Result<Vec<ChunkSpan>> {
        let text = &document.text;
        let markdown = is_markdown(document);
        let mut chunks = Vec::new();
        for (section, tokens) in self.join(text, sections(document)) {
            let Some(span) = trimmed(text, section.span) else {
                continue;
            };
            let max_tokens = self.sizes.max_under(&section.headings);
            let limits = Limits {
                target_tokens: self.target_tokens.min(max_tokens),
                max_tokens,
                overlap_tokens: self.overlap_tokens,
                markdown,
            };
            let spans = if tokens <= max_tokens {
                let mut passages = Vec::with_capacity(1);
                bisect(text, span, max_tokens, &self.sizes, &mut passages);
                passages
            } else {
                split(text, span, limits, &self.sizes)?
            };
            chunks.extend(spans.into_iter().map(|span| ChunkSpan {
                span,
                headings: section.headings.clone(),
            }));
        }
        Ok(chunks)
    }
}

/// Three quarters of the maximum.
fn default_target(max_tokens: usize) -> usize {
    (max_tokens * 3 / 4).max(1)
}

/// Whether a section may join the passage before it: below its first heading, or beside it under the same parent, and
/// on the same page.
fn may_join(before: &Section, section: &Section) -> bool {
    if before.place != section.place {
        return false;
    }
    let common = common_headings(&before.headings, &section.headings);
    common + 1 >= before.headings.len() && (section.level >= before.level || before.level == 0)
}

fn common_headings(a: &[String], b: &[String]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use ragtune_core::testing::HashingEmbedder;

    use super::*;

    fn chunker(max: usize) -> TokenChunker {
        TokenChunker::new(Arc::new(HashingEmbedder::new(8)))
            .with_max_tokens(max)
            .unwrap()
    }

    fn chunks(chunker: &TokenChunker, text: &str) -> Vec<(String, String)> {
        let document = Document::new("a", text).with_metadata("format", "markdown");
        let chunks = chunker.chunk(&document).unwrap();
        let show = |chunk: ChunkSpan| (chunk.headings.join(">"), chunk.span.of(text).unwrap().to_owned());
        chunks.into_iter().map(show).collect()
    }

    #[test]
    fn small_sections_join_under_their_parent() {
        let text = "# T\n\na\n\n## A\n\nb\n\n## B\n\nc\n\n# U\n\nd e f g h i j k l m n o p q r s t\n";
        let found = chunks(&chunker(24), text);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0],
            ("T".into(), "# T\n\na\n\n## A\n\nb\n\n## B\n\nc".into())
        );
        assert_eq!(found[1].0, "U");
    }

    #[test]
    fn a_long_section_is_divided_at_its_blocks_and_keeps_its_heading() {
        let text = "# T\n\none two three four five six.\n\n```sh\n# not a heading\ncargo test name\n```\n\nseven eight nine.\n";
        let found = chunks(&chunker(9), text);
        assert!(found.iter().all(|(path, _)| path == "T"));
        assert!(
            found
                .iter()
                .any(|(_, text)| text.starts_with("```sh") && text.ends_with("```")),
            "{found:?}"
        );
    }

    #[test]
    fn passages_overlap_when_asked() {
        let words: Vec<String> = (0..100).map(|i| format!("w{i}")).collect();
        let text = words.join(" ");
        let found = chunks(&chunker(20).with_overlap_tokens(5).unwrap(), &text);
        for pair in found.windows(2) {
            let first = pair[1].1.split(' ').next().unwrap();
            assert!(pair[0].1.split(' ').any(|word| word == first));
        }
    }

    #[test]
    fn options_are_checked_and_named() {
        let base = chunker(100);
        assert_eq!(base.id(), "tokens-1 target 75 max 100 overlap 0");
        assert!(base.clone().with_max_tokens(0).is_err());
        assert!(base.clone().with_max_tokens(1000).is_err());
        assert!(base.clone().with_target_tokens(101).is_err());
        assert!(base.clone().with_overlap_tokens(75).is_err());
        assert!(
            base.clone()
                .with_overlap_tokens(10)
                .unwrap()
                .with_target_tokens(10)
                .is_err()
        );
        assert_ne!(base.id(), base.clone().with_overlap_tokens(1).unwrap().id());
    }
}
