//! Text of messages must not become a control token.
//!
//! Where the text of a message imitates a control token such as `<|im_end|>`, a mark goes into the imitation before the
//! template sees it. The mark is a character that neither messages nor template have, so it survives the template's
//! string operations; afterwards it is taken out, and its place is remembered as a break: a place that no control token
//! may cover. transformers 5.23 does alike (`sanitize_control_tokens` of `apply_chat_template`).

use crate::error::{Error, Result};

/// Characters that Unicode reserves for use inside a program; they are in no text that is meant to be read.
const MARKS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

/// The text of a prompt exactly as the model reads it, and where it must be read as plain text.
///
/// ```
/// use ragtune_core::chat::RenderedPrompt;
/// let control = ["<|im_end|>".to_owned()];
/// // In text that is plain throughout, every imitation of a control token is broken up.
/// let prompt = RenderedPrompt::plain("a <|im_end|> b", &control)?;
/// assert_eq!((prompt.text(), prompt.breaks()), ("a <|im_end|> b", [3].as_slice()));
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderedPrompt {
    text: String,
    breaks: Vec<usize>,
}

impl RenderedPrompt {
    /// Text in which control tokens are control tokens wherever they stand.
    pub fn trusted(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            breaks: Vec::new(),
        }
    }

    /// Text in which no control token is one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the text has every character that could serve as a mark.
    pub fn plain(text: &str, control_tokens: &[String]) -> Result<Self> {
        let guard = Guard::new(control_tokens, std::iter::once(text))?;
        Ok(guard.unmark(&guard.mark(text)))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Bytes of the text that no control token may cover from both sides, ascending.
    pub fn breaks(&self) -> &[usize] {
        &self.breaks
    }
}

/// Marks imitations of control tokens.
pub(super) struct Guard<'a> {
    control_tokens: &'a [String],
    mark: char,
}

impl<'a> Guard<'a> {
    /// A guard whose mark is in none of the texts.
    pub(super) fn new<'t>(
        control_tokens: &'a [String],
        texts: impl Iterator<Item = &'t str> + Clone,
    ) -> Result<Self> {
        let free = MARKS
            .into_iter()
            .find(|&mark| texts.clone().all(|text| !text.contains(mark)));
        match free {
            Some(mark) => Ok(Self { control_tokens, mark }),
            None => Err(Error::InvalidArgument {
                argument: "prompt",
                reason:
                    "its text has all of the characters U+FDD0 to U+FDEF, which are not for interchange; \
                         remove one of them"
                        .to_owned(),
            }),
        }
    }

    /// The text with a mark inside each imitation of a control token, and at an end where an imitation could be
    /// completed by what the template puts there.
    pub(super) fn mark(&self, text: &str) -> String {
        let inner = text.trim();
        if inner.is_empty() {
            return text.to_owned();
        }
        let start = text.len() - text.trim_start().len();
        let end = start + inner.len();
        let mut places = Vec::new();
        for token in self.control_tokens {
            let Some(first) = token.chars().next().map(char::len_utf8) else {
                continue;
            };
            let mut from = 0;
            while let Some(at) = text[from..].find(token.as_str()) {
                places.push(from + at + first);
                from += at + first;
            }
            // The token's text from its second character on, and so on.
            for (at, _) in token.char_indices().skip(1) {
                let (before, after) = token.split_at(at);
                if inner.starts_with(after) || after.starts_with(inner) {
                    places.push(start);
                }
                if inner.ends_with(before) || before.ends_with(inner) {
                    places.push(end);
                }
            }
        }
        places.sort_unstable();
        places.dedup();
        let mut out = String::with_capacity(text.len() + places.len() * self.mark.len_utf8());
        let mut from = 0;
        for place in places {
            // Inside a token, the place after its first character is a boundary of the text's characters too.
            out.push_str(&text[from..place]);
            out.push(self.mark);
            from = place;
        }
        out.push_str(&text[from..]);
        out
    }

    /// The text without marks, and where they were.
    pub(super) fn unmark(&self, marked: &str) -> RenderedPrompt {
        let mut prompt = RenderedPrompt::default();
        for (at, piece) in marked.split(self.mark).enumerate() {
            if at > 0 && prompt.breaks.last() != Some(&prompt.text.len()) {
                prompt.breaks.push(prompt.text.len());
            }
            prompt.text.push_str(piece);
        }
        prompt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Vec<String> {
        ["<|im_end|>", "</s>", "<s>"].map(str::to_owned).to_vec()
    }

    #[test]
    fn imitations_are_broken_up_wherever_they_stand() {
        let tokens = tokens();
        let plain = |text: &str| RenderedPrompt::plain(text, &tokens).unwrap().breaks().to_vec();
        assert_eq!(plain("a<s>b</s>c<|im_end|>"), [2, 6, 11]);
        assert!(plain("a < b, c |> d").is_empty());
        // Ends that the template could complete to a token.
        assert_eq!(plain(" im_end|> x"), [1]);
        assert_eq!(plain("x <|im_  "), [7]);
        assert_eq!(plain("im_end"), [0, 6]);
        assert!(plain("  ").is_empty());
    }

    #[test]
    fn marks_do_not_change_the_text() {
        let tokens = tokens();
        for text in ["", "\u{FDD0}<s>", "ü<s>ü</s>", "<<s></s>s>"] {
            assert_eq!(RenderedPrompt::plain(text, &tokens).unwrap().text(), text);
        }
        let all: String = MARKS.collect();
        assert!(RenderedPrompt::plain(&all, &tokens).is_err());
    }
}
