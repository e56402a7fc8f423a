//! Where words, identifiers and runs of unspaced script lie in a text.

use std::ops::Range;

use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;

/// An identifier of more words is cut into several, so that hostile text cannot make one endless word.
const MAX_ATOMS: usize = 16;

/// Something to index, found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A word, or an identifier of several (`std::fs::read`, `snake_case`, `main.rs`): the bytes of each word.
    Words(Vec<Range<usize>>),
    /// A run of characters of scripts that put no spaces between words.
    Unspaced(Range<usize>),
}

/// Finds the pieces of a text one after the other.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    apostrophes: bool,
}

impl<'a> Scanner<'a> {
    /// Starts before the first byte; with `apostrophes`, one between letters belongs to the word ("don't").
    pub(super) fn new(text: &'a str, apostrophes: bool) -> Self {
        Self {
            text,
            at: 0,
            apostrophes,
        }
    }

    fn char_at(&self, at: usize) -> Option<char> {
        self.text.get(at..)?.chars().next()
    }

    /// The end of the word that starts at `from`; `from` itself where none does.
    fn word_end(&self, from: usize) -> usize {
        let mut end = from;
        while let Some(c) = self.char_at(end) {
            let next = end + c.len_utf8();
            let inside = is_word(c)
                || end > from
                    && (is_mark(c)
                        || self.apostrophes
                            && matches!(c, '\'' | '’')
                            && self.char_at(next).is_some_and(char::is_alphabetic));
            if !inside {
                break;
            }
            end = next;
        }
        end
    }

    /// Where the next word of the same identifier starts, given the end of the one before.
    fn joined(&self, end: usize) -> Option<usize> {
        let rest = self.text.get(end..)?;
        let after = match rest.as_bytes() {
            [b':', b':', ..] => &rest[2..],
            [b'.', ..] => &rest[1..],
            [b'_', ..] => rest,
            _ => return None,
        };
        let after = after.trim_start_matches('_');
        after.starts_with(is_word).then(|| self.text.len() - after.len())
    }
}

impl Iterator for Scanner<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let start = loop {
            let c = self.char_at(self.at)?;
            if is_word(c) || is_unspaced(c) {
                break self.at;
            }
            self.at += c.len_utf8();
        };
        if self.char_at(start).is_some_and(is_unspaced) {
            let length = self.text[start..]
                .find(|c: char| !is_unspaced(c))
                .unwrap_or(self.text.len() - start);
            self.at = start + length;
            return Some(Piece::Unspaced(start..self.at));
        }
        let mut words = Vec::with_capacity(1);
        let mut from = start;
        loop {
            let end = self.word_end(from);
            words.push(from..end);
            self.at = end;
            match self.joined(end) {
                Some(next) if words.len() < MAX_ATOMS => from = next,
                _ => return Some(Piece::Words(words)),
            }
        }
    }
}

/// The parts of a `CamelCase` word: a new one starts at each upper-case letter after a lower-case one or a digit, and
/// before the last upper-case letter of a run that a lower-case one follows (`HTTPServer`). One range when it has no
/// parts.
pub(super) fn camel_parts(word: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::with_capacity(1);
    let mut start = 0;
    let mut chars = word.char_indices().peekable();
    let (mut before, mut two_before) = (' ', ' ');
    let mut before_at = 0;
    while let Some((at, c)) = chars.next() {
        if at > start {
            let up = c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
            let acronym = c.is_lowercase() && before.is_uppercase() && two_before.is_uppercase();
            // "IDs" and "URLs" are plurals, not "I" + "Ds".
            let plural = c == 's' && chars.peek().is_none_or(|(_, next)| !next.is_lowercase());
            let cut = match (up, acronym && !plural) {
                (true, _) => at,
                (_, true) => before_at,
                _ => start,
            };
            if cut > start {
                parts.push(start..cut);
                start = cut;
            }
        }
        (two_before, before, before_at) = (before, c, at);
    }
    parts.push(start..word.len());
    parts
}

/// Whether a character belongs to a word of a spaced script.
fn is_word(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric()
    } else {
        c.is_alphanumeric() && !is_unspaced(c)
    }
}

/// Whether a character continues the word before it without being a letter: combining marks, joiners, selectors.
fn is_mark(c: char) -> bool {
    !c.is_ascii()
        && (CanonicalCombiningClassMapBorrowed::new().get_u8(c) != 0
            || matches!(c, '\u{200C}' | '\u{200D}' | '\u{FE00}'..='\u{FE0F}' | '\u{00AD}'))
}

/// Whether a character is of a script that puts no spaces between words (or, as Korean, few): its words are not
/// found by looking at spaces. Digits of these scripts are ordinary words.
pub(super) fn is_unspaced(c: char) -> bool {
    !c.is_ascii()
        && (is_han(c)
            || matches!(c,
                '\u{3041}'..='\u{309F}' // Hiragana
                | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' // Katakana
                | '\u{31F0}'..='\u{31FF}' | '\u{FF66}'..='\u{FF9F}'
                | '\u{1100}'..='\u{11FF}' | '\u{3131}'..='\u{318E}' // Hangul
                | '\u{A960}'..='\u{A97C}' | '\u{AC00}'..='\u{D7FB}' | '\u{FFA1}'..='\u{FFDC}'
                | '\u{0E01}'..='\u{0E3A}' | '\u{0E40}'..='\u{0E4E}' // Thai
                | '\u{0E81}'..='\u{0ECE}' | '\u{0EDC}'..='\u{0EDF}' // Lao
                | '\u{1780}'..='\u{17D3}' // Khmer
                | '\u{1000}'..='\u{103F}' | '\u{1050}'..='\u{108F}')) // Myanmar
}

/// Whether a character is an ideograph: alone it is a word already.
pub(super) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{323AF}' | '々' | '〇')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Vec<&str>> {
        let piece = |piece| match piece {
            Piece::Words(words) => words.into_iter().map(|range| &text[range]).collect(),
            Piece::Unspaced(range) => vec!["~", &text[range]],
        };
        Scanner::new(text, true).map(piece).collect()
    }

    #[test]
    fn words_and_identifiers_are_found() {
        assert_eq!(found("Green tea, 80 °C!"), [["Green"], ["tea"], ["80"], ["C"]]);
        assert_eq!(
            found("use std::fs::read;"),
            [vec!["use"], vec!["std", "fs", "read"]]
        );
        assert_eq!(
            found("__init__ _em_ a__b"),
            [vec!["init"], vec!["em"], vec!["a", "b"]]
        );
        assert_eq!(
            found("main.rs v1.2. End"),
            [vec!["main", "rs"], vec!["v1", "2"], vec!["End"]]
        );
        assert_eq!(found("don't 'quoted'"), [["don't"], ["quoted"]]);
        assert_eq!(found("a:b a: :b ..."), [["a"], ["b"], ["a"], ["b"]]);
        assert!(found(" \n—…::__.").is_empty());
    }

    #[test]
    fn combining_marks_stay_in_their_word() {
        assert_eq!(found("cafe\u{301} हिन्दी"), [["cafe\u{301}"], ["हिन्दी"]]);
    }

    #[test]
    fn unspaced_scripts_are_runs() {
        assert_eq!(
            found("緑茶はRustです。"),
            [vec!["~", "緑茶は"], vec!["Rust"], vec!["~", "です"]]
        );
        assert_eq!(found("ภาษาไทย ๑๒"), [vec!["~", "ภาษาไทย"], vec!["๑๒"]]);
    }

    #[test]
    fn camel_case_is_split() {
        let parts = |word: &'static str| {
            camel_parts(word)
                .into_iter()
                .map(|r| &word[r])
                .collect::<Vec<_>>()
        };
        assert_eq!(parts("HashMap"), ["Hash", "Map"]);
        assert_eq!(parts("HTTPServer2Go"), ["HTTP", "Server2", "Go"]);
        assert_eq!(parts("iPhone"), ["i", "Phone"]);
        assert_eq!(parts("README"), ["README"]);
        assert_eq!(parts("URLs"), ["URLs"]);
        assert_eq!(parts("Tea"), ["Tea"]);
        assert_eq!(parts("größeÄndern"), ["größe", "Ändern"]);
    }

    #[test]
    fn an_endless_identifier_is_cut() {
        let text = "a.".repeat(100);
        assert!(
            Scanner::new(&text, false).all(|piece| matches!(piece, Piece::Words(w) if w.len() <= MAX_ATOMS))
        );
    }
}
