//! What a tokenizer's vocabulary says about single tokens.

use tokenizers::{DecoderWrapper, PreTokenizerWrapper};

use super::TextTokenizer;

impl TextTokenizer {
    /// Tokens of the vocabulary, added ones among them.
    pub fn vocab_size(&self) -> usize {
        self.last_id().map_or(0, |id| id as usize + 1)
    }

    /// The id of a token by its text in the vocabulary, such as `</s>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The text of a token in the vocabulary, which is not always what it decodes to (`Ġthe`, `▁the`, `<0x0A>`).
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Whether a token is a special one, which decoding leaves out.
    pub fn is_special(&self, id: u32) -> bool {
        let added = self.tokenizer.get_added_vocabulary();
        added
            .simple_id_to_token(id)
            .is_some_and(|token| added.is_special_token(&token))
    }

    /// The texts of the special tokens, in the order of their ids.
    pub(super) fn special_token_texts(&self) -> Vec<String> {
        self.added_texts(|_| false)
    }

    /// The texts of the tokens that steer a model: the special ones, and those added ones that its chat template
    /// writes, white space excepted (transformers 5.23, `_get_control_tokens` of `tokenization_utils_base.py`).
    pub fn control_tokens(&self, template: &str) -> Vec<String> {
        self.added_texts(|text| template.contains(text) && !text.trim().is_empty())
    }

    fn added_texts(&self, also: impl Fn(&str) -> bool) -> Vec<String> {
        let mut added: Vec<(u32, String)> = self
            .tokenizer
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special || also(&token.content))
            .map(|(id, token)| (id, token.content))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        added.sort();
        added.into_iter().map(|(_, text)| text).collect()
    }

    /// Whether tokens stand for bytes through the alphabet of GPT-2.
    pub(super) fn is_byte_level(&self) -> bool {
        fn any(decoder: &DecoderWrapper) -> bool {
            match decoder {
                DecoderWrapper::ByteLevel(_) => true,
                DecoderWrapper::Sequence(all) => all.get_decoders().iter().any(any),
                _ => false,
            }
        }
        match self.tokenizer.get_decoder() {
            Some(decoder) => any(decoder),
            None => matches!(
                self.tokenizer.get_pre_tokenizer(),
                Some(PreTokenizerWrapper::ByteLevel(_))
            ),
        }
    }

    /// Whether `<0x0A>` stands for a byte.
    pub(super) fn has_byte_tokens(&self) -> bool {
        fn any(decoder: &DecoderWrapper) -> bool {
            match decoder {
                DecoderWrapper::ByteFallback(_) => true,
                DecoderWrapper::Sequence(all) => all.get_decoders().iter().any(any),
                _ => false,
            }
        }
        self.tokenizer.get_decoder().is_some_and(any)
    }

    /// The bytes that each id adds to a text that it stands inside of; `None` for special tokens and for ids that the
    /// vocabulary leaves out.
    pub fn token_bytes(&self) -> Vec<Option<Vec<u8>>> {
        let byte_level = self.is_byte_level();
        let byte_tokens = self.has_byte_tokens();
        let added = self.tokenizer.get_added_tokens_decoder();
        (0..self.vocab_size() as u32)
            .map(|id| {
                if let Some(token) = added.get(&id) {
                    return (!token.special).then(|| token.content.clone().into_bytes());
                }
                let text = self.tokenizer.id_to_token(id)?;
                if byte_level {
                    return text.chars().map(byte_of).collect();
                }
                if let Some(byte) = byte_token(&text).filter(|_| byte_tokens) {
                    return Some(vec![byte]);
                }
                Some(text.replace('▁', " ").into_bytes())
            })
            .collect()
    }
}

/// The byte of a token such as `<0x0A>`.
pub(super) fn byte_token(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// The byte that a character of the byte-level alphabet stands for: printable characters of Latin-1 for themselves, the
/// others counted from U+0100 (`bytes_to_unicode` of GPT-2, `src/encoder.py`).
fn byte_of(c: char) -> Option<u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u32::from(c) {
        code @ 0..=0xFF => u8::try_from(code).ok().filter(|&byte| printable(byte)),
        code => (0..=u8::MAX)
            .filter(|&byte| !printable(byte))
            .nth(usize::try_from(code - 0x100).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_of_bytes() {
        assert_eq!(byte_of('a'), Some(b'a'));
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
        assert_eq!(byte_of('Ń'), Some(0xAD));
        assert_eq!(byte_of(' '), None);
        assert_eq!(byte_of('ń'), None);
        assert_eq!(byte_token("<0x0A>"), Some(10));
        assert_eq!(byte_token("<0x0>"), None);
        assert_eq!(byte_token("<0xG0>"), None);
    }
}
