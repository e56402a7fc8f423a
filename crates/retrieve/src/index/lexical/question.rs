//! A question to the terms and phrases that are looked up. There is no query syntax that a text could trigger by
//! accident: everything is plain words, and only a balanced pair of double quotes means something.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::analyzer::{Analyzer, Word};

/// Bytes of a question that are read; the rest is ignored.
const MAX_QUESTION_BYTES: usize = 64 << 10;
/// Different terms of a question that are looked up, the first ones.
const MAX_TERMS: usize = 1024;
/// Phrases of a question that are looked up, the first ones.
const MAX_PHRASES: usize = 16;
/// Words of a phrase that are looked up, the first ones.
const MAX_PHRASE_WORDS: usize = 64;

/// What a question asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Question {
    /// Each term with how often the question says it, in the order of the terms.
    pub(super) terms: BTreeMap<String, u32>,
    /// Quoted phrases of at least two words: each word with its place from the phrase's start.
    pub(super) phrases: Vec<Vec<(usize, String)>>,
}

impl Question {
    /// Reads a question; no text is an error.
    pub(super) fn new(analyzer: &Analyzer, text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(MAX_QUESTION_BYTES)];
        let mut question = Self::default();
        for word in analyzer.words(text) {
            let room = question.terms.len() < MAX_TERMS;
            match question.terms.entry(word.term) {
                Entry::Occupied(mut count) => *count.get_mut() += 1,
                Entry::Vacant(new) if room => {
                    new.insert(1);
                }
                Entry::Vacant(_) => {}
            }
        }
        for quoted in quoted(text) {
            let words = analyzer
                .words(quoted)
                .filter(|word| !word.extra)
                .take(MAX_PHRASE_WORDS);
            let words: Vec<Word> = words.collect();
            if let [first, _, ..] = words.as_slice() {
                let start = first.position;
                let place = |word: Word| (word.position - start, word.term);
                question.phrases.push(words.into_iter().map(place).collect());
                if question.phrases.len() == MAX_PHRASES {
                    break;
                }
            }
        }
        question
    }
}

/// The insides of balanced pairs of double quotes, straight or curly.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let open = rest.find(['"', '“'])?;
        let mark = rest[open..].chars().next()?;
        let inside = &rest[open + mark.len_utf8()..];
        let close = inside.find(if mark == '"' { '"' } else { '”' })?;
        let (quoted, after) = inside.split_at(close);
        let mut after = after.chars();
        after.next();
        rest = after.as_str();
        Some(quoted)
    })
}

#[cfg(test)]
mod tests {
    use super::super::analyzer::Side;
    use super::super::language::Language;
    use super::*;

    fn question(text: &str) -> Question {
        Question::new(&Analyzer::new(Language::None, Side::Question), text)
    }

    #[test]
    fn terms_are_counted_and_sorted() {
        let terms: Vec<_> = question("tea, green TEA +(body:x)").terms.into_iter().collect();
        assert_eq!(
            terms,
            [
                ("body".into(), 1),
                ("green".into(), 1),
                ("tea".into(), 2),
                ("x".into(), 1)
            ]
        );
    }

    #[test]
    fn balanced_quotes_are_phrases() {
        let phrase = |words: &[&str]| {
            words
                .iter()
                .map(|w| (*w).to_owned())
                .enumerate()
                .collect::<Vec<_>>()
        };
        assert_eq!(
            question("what is \"use of moved value\"?").phrases,
            [phrase(&["use", "of", "moved", "value"])]
        );
        assert_eq!(
            question("“green tea” and \"snake_case\"").phrases,
            [phrase(&["green", "tea"]), phrase(&["snake", "case"])]
        );
        assert_eq!(question("\"緑茶は\"").phrases, [phrase(&["緑茶", "茶は"])]);
        for none in ["5\" pipe", "\"tea\"", "\"\"", "“open", "”“"] {
            assert!(question(none).phrases.is_empty(), "{none}");
        }
    }

    #[test]
    fn an_endless_question_is_capped() {
        let words: String = (0..200_000).map(|i| format!("w{i} \"a{i} b\" ")).collect();
        let capped = question(&words);
        assert_eq!(
            (capped.terms.len(), capped.phrases.len()),
            (MAX_TERMS, MAX_PHRASES)
        );
        assert!(question("").terms.is_empty());
        assert!(question("?!… —").terms.is_empty());
    }
}
