//! Text to the terms that are indexed and looked up.
//!
//! Words are lower-cased, brought into Unicode's compatibility composition (NFKC) and stemmed. An identifier yields
//! itself and its parts: `read_to_string` also `read`, `to`, `string`; `HashMap` also `hash`, `map`. Scripts without
//! spaces yield overlapping pairs of characters, the method of Nie, Gao, Zhang and Zhou, "On the use of words and
//! n-grams for Chinese information retrieval" (IRAL 2000).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use frostem::Stemmer;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::language::Language;
use super::scan::{Piece, Scanner, camel_parts, is_han};

/// Part of an index's fingerprint: raise it with every change of the terms below.
pub(super) const ANALYZER_VERSION: u32 = 1;

/// A longer term is cut to its first bytes, on both sides alike.
const MAX_TERM_BYTES: usize = 128;

/// What a text is analysed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// To be found: single ideographs are terms beside the pairs, so that a question of one character finds them.
    Stored,
    /// To find.
    Question,
}

/// A term at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) term: String,
    /// Counted in words, parts of identifiers and characters of unspaced runs.
    pub(super) position: usize,
    pub(super) bytes: Range<usize>,
    /// Whether the term stands beside the ones at the same position and is no part of a phrase.
    pub(super) extra: bool,
}

/// Makes terms of text.
#[derive(Clone)]
pub(super) struct Analyzer {
    language: Language,
    stemmer: Option<Stemmer>,
    side: Side,
}

impl Analyzer {
    pub(super) fn new(language: Language, side: Side) -> Self {
        Self {
            language,
            stemmer: language.algorithm().map(Stemmer::new),
            side,
        }
    }

    /// The terms of a text in the order of their positions.
    pub(super) fn words<'a>(&'a self, text: &'a str) -> Words<'a> {
        Words {
            analyzer: self,
            text,
            pieces: Scanner::new(text, self.language == Language::English),
            queue: VecDeque::new(),
            position: 0,
        }
    }

    /// A word as a term: lower case, composed, accents folded where the language asks for it, stemmed.
    fn normalize(&self, word: &str, stem: bool) -> String {
        let mut term = if word.is_ascii() && self.language != Language::Turkish {
            word.to_ascii_lowercase()
        } else {
            self.normalize_unicode(word)
        };
        cut(&mut term);
        match &self.stemmer {
            // A stem is never empty: a term that is nothing but a suffix stays.
            Some(stemmer) if stem => match stemmer.stem(&term) {
                Cow::Owned(stem) if !stem.is_empty() => stem,
                Cow::Borrowed(stem) if !stem.is_empty() && stem.len() < term.len() => stem.to_owned(),
                _ => term,
            },
            _ => term,
        }
    }

    fn normalize_unicode(&self, word: &str) -> String {
        let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(word);
        let lower = if self.language == Language::Turkish {
            composed.replace('I', "ı").replace('İ', "i").to_lowercase()
        } else {
            composed.to_lowercase()
        };
        let lower = lower.replace('’', "'").replace('\u{AD}', "");
        if self.language.folds_accents() {
            fold(&lower)
        } else {
            lower
        }
    }
}

/// The terms of one text.
pub(super) struct Words<'a> {
    analyzer: &'a Analyzer,
    text: &'a str,
    pieces: Scanner<'a>,
    queue: VecDeque<Word>,
    position: usize,
}

impl Words<'_> {
    fn push(&mut self, term: String, bytes: Range<usize>, extra: bool) {
        if !term.is_empty() {
            let position = self.position;
            self.queue.push_back(Word {
                term,
                position,
                bytes,
                extra,
            });
        }
    }

    fn push_words(&mut self, words: &[Range<usize>]) {
        if let [first, .., last] = words {
            let whole = first.start..last.end;
            if whole.len() <= MAX_TERM_BYTES {
                let term = self.analyzer.normalize(&self.text[whole.clone()], false);
                self.push(term, whole, true);
            }
        }
        for word in words {
            let text = &self.text[word.clone()];
            let parts = camel_parts(text);
            if parts.len() > 1 {
                self.push(self.analyzer.normalize(text, true), word.clone(), true);
            }
            for part in parts {
                let bytes = word.start + part.start..word.start + part.end;
                self.push(self.analyzer.normalize(&text[part], true), bytes, false);
                self.position += 1;
            }
        }
    }

    fn push_unspaced(&mut self, run: Range<usize>) {
        let text = &self.text[run.clone()];
        let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
        // Where composing changed nothing, places are exact; else all terms stand for the whole run.
        let exact = matches!(composed, Cow::Borrowed(_));
        let chars: Vec<(usize, char)> = composed.char_indices().collect();
        let place = |from: usize, to: usize| {
            if exact {
                let end = chars.get(to).map_or(text.len(), |(at, _)| *at);
                run.start + chars[from].0..run.start + end
            } else {
                run.clone()
            }
        };
        let singles = self.analyzer.side == Side::Stored && chars.len() > 1;
        for i in 0..chars.len() {
            let c = chars[i].1;
            if singles && is_han(c) {
                self.push(c.to_string(), place(i, i + 1), true);
            }
            if let Some((_, next)) = chars.get(i + 1) {
                self.push(String::from_iter([c, *next]), place(i, i + 2), false);
            } else if chars.len() == 1 {
                self.push(c.to_string(), place(0, 1), false);
            }
            self.position += 1;
        }
    }
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        while self.queue.is_empty() {
            match self.pieces.next()? {
                Piece::Words(words) => self.push_words(&words),
                Piece::Unspaced(run) => self.push_unspaced(run),
            }
        }
        self.queue.pop_front()
    }
}

/// The words of a text as the index's library wants them.
pub(super) struct Tokens<'a> {
    words: Words<'a>,
    token: Token,
}

impl TokenStream for Tokens<'_> {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.next() else {
            return false;
        };
        self.token = Token {
            offset_from: word.bytes.start,
            offset_to: word.bytes.end,
            position: word.position,
            text: word.term,
            position_length: 1,
        };
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

impl Tokenizer for Analyzer {
    type TokenStream<'a> = Tokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Tokens<'a> {
        Tokens {
            words: self.words(text),
            token: Token::default(),
        }
    }
}

/// Cuts a term to [`MAX_TERM_BYTES`].
fn cut(term: &mut String) {
    if term.len() > MAX_TERM_BYTES {
        term.truncate(term.floor_char_boundary(MAX_TERM_BYTES));
    }
}

/// Latin and Greek letters without their accents; marks of other scripts carry meaning and stay.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut foldable = false;
    for c in DecomposingNormalizerBorrowed::new_nfd().normalize(text).chars() {
        if matches!(c, '\u{300}'..='\u{36F}') {
            if !foldable {
                folded.push(c);
            }
            continue;
        }
        foldable =
            matches!(c, 'a'..='z' | '\u{DF}'..='\u{24F}' | '\u{370}'..='\u{3FF}' | '\u{1E00}'..='\u{1FFF}');
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'ħ' => folded.push('h'),
            'ı' => folded.push('i'),
            c => folded.push(c),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(language: Language, side: Side, text: &str) -> Vec<String> {
        Analyzer::new(language, side)
            .words(text)
            .map(|word| word.term)
            .collect()
    }

    #[test]
    fn words_are_lower_cased_and_stemmed() {
        assert_eq!(
            terms(Language::English, Side::Stored, "The Connections' WHAT'S don't"),
            ["the", "connect", "what", "don't"]
        );
        assert_eq!(
            terms(Language::German, Side::Stored, "Häuser l'eau"),
            ["haus", "l", "eau"]
        );
        assert_eq!(
            terms(Language::None, Side::Stored, "Connections"),
            ["connections"]
        );
        assert_eq!(terms(Language::Turkish, Side::Stored, "ISI"), ["ıs"]);
    }

    #[test]
    fn identifiers_are_found_whole_and_by_part() {
        assert_eq!(
            terms(Language::English, Side::Stored, "std::fs::read_to_string"),
            ["std::fs::read_to_string", "std", "fs", "read", "to", "string"]
        );
        assert_eq!(
            terms(Language::English, Side::Question, "HashMaps"),
            ["hashmap", "hash", "map"]
        );
    }

    #[test]
    fn accents_fold_and_forms_of_a_letter_are_one() {
        for (a, b) in [
            ("café", "cafe\u{301}"),
            ("café", "cafe"),
            ("Ｒｕｓｔ", "rust"),
            ("ﬁle", "file"),
        ] {
            assert_eq!(
                terms(Language::English, Side::Stored, a),
                terms(Language::English, Side::Stored, b)
            );
        }
        assert_eq!(
            terms(Language::French, Side::Stored, "café"),
            terms(Language::French, Side::Stored, "cafe\u{301}")
        );
        assert_eq!(terms(Language::None, Side::Stored, "й Ærø"), ["и\u{306}", "aero"]);
    }

    #[test]
    fn unspaced_scripts_give_pairs() {
        assert_eq!(
            terms(Language::English, Side::Question, "緑茶です"),
            ["緑茶", "茶で", "です"]
        );
        assert_eq!(
            terms(Language::English, Side::Stored, "緑茶"),
            ["緑", "緑茶", "茶"]
        );
        assert_eq!(terms(Language::English, Side::Question, "茶"), ["茶"]);
        assert_eq!(terms(Language::None, Side::Stored, "한국어"), ["한국", "국어"]);
        assert_eq!(terms(Language::None, Side::Stored, "ｱﾊﾟ"), ["アパ"]);
    }

    #[test]
    fn endless_words_are_cut() {
        let long = "x".repeat(1_000_000);
        assert_eq!(
            terms(Language::None, Side::Stored, &long),
            ["x".repeat(MAX_TERM_BYTES)]
        );
        let wide = "é".repeat(1000);
        assert!(
            terms(Language::French, Side::Stored, &wide)
                .iter()
                .all(|t| t.len() <= MAX_TERM_BYTES)
        );
    }

    proptest! {
        #[test]
        fn places_ascend_and_lie_in_the_text(text in "[ a-zA-Z_:.'éÄßก-ฮ一-三ぁ-んｱ-ﾟ\u{300}0-9]{0,60}", l in 0..Language::ALL.len()) {
            let analyzer = Analyzer::new(Language::ALL[l], Side::Stored);
            let mut position = 0;
            for word in analyzer.words(&text) {
                prop_assert!(word.position >= position && !word.term.is_empty());
                prop_assert!(text.get(word.bytes.clone()).is_some_and(|t| !t.is_empty()));
                position = word.position;
            }
        }

        #[test]
        fn any_text_is_analysed(text in any::<String>()) {
            for side in [Side::Stored, Side::Question] {
                Analyzer::new(Language::English, side).words(&text).for_each(drop);
            }
        }
    }
}
