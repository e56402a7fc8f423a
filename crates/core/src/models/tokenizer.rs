//! Texts to token ids, by a `tokenizer.json`, cut as sentence-transformers cuts.
//!
//! Padding and truncation that a `tokenizer.json` configures are switched off: batches are not padded, and truncation
//! follows the model's own limit.

mod decode;
mod prompt;
mod vocabulary;
mod windows;

use std::path::PathBuf;

use rayon::prelude::*;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};
use tokenizers::utils::truncation::{TruncationDirection, TruncationParams, truncate_encodings};
use tokenizers::{Encoding, PostProcessor, Tokenizer};

use super::config_file::ConfigFile;
use crate::error::{Error, Result};
use crate::weights::ModelFiles;

pub use decode::Detokenizer;
pub use prompt::Tokens;
pub use windows::{PairWindow, WordWindow};

/// Bytes of text that are tokenized at first for every token that is kept.
const BYTES_PER_TOKEN: usize = 16;
/// Bytes of text that are tokenized whatever the limit.
const MIN_BYTES: usize = 8 << 10;
/// Tokens beyond the limit by which a piece of a long text must outlast it: what stands at the piece's end, where the
/// rest of the text could change it, is then cut away.
const MARGIN_TOKENS: usize = 64;
/// A piece of a long text ends before white space if there is any within so many bytes.
const WHITE_SPACE_WITHIN: usize = 64 << 10;
/// Tokens of long texts are counted in pieces of this size.
const COUNT_BYTES: usize = 1 << 20;

/// Splits texts into the tokens of a model.
///
/// A very long text is tokenized only as far as its kept tokens reach. That gives the tokens of the whole text for
/// every tokenizer that splits at white space before it merges, as those of the BERT family do, except inside a single
/// word of more than 64 KiB.
#[derive(Clone, Debug)]
pub struct TextTokenizer {
    path: PathBuf,
    tokenizer: Tokenizer,
    direction: TruncationDirection,
    model_max_length: Option<usize>,
    clean_up_spaces: bool,
    /// A token that is no part of a text at its end.
    trailing: Option<u32>,
    fingerprint: blake3::Hash,
}

/// The tokens of a text or of a pair of texts, special tokens among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// 0 for the first text, 1 for the second, where the tokenizer tells them apart.
    pub type_ids: Vec<u32>,
    /// Whether tokens were cut off.
    pub truncated: bool,
}

impl TextTokenizer {
    /// The file that tokenizers are read from.
    pub const FILE: &'static str = "tokenizer.json";

    /// Reads `tokenizer.json`, and `tokenizer_config.json` where there is one.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Tokenizer`] when the file is no tokenizer, and [`Error::Config`].
    pub fn load(files: &ModelFiles) -> Result<Self> {
        let path = files.path(Self::FILE);
        let bytes = files.require(
            Self::FILE,
            "tokenizers are read from tokenizer.json; save the model's fast tokenizer with `save_pretrained`",
        )?;
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(|source| Error::Tokenizer {
            path: path.clone(),
            source,
        })?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|source| Error::Tokenizer {
                path: path.clone(),
                source,
            })?;
        let config = ConfigFile::read(files, "tokenizer_config.json")?;
        let direction = match &config {
            None => TruncationDirection::Right,
            Some(config) => match config.text("truncation_side")? {
                None | Some("right") => TruncationDirection::Right,
                Some("left") => TruncationDirection::Left,
                Some(_) => return Err(config.wrong("truncation_side", "\"left\" or \"right\"")),
            },
        };
        let clean_up_spaces = match &config {
            None => false,
            Some(config) => config.flag("clean_up_tokenization_spaces", false)?,
        };
        // An unlimited tokenizer says 1e30.
        let model_max_length = config
            .and_then(|config| config.get("model_max_length")?.as_u64())
            .and_then(|length| usize::try_from(length).ok());
        Ok(Self {
            path,
            tokenizer,
            direction,
            model_max_length,
            clean_up_spaces,
            trailing: None,
            fingerprint: blake3::hash(&bytes),
        })
    }

    /// Lower-cases texts before anything else, unless the tokenizer does so already (`do_lower_case` of
    /// sentence-transformers).
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the tokenizer's added tokens cannot be normalized anew.
    pub(super) fn lower_cased(mut self) -> Result<Self> {
        let is_lower = |normalizer: &NormalizerWrapper| matches!(normalizer, NormalizerWrapper::Lowercase(_));
        let rest = match self.tokenizer.get_normalizer() {
            None => Vec::new(),
            Some(NormalizerWrapper::Sequence(sequence)) => {
                let normalizers: &[NormalizerWrapper] = sequence.as_ref();
                normalizers.to_vec()
            }
            Some(other) => vec![other.clone()],
        };
        if !rest.iter().any(is_lower) {
            let all = [vec![NormalizerWrapper::Lowercase(Lowercase)], rest].concat();
            let path = self.path.clone();
            self.tokenizer
                .with_normalizer(Some(Sequence::new(all)))
                .map_err(|source| Error::Tokenizer { path, source })?;
        }
        Ok(self)
    }

    /// Leaves a token out at the end of texts and pairs, but never the first: transformers' classifiers on decoders read the
    /// last token that is not the one that fills batches, and what stands behind it says nothing about it.
    pub(super) fn without_trailing(mut self, id: Option<u32>) -> Self {
        self.trailing = id;
        self
    }

    /// The largest id that the tokenizer can give; `None` for an empty vocabulary.
    pub fn last_id(&self) -> Option<u32> {
        self.tokenizer.get_vocab(true).into_values().max()
    }

    /// Special tokens that are put around one text, or around a pair.
    pub fn special_tokens(&self, pair: bool) -> usize {
        self.tokenizer
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(pair))
    }

    /// `model_max_length` of `tokenizer_config.json`, special tokens included.
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// The tokens of each text with special tokens around them, at most `max_length` in all; content is cut, special
    /// tokens are not. Texts are worked on in parallel.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `max_length` leaves no room for content, and [`Error::Tokenizer`].
    pub fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], max_length: usize) -> Result<Vec<Encoded>> {
        let limit = self.content_limit(max_length, false)?;
        texts
            .par_iter()
            .map(|text| {
                let (encoding, cut) = self.content(text.as_ref(), limit)?;
                self.finish(encoding, None, limit, cut)
            })
            .collect()
    }

    /// The tokens of a text with each of others, at most `max_length` in all; of the two, the longer is cut first.
    ///
    /// # Errors
    /// As [`TextTokenizer::encode`].
    pub fn encode_pairs(&self, first: &str, seconds: &[&str], max_length: usize) -> Result<Vec<Encoded>> {
        let limit = self.content_limit(max_length, true)?;
        let (first, first_cut) = self.content(first, limit)?;
        seconds
            .par_iter()
            .map(|second| {
                let (mut second, second_cut) = self.content(second, limit)?;
                second.set_sequence_id(1);
                let type_ids = vec![1; second.len()];
                second.set_type_ids(type_ids);
                self.finish(first.clone(), Some(second), limit, first_cut || second_cut)
            })
            .collect()
    }

    /// Tokens of a text, special tokens left out.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the tokenizer fails on the text.
    pub fn count(&self, mut text: &str) -> Result<usize> {
        let mut tokens = 0;
        while !text.is_empty() {
            let piece = head(text, COUNT_BYTES);
            tokens += self.tokens(piece)?.len();
            text = &text[piece.len()..];
        }
        Ok(tokens)
    }

    /// Checks that a table of so many words has every id that the tokenizer can give.
    pub(super) fn check_ids(&self, table: &str, rows: usize) -> Result<()> {
        match self.last_id().filter(|&id| id as usize >= rows) {
            None => Ok(()),
            Some(id) => Err(Error::UnknownId {
                table: table.to_owned(),
                id,
                rows,
            }),
        }
    }

    /// The first tokens, special ones among them, that a text takes when it stands before another: its own without
    /// the closing special token.
    pub(super) fn prefix_tokens(&self, text: &str, max_length: usize) -> Result<usize> {
        let encoded = self.encode(&[text], max_length)?;
        let ids = encoded.first().map_or(&[][..], |encoded| &encoded.ids);
        let added = self.tokenizer.get_added_tokens_decoder();
        let closing = ids
            .last()
            .and_then(|last| added.get(last))
            .is_some_and(|token| token.special);
        Ok(ids.len() - usize::from(closing))
    }

    /// What vectors depend on.
    pub(super) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        hasher.update(self.fingerprint.as_bytes());
        hasher.update(format!("{:?}", self.direction).as_bytes());
    }

    fn content_limit(&self, max_length: usize, pair: bool) -> Result<usize> {
        let special = self.special_tokens(pair);
        match max_length.checked_sub(special) {
            Some(limit) if limit > 0 => Ok(limit),
            _ => Err(Error::InvalidArgument {
                argument: "max_length",
                reason: format!("{max_length} tokens leave no room beside {special} special tokens"),
            }),
        }
    }

    /// The content tokens of a text, at least the `limit` that will be kept, and whether the text goes on after them.
    fn content(&self, text: &str, limit: usize) -> Result<(Encoding, bool)> {
        if matches!(self.direction, TruncationDirection::Left) {
            return Ok((self.tokens(text)?, false));
        }
        let mut bytes = limit.saturating_mul(BYTES_PER_TOKEN).max(MIN_BYTES);
        let mut piece = head(text, bytes);
        let mut rest = &text[piece.len()..];
        let mut encoding = self.tokens(piece)?;
        while !rest.is_empty() {
            if encoding.len() >= limit.saturating_add(MARGIN_TOKENS) {
                return Ok((encoding, true));
            }
            // Text that gives few tokens (blanks, giant words) is worked through in pieces of bounded size.
            bytes = bytes.saturating_mul(4).min(COUNT_BYTES);
            piece = head(rest, bytes);
            rest = &rest[piece.len()..];
            encoding.merge_with(self.tokens(piece)?, false);
        }
        Ok((encoding, false))
    }

    fn tokens(&self, text: &str) -> Result<Encoding> {
        self.tokenizer
            .encode_fast(text, false)
            .map_err(|source| self.failed(source))
    }

    /// Cuts content to `limit` tokens and puts special tokens around it.
    fn finish(&self, first: Encoding, second: Option<Encoding>, limit: usize, cut: bool) -> Result<Encoded> {
        let total = first.len() + second.as_ref().map_or(0, Encoding::len);
        let params = TruncationParams {
            max_length: limit,
            direction: self.direction,
            ..TruncationParams::default()
        };
        let (mut first, mut second) =
            truncate_encodings(first, second, &params).map_err(|source| self.failed(source))?;
        first.take_overflowing();
        if let Some(second) = &mut second {
            second.take_overflowing();
        }
        let encoding = self
            .tokenizer
            .post_process(first, second, true)
            .map_err(|source| self.failed(source))?;
        let ids = encoding.get_ids();
        let kept = ids.iter().rposition(|id| Some(*id) != self.trailing);
        // Of nothing else than that token, its first is left.
        let kept = kept.map_or(ids.len().min(1), |last| last + 1);
        Ok(Encoded {
            ids: ids[..kept].to_vec(),
            type_ids: encoding.get_type_ids()[..kept].to_vec(),
            truncated: cut || total > limit,
        })
    }

    pub(super) fn failed(&self, source: crate::error::BoxError) -> Error {
        Error::Tokenizer {
            path: self.path.clone(),
            source,
        }
    }
}

/// The start of a text of about so many bytes: up to the next white space, which stays with what follows, or up to a
/// character boundary where none is near.
fn head(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let start = text.ceil_char_boundary(bytes);
    let end = text.floor_char_boundary(start.saturating_add(WHITE_SPACE_WITHIN));
    match text[start..end].find(char::is_whitespace) {
        Some(at) => &text[..start + at],
        None if end == text.len() => text,
        None => &text[..start],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_before_white_space() {
        assert_eq!(head("one two three", 4), "one two");
        assert_eq!(head("one two three", 3), "one");
        assert_eq!(head("one two three", 99), "one two three");
        assert_eq!(head("déjà vu", 2), "déjà");
        let word = "é".repeat(WHITE_SPACE_WITHIN);
        assert_eq!(head(&word, 7).len(), 8);
    }
}
