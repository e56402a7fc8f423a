//! Long texts in overlapping windows, with what every token stands for.

use tokenizers::Encoding;
use tokenizers::utils::truncation::TruncationDirection;

use super::TextTokenizer;
use crate::error::{Error, Result};
use crate::text::Span;

/// A part of a long text behind a shorter one, such as of a context behind a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairWindow {
    /// Ids in the vocabulary, special tokens among them.
    pub ids: Vec<u32>,
    /// 0 for the first text, 1 for the second, where the tokenizer tells them apart.
    pub type_ids: Vec<u32>,
    /// Bytes of the second text that each token stands for; `None` for tokens of the first and special ones.
    pub spans: Vec<Option<Span>>,
}

/// A part of a long list of words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordWindow {
    /// Ids in the vocabulary, special tokens among them.
    pub ids: Vec<u32>,
    /// 0 for all tokens, as of a single text.
    pub type_ids: Vec<u32>,
    /// The word whose first token each is; `None` for further tokens of a word and special ones.
    pub words: Vec<Option<usize>>,
}

impl TextTokenizer {
    /// The second text behind the first, cut into windows of at most `max_length` tokens, special tokens included, that
    /// share `stride` tokens of it each with the next; one window where all of it fits.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the first text leaves no more than `stride` tokens for the second, and
    /// [`Error::Tokenizer`].
    pub fn encode_windows(
        &self,
        first: &str,
        second: &str,
        max_length: usize,
        stride: usize,
    ) -> Result<Vec<PairWindow>> {
        let first = self.with_offsets(first)?;
        let taken = self.special_tokens(true) + first.len();
        let limit = max_length.saturating_sub(taken);
        if limit <= stride {
            return Err(Error::InvalidArgument {
                argument: "max_length",
                reason: format!(
                    "of {max_length} tokens, the first text and special tokens take {taken}, so that no window gets \
                     beyond the {stride} tokens that it shares with the next"
                ),
            });
        }
        let windows = windows(self.with_offsets(second)?, limit, stride);
        let window = |(_, mut second): (usize, Encoding)| {
            second.set_sequence_id(1);
            let type_ids = vec![1; second.len()];
            second.set_type_ids(type_ids);
            let whole = self
                .tokenizer
                .post_process(first.clone(), Some(second), true)
                .map_err(|source| self.failed(source))?;
            let sequences = whole.get_sequence_ids().into_iter();
            let spans = sequences
                .zip(whole.get_offsets())
                .map(|(sequence, &(start, end))| (sequence == Some(1)).then_some(Span { start, end }));
            Ok(PairWindow {
                spans: spans.collect(),
                ids: whole.get_ids().to_vec(),
                type_ids: whole.get_type_ids().to_vec(),
            })
        };
        windows.into_iter().map(window).collect()
    }

    /// Words with a blank between them, in windows of at most `max_length` tokens, special tokens included, that share
    /// `stride` tokens each with the next; one window where all fit.
    ///
    /// A token belongs to the first word that it covers a part of; one that covers nothing but blanks belongs to none.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when no more than `stride` tokens have room, and [`Error::Tokenizer`].
    pub fn encode_words<S: AsRef<str>>(
        &self,
        words: &[S],
        max_length: usize,
        stride: usize,
    ) -> Result<Vec<WordWindow>> {
        let special = self.special_tokens(false);
        let limit = max_length.saturating_sub(special);
        if limit <= stride {
            return Err(Error::InvalidArgument {
                argument: "max_length",
                reason: format!(
                    "of {max_length} tokens, special tokens take {special}, so that no window gets beyond the {stride} \
                     tokens that it shares with the next"
                ),
            });
        }
        // 1. The text, and where each word ends in it.
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(words.len()));
        for (i, word) in words.iter().enumerate() {
            if i > 0 {
                text.push(' ');
            }
            text.push_str(word.as_ref());
            ends.push(text.len());
        }
        // 2. The word of each token, kept at the first of each.
        let encoding = self.with_offsets(&text)?;
        let mut seen = None;
        let mut firsts = Vec::with_capacity(encoding.len());
        for &(start, end) in encoding.get_offsets() {
            // The first word that ends behind the token's start, if the token reaches into it.
            let word = ends.partition_point(|word_end| *word_end <= start);
            let begin = word.checked_sub(1).map_or(0, |before| ends[before] + 1);
            let has_text = words.get(word).is_some_and(|word| !word.as_ref().is_empty());
            let word = (has_text && start < end && begin < end).then_some(word);
            let is_first = word.is_some() && word > seen;
            firsts.push(word.filter(|_| is_first));
            seen = seen.max(word);
        }
        // 3. Windows.
        let window = |(start, encoding): (usize, Encoding)| {
            let whole = self
                .tokenizer
                .post_process(encoding, None, true)
                .map_err(|source| self.failed(source))?;
            let mut firsts = firsts.iter().skip(start);
            let sequences = whole.get_sequence_ids().into_iter();
            let words = sequences.map(|sequence| sequence.and_then(|_| firsts.next().copied().flatten()));
            Ok(WordWindow {
                words: words.collect(),
                ids: whole.get_ids().to_vec(),
                type_ids: whole.get_type_ids().to_vec(),
            })
        };
        windows(encoding, limit, stride).into_iter().map(window).collect()
    }

    /// The tokens of a text with the bytes that they stand for, no special token around them.
    fn with_offsets(&self, text: &str) -> Result<Encoding> {
        self.tokenizer
            .encode(text, false)
            .map_err(|source| self.failed(source))
    }
}

/// Windows of at most `limit` tokens that share `stride < limit` with the next, each with the number of its first token.
fn windows(mut encoding: Encoding, limit: usize, stride: usize) -> Vec<(usize, Encoding)> {
    if encoding.len() <= limit {
        return vec![(0, encoding)];
    }
    encoding.truncate(limit, stride, TruncationDirection::Right);
    let rest = encoding.take_overflowing();
    let all = std::iter::once(encoding).chain(rest);
    all.enumerate()
        .map(|(i, window)| (i * (limit - stride), window))
        .collect()
}
