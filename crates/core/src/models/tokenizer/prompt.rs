//! Prompts to tokens: which text may be a control token, and where each token stands.

use tokenizers::{Encoding, Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::TextTokenizer;
use crate::chat::RenderedPrompt;
use crate::error::Result;
use crate::text::Span;

/// Characters that Unicode reserves for use inside a program.
const MARKS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

/// The tokens of a text and the bytes that each stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// Bytes of the text that each token was made from; empty for a token that was put around the text.
    pub spans: Vec<Span>,
}

impl TextTokenizer {
    /// The tokens of a text in which special tokens are special tokens wherever they stand; with `around`, those that
    /// the tokenizer puts around a text (such as the token that begins it) are added.
    ///
    /// # Errors
    /// [`crate::Error::Tokenizer`].
    pub fn encode_with_special(&self, text: &str, around: bool) -> Result<Tokens> {
        let encoding = self
            .tokenizer
            .encode(text, around)
            .map_err(|source| self.failed(source))?;
        let spans =
            |offsets: &[(usize, usize)]| offsets.iter().map(|&(start, end)| Span { start, end }).collect();
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            spans: spans(encoding.get_offsets()),
        })
    }

    /// The tokens of a text in which no special token is one: `</s>` in it is four characters.
    ///
    /// # Errors
    /// As [`TextTokenizer::encode_prompt`].
    pub fn encode_ordinary(&self, text: &str, around: bool) -> Result<Tokens> {
        self.encode_guarded(&RenderedPrompt::plain(text, &self.special_token_texts())?, around)
    }

    /// The tokens of a prompt; what its messages say is read as plain text. Nothing is put around it: a chat template
    /// writes the beginning itself.
    ///
    /// # Errors
    /// [`crate::Error::Tokenizer`], also where this tokenizer makes a control token out of plain text.
    pub fn encode_prompt(&self, prompt: &RenderedPrompt) -> Result<Tokens> {
        self.encode_guarded(prompt, false)
    }

    fn encode_guarded(&self, prompt: &RenderedPrompt, around: bool) -> Result<Tokens> {
        if prompt.breaks().is_empty() {
            return self.encode_with_special(prompt.text(), around);
        }
        let text = prompt.text();
        let mark = MARKS
            .into_iter()
            .find(|&mark| !text.contains(mark))
            .ok_or_else(|| self.failed("the text has every character that could serve as a mark".into()))?;
        let marked = marked(text, prompt.breaks(), mark);
        // The way of `Tokenizer::encode`, with one more step: after the added tokens were taken out of the text, which
        // the marks keep from happening where they stand, the marks go.
        let mut pieces = self
            .tokenizer
            .get_added_vocabulary()
            .extract_and_normalize(self.tokenizer.get_normalizer(), &marked);
        let control_before = self.count_control(&pieces);
        let encoding = (|| {
            pieces.normalize(|piece| piece.replace(mark, ""))?;
            if let Some(pre_tokenizer) = self.tokenizer.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut pieces)?;
            }
            self.tokenizer
                .get_model()
                .tokenize_in_pretokenized(&mut pieces, None)?;
            pieces.into_encoding(None, 0, OffsetType::Byte)
        })()
        .map_err(|source| self.failed(source))?;
        let special = |id: &u32| self.is_special(*id);
        if encoding.get_ids().iter().filter(|id| special(id)).count() != control_before {
            let reason =
                "it makes a special token out of plain text of the prompt; remove what looks like one";
            return Err(self.failed(reason.into()));
        }
        self.unmarked(encoding, prompt.breaks(), mark.len_utf8(), around)
    }

    /// Special tokens among the pieces that are tokens already.
    fn count_control(&self, pieces: &PreTokenizedString) -> usize {
        pieces
            .get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .filter_map(|(_, _, tokens)| tokens.as_ref())
            .flatten()
            .filter(|token| self.is_special(token.id))
            .count()
    }

    /// Tokens with offsets into the text without marks.
    fn unmarked(
        &self,
        encoding: Encoding,
        breaks: &[usize],
        mark_len: usize,
        around: bool,
    ) -> Result<Tokens> {
        // The mark of the i-th break stands at `breaks[i] + i * mark_len`.
        let places: Vec<usize> = breaks
            .iter()
            .enumerate()
            .map(|(i, at)| at + i * mark_len)
            .collect();
        let place = |at: usize| {
            let before = places.partition_point(|&place| place < at);
            let inside = before
                .checked_sub(1)
                .map_or(0, |last| (places[last] + mark_len).saturating_sub(at));
            at + inside - before * mark_len
        };
        let moved = |&(start, end): &(usize, usize)| {
            let (start, end) = (place(start), place(end));
            Span { start, end }
        };
        let mut tokens = Tokens {
            ids: encoding.get_ids().to_vec(),
            spans: encoding.get_offsets().iter().map(moved).collect(),
        };
        if around {
            let whole = self
                .tokenizer
                .post_process(encoding, None, true)
                .map_err(|source| self.failed(source))?;
            let mask = whole.get_special_tokens_mask();
            let mut spans = tokens.spans.into_iter();
            tokens.spans = mask
                .iter()
                .map(|&special| match special {
                    0 => spans.next().unwrap_or(Span { start: 0, end: 0 }),
                    _ => Span { start: 0, end: 0 },
                })
                .collect();
            tokens.ids = whole.get_ids().to_vec();
        }
        Ok(tokens)
    }
}

fn marked(text: &str, breaks: &[usize], mark: char) -> String {
    let mut out = String::with_capacity(text.len() + breaks.len() * mark.len_utf8());
    let mut from = 0;
    for &at in breaks {
        out.push_str(&text[from..at]);
        out.push(mark);
        from = at;
    }
    out.push_str(&text[from..]);
    out
}
