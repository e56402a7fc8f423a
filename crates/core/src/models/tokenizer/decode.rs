//! Tokens to text, whole and piece by piece.

use std::sync::Arc;

use super::TextTokenizer;
use super::vocabulary::byte_token;
use crate::error::{Error, Result};

/// Tokens of a prompt that its continuation is decoded behind.
const TOKENS_BEFORE: usize = 16;
/// What stands in a text for bytes that are no character.
const REPLACEMENT: char = '\u{FFFD}';

impl TextTokenizer {
    /// The text of tokens, special ones left out. Bytes that are no characters become U+FFFD.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.decoded(ids, true)
    }

    /// The text of tokens, special ones among them.
    ///
    /// # Errors
    /// As [`TextTokenizer::decode`].
    pub fn decode_with_special(&self, ids: &[u32]) -> Result<String> {
        self.decoded(ids, false)
    }

    /// The text without the spaces before punctuation and contractions, if `tokenizer_config.json` asks for it
    /// (`clean_up_tokenization_spaces`; transformers 5.23, `clean_up_tokenization`). Streams never do so: it changes
    /// text that has been shown.
    pub fn cleaned_up(&self, text: String) -> String {
        match self.clean_up_spaces {
            true => clean_up(&text),
            false => text,
        }
    }

    fn decoded(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.tokenizer
            .decode(ids, skip_special)
            .map_err(|source| self.failed(source))
    }
}

/// `clean_up_tokenization` of transformers.
fn clean_up(text: &str) -> String {
    [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Tokens to text piece by piece; the pieces together are [`TextTokenizer::decode`] of all tokens, or, behind a prompt,
/// what they add to its text.
///
/// A piece holds whole characters only: bytes of a character that is not complete yet are held back. Where a tokenizer
/// spells characters in byte tokens (`<0xE2>`), a run of them is held back until it ends, since one wrong byte in it
/// changes how the whole run is read.
///
/// ```no_run
/// use std::sync::Arc;
/// use ragtune_core::models::{Detokenizer, TextTokenizer};
/// use ragtune_core::weights::ModelFiles;
/// let tokenizer = Arc::new(TextTokenizer::load(&ModelFiles::folder("model")?)?);
/// let mut detokenizer = Detokenizer::new(tokenizer);
/// for id in [1, 403, 407] {
///     print!("{}", detokenizer.push(id)?);
/// }
/// print!("{}", detokenizer.finish()?);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Detokenizer {
    tokenizer: Arc<TextTokenizer>,
    byte_tokens: bool,
    ids: Vec<u32>,
    /// Where the window starts that is decoded anew for each token; what stands before it cannot change any more.
    window: usize,
    /// Tokens whose text was given out.
    given: usize,
    /// Tokens that stood there before.
    before: usize,
    /// The text of the tokens before, and all text that was given out.
    text: String,
    /// Bytes of the text of the tokens before.
    before_bytes: usize,
}

impl Detokenizer {
    /// At the beginning of a text.
    pub fn new(tokenizer: Arc<TextTokenizer>) -> Self {
        let byte_tokens = tokenizer.has_byte_tokens();
        Self {
            tokenizer,
            byte_tokens,
            ids: Vec::new(),
            window: 0,
            given: 0,
            before: 0,
            text: String::new(),
            before_bytes: 0,
        }
    }

    /// Behind a prompt: a space at the beginning of the continuation stays, which a decoder strips at the beginning of a
    /// text.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the tokenizer's decoder fails.
    pub fn behind(tokenizer: Arc<TextTokenizer>, prompt: &[u32]) -> Result<Self> {
        let mut detokenizer = Self::new(tokenizer);
        let tail = &prompt[prompt.len().saturating_sub(TOKENS_BEFORE)..];
        let text = detokenizer.tokenizer.decode(tail)?;
        // A prompt that ends inside a character would turn it into other text with its next token.
        if !text.is_empty() && !text.ends_with(REPLACEMENT) {
            detokenizer.ids = tail.to_vec();
            detokenizer.given = tail.len();
            detokenizer.before = tail.len();
            detokenizer.before_bytes = text.len();
            detokenizer.text = text;
        }
        Ok(detokenizer)
    }

    /// Number of tokens so far, those of the prompt left out.
    pub fn tokens(&self) -> usize {
        self.ids.len() - self.before
    }

    /// The text that was given out so far.
    pub fn text(&self) -> &str {
        &self.text[self.before_bytes..]
    }

    /// The text that a token completes; often its own, sometimes none.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.ids.push(id);
        // A special token has no text, and does not end a run of byte tokens.
        if self.tokenizer.is_special(id) || self.byte_tokens && self.is_byte(id) {
            return Ok(String::new());
        }
        // As in text-generation-inference: the difference of two decodings that start at the same earlier token, so
        // that what a decoder does at the start of a text (stripping a space) happens to both.
        let before = self.tokenizer.decode(&self.ids[self.window..self.given])?;
        let after = self.tokenizer.decode(&self.ids[self.window..])?;
        let Some(piece) = after.strip_prefix(before.as_str()) else {
            return Ok(String::new());
        };
        if piece.is_empty() || piece.ends_with(REPLACEMENT) {
            return Ok(String::new());
        }
        let piece = piece.to_owned();
        // A new window must not start with tokens that decode to nothing: a decoder would then take the next token for
        // the first of the text.
        if !self.tokenizer.decode(&self.ids[self.given..])?.is_empty() {
            self.window = self.given;
        }
        self.given = self.ids.len();
        self.text.push_str(&piece);
        Ok(piece)
    }

    /// The text that was held back; what is still no character becomes U+FFFD.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the decoder fails, or reads the whole otherwise than its parts.
    pub fn finish(&mut self) -> Result<String> {
        let whole = self.tokenizer.decode(&self.ids)?;
        let Some(rest) = whole.strip_prefix(self.text.as_str()) else {
            return Err(Error::Tokenizer {
                path: self.tokenizer.path.clone(),
                source: "its decoder changes text after more tokens follow, so it cannot be streamed".into(),
            });
        };
        let rest = rest.to_owned();
        self.given = self.ids.len();
        self.text = whole;
        Ok(rest)
    }

    fn is_byte(&self, id: u32) -> bool {
        let text = self.tokenizer.token_text(id);
        text.as_deref().and_then(byte_token).is_some()
    }
}
