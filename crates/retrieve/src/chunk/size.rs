//! How long passages may be, and a fast estimate of a passage's tokens.

use std::collections::HashMap;
use std::sync::Arc;

use ragtune_core::text::{Embedder, Span};
use text_splitter::ChunkSizer;

use crate::error::Result;

/// Tokens that encoders add around a text.
const SPECIAL_TOKENS: usize = 2;
/// Tokens kept free for the headings that are embedded with a passage.
const HEADING_TOKENS: usize = 30;
/// Longer passages are not made by default: a vector of very much text says little about any of it.
const DEFAULT_MAX_TOKENS: usize = 256;
/// No token is taken to stand for more bytes.
const MAX_TOKEN_BYTES: usize = 64;
/// A longer word is counted in pieces of at most this many bytes.
const MAX_WORD_BYTES: usize = 32;
/// Different words whose tokens are kept at most.
const MAX_KNOWN_WORDS: usize = 1 << 16;

/// Counts tokens as an encoder does, and knows how many a passage may have.
#[derive(Clone)]
pub(super) struct Sizes {
    embedder: Arc<dyn Embedder>,
    pub(super) max_tokens: usize,
}

impl Sizes {
    /// Passages that fit the encoder together with their headings, and 256 tokens at most.
    pub(super) fn new(embedder: Arc<dyn Embedder>) -> Self {
        let whole = embedder.max_tokens();
        let room = whole.saturating_sub(SPECIAL_TOKENS + HEADING_TOKENS);
        let max_tokens = room.max(whole / 2).clamp(1, DEFAULT_MAX_TOKENS);
        Self { embedder, max_tokens }
    }

    /// With another limit.
    ///
    /// # Errors
    /// `InvalidArgument` for 0 and for more than the encoder takes.
    pub(super) fn with_max_tokens(mut self, max_tokens: usize) -> Result<Self> {
        let most = self.embedder.max_tokens();
        if max_tokens == 0 || max_tokens > most {
            return Err(invalid(
                "max_tokens",
                format!("{max_tokens} is not in 1..={most}, what the encoder takes"),
            ));
        }
        self.max_tokens = max_tokens;
        Ok(self)
    }

    pub(super) fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.embedder
    }

    /// Tokens of a text. An endless word is a single unknown token to some tokenizers; it counts by its length, so
    /// that passages stay of a size that people can read.
    pub(super) fn count(&self, text: &str) -> usize {
        let tokens = self.embedder.count_tokens(text).get();
        tokens.max(text.len().div_ceil(MAX_TOKEN_BYTES))
    }

    /// Tokens that a passage under these headings may have: long headings leave less, but never under half.
    pub(super) fn max_under(&self, headings: &[String]) -> usize {
        if headings.is_empty() {
            return self.max_tokens;
        }
        let taken = SPECIAL_TOKENS + self.count(&headings.join(" > "));
        let left = self.embedder.max_tokens().saturating_sub(taken);
        self.max_tokens.min(left).max(self.max_tokens.div_ceil(2))
    }
}

/// The error of an option outside what it takes.
pub(super) fn invalid(argument: &'static str, reason: String) -> crate::Error {
    ragtune_core::Error::InvalidArgument { argument, reason }.into()
}

/// Tokens of words, each different one counted once.
pub(super) struct WordCounts<'t, 's> {
    sizes: &'s Sizes,
    known: HashMap<&'t str, usize>,
}

impl<'t, 's> WordCounts<'t, 's> {
    pub(super) fn new(sizes: &'s Sizes) -> Self {
        let known = HashMap::new();
        Self { sizes, known }
    }

    fn of(&mut self, word: &'t str) -> usize {
        if self.known.len() >= MAX_KNOWN_WORDS {
            self.known.clear();
        }
        *self.known.entry(word).or_insert_with(|| self.sizes.count(word))
    }

    /// Tokens of a text as the sum over its words.
    pub(super) fn estimate(&mut self, text: &'t str) -> usize {
        pieces(text).map(|piece| self.of(piece)).sum()
    }
}

/// The words of a text, long ones in pieces.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().flat_map(|word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(MAX_WORD_BYTES));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    })
}

/// Tokens of every word of a text, counted once and summed up, so that the size of any passage takes two look-ups
/// where tokenising it again for every place that a splitter tries took most of the indexing time.
///
/// The sum over words is exact for tokenizers that divide at spaces first (WordPiece, SentencePiece) and near for the
/// others; who needs a limit kept counts the final passage with [`Sizes::count`].
pub(super) struct TokenMap<'t> {
    text: &'t str,
    /// Start, end and tokens before each word.
    words: Vec<(usize, usize, usize)>,
    total: usize,
}

impl<'t> TokenMap<'t> {
    pub(super) fn new(text: &'t str, counts: &mut WordCounts<'t, '_>) -> Self {
        let mut words = Vec::new();
        let mut total = 0;
        for piece in pieces(text) {
            let start = piece.as_ptr() as usize - text.as_ptr() as usize;
            words.push((start, start + piece.len(), total));
            total += counts.of(piece);
        }
        Self { text, words, total }
    }

    /// Tokens of a part of the text; a word that is cut counts by its share.
    pub(super) fn count(&self, span: Span) -> usize {
        let count = self.before(span.end) - self.before(span.start);
        count.ceil() as usize
    }

    fn before(&self, at: usize) -> f64 {
        let next = self.words.partition_point(|(start, ..)| *start < at);
        let after = self.words.get(next).map_or(self.total, |(.., tokens)| *tokens);
        match next.checked_sub(1).and_then(|last| self.words.get(last)) {
            Some(&(start, end, tokens)) if at < end => {
                let share = (at - start) as f64 / (end - start) as f64;
                tokens as f64 + share * (after - tokens) as f64
            }
            _ => after as f64,
        }
    }
}

impl ChunkSizer for TokenMap<'_> {
    /// The splitter asks with parts of the text itself, so their addresses say where they are.
    fn size(&self, chunk: &str) -> usize {
        let start = (chunk.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        self.count(Span::new(start, start.saturating_add(chunk.len())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ragtune_core::testing::HashingEmbedder;

    use super::*;

    fn sizes() -> Sizes {
        Sizes::new(Arc::new(HashingEmbedder::new(4)))
    }

    #[test]
    fn limits_follow_the_encoder() {
        assert_eq!(sizes().max_tokens, 224);
        assert!(sizes().with_max_tokens(0).is_err() && sizes().with_max_tokens(257).is_err());
        let long = vec!["word ".repeat(40)];
        assert_eq!(sizes().max_under(&long), 214);
        assert_eq!(sizes().max_under(&["word ".repeat(250)]), 112);
    }

    proptest! {
        #[test]
        fn sums_over_words_are_exact_between_words(text in "[a-z]{1,9}( {1,3}[a-z]{1,9}){0,30}", from in 0usize..31, to in 0usize..31) {
            let sizes = sizes();
            let map = TokenMap::new(&text, &mut WordCounts::new(&sizes));
            let starts: Vec<usize> = text.split_whitespace().map(|w| w.as_ptr() as usize - text.as_ptr() as usize).collect();
            let (from, to) = (from.min(starts.len() - 1), to.min(starts.len() - 1));
            let span = Span::new(starts[from.min(to)], starts[from.max(to)]);
            prop_assert_eq!(map.count(span), sizes.count(span.of(&text).unwrap()));
            prop_assert_eq!(map.size(&text), sizes.count(&text));
        }
    }
}
