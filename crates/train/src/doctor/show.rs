//! A sequence as text, divided into what is trained and what is not.

use crate::encode::Sequence;
use crate::error::Result;

/// Green and bold; faint; back to normal: ISO 6429.
const TRAINED: &str = "\x1b[1;32m";
const OTHER: &str = "\x1b[2m";
const NORMAL: &str = "\x1b[0m";

/// What a token that ends within a character decodes to.
const INCOMPLETE: char = '\u{fffd}';

/// A part of a text whose tokens are all trained, or all not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownText {
    /// The text, special tokens among it.
    pub text: String,
    /// Whether it is trained.
    pub trained: bool,
}

/// The text of a sequence in parts. `decode` makes text of ids, special tokens among it: commonly
/// `|ids| tokenizer.decode_with_special(ids)`.
///
/// ```
/// use ragtune_train::doctor::{coloured, show};
/// use ragtune_train::encode::Sequence;
///
/// let words = ["<s>", "2+2?", " 4", "</s>"];
/// let decode = |ids: &[u32]| Ok(ids.iter().map(|id| words[*id as usize]).collect());
/// let sequence = Sequence { ids: vec![0, 1, 2, 3], trained: vec![false, false, true, true] };
/// let parts = show(&sequence, decode)?;
/// assert_eq!(parts.len(), 2);
/// assert_eq!((parts[1].text.as_str(), parts[1].trained), (" 4</s>", true));
/// println!("{}", coloured(&parts));
/// # Ok::<(), ragtune_train::Error>(())
/// ```
///
/// # Errors
/// Those of `decode`.
pub fn show(sequence: &Sequence, decode: impl Fn(&[u32]) -> Result<String>) -> Result<Vec<ShownText>> {
    let trained = |index: usize| sequence.trained.get(index).copied().unwrap_or(false);
    let mut parts = Vec::new();
    let mut shown = String::new();
    let mut start = 0;
    for end in 1..=sequence.ids.len() {
        if end < sequence.ids.len() && trained(end) == trained(start) {
            continue;
        }
        // The text up to here less what was shown, because a tokenizer may spell a token by those before it.
        let whole = decode(sequence.ids.get(..end).unwrap_or_default())?;
        let known = shown.trim_end_matches(INCOMPLETE);
        let text = match whole.strip_prefix(known) {
            Some(text) => text.to_owned(),
            None => decode(sequence.ids.get(start..end).unwrap_or_default())?,
        };
        parts.push(ShownText {
            text,
            trained: trained(start),
        });
        shown = whole;
        start = end;
    }
    // A character that two parts share is shown by the second.
    let last = parts.len().saturating_sub(1);
    for part in parts.iter_mut().take(last) {
        let length = part.text.trim_end_matches(INCOMPLETE).len();
        part.text.truncate(length);
    }
    Ok(parts)
}

/// The parts for a terminal: what is trained in green, the rest faint. Control characters of the text, which could
/// command the terminal, are shown as symbols.
pub fn coloured(parts: &[ShownText]) -> String {
    let mut out = String::new();
    for part in parts {
        out.push_str(if part.trained { TRAINED } else { OTHER });
        out.extend(part.text.chars().map(visible));
        out.push_str(NORMAL);
    }
    out
}

fn visible(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        // Unicode has a picture of each control character of ASCII.
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or(INCOMPLETE),
        '\x7f' => '␡',
        c if c.is_control() => INCOMPLETE,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes as tokens.
    fn bytes(ids: &[u32]) -> Result<String> {
        let bytes: Vec<u8> = ids.iter().map(|id| *id as u8).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn sequence(text: &str, trained: std::ops::Range<usize>) -> Sequence {
        Sequence {
            ids: text.bytes().map(u32::from).collect(),
            trained: (0..text.len()).map(|index| trained.contains(&index)).collect(),
        }
    }

    #[test]
    fn parts_make_up_the_text() {
        let parts = show(&sequence("ask: answer.", 5..11), bytes).expect("parts");
        let texts: Vec<(&str, bool)> = parts.iter().map(|p| (p.text.as_str(), p.trained)).collect();
        assert_eq!(texts, [("ask: ", false), ("answer", true), (".", false)]);
        assert!(show(&Sequence::default(), bytes).expect("parts").is_empty());
    }

    #[test]
    fn a_character_that_two_parts_share_is_shown_once() {
        let parts = show(&sequence("aé!", 2..4), bytes).expect("parts");
        let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        assert_eq!(texts, ["a", "é!"]);
    }

    #[test]
    fn a_text_cannot_command_the_terminal() {
        let parts = [ShownText {
            text: "a\x1b[2Jb\nc\u{9b}".into(),
            trained: true,
        }];
        assert_eq!(coloured(&parts), "\x1b[1;32ma␛[2Jb\nc\u{fffd}\x1b[0m");
    }
}
