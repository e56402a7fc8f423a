//! "X is a ...": sentences that say what something is, with the question that asks for it.
//!
//! The forms are English; documents in other languages give none, which the report counts.

use ragtune_core::text::Span;

use super::corpus::{Source, clipped, is_prose, squeezed};
use super::headings::plain;
use super::question::{Answer, Candidate, QuestionKind};
use crate::passages::{Passage, passages};

/// Between the defined words and what they are.
const COPULAS: [(&str, bool); 6] = [
    (" is a ", false),
    (" is an ", false),
    (" is one of ", false),
    (" are a ", true),
    (" are an ", true),
    (" refers to ", false),
];
/// Words that a defined term does not begin with, since they point elsewhere or open a clause.
const NO_TERMS: &str = "a all also although an and another any anything as at because before both but by each either \
    even every everything finally first for fortunately from here however i if in instead it its just let like many most my neither next no \
    nor not note nothing notice now of on once one only or other our perhaps second similarly since so some something such that \
    the their then there these they this those though thus to unfortunately we what when where whether which while who why with yet you your";
/// Words of the longest term.
const MAX_WORDS: usize = 6;
/// Bytes of the longest and the shortest sentence.
const SENTENCE_BYTES: std::ops::RangeInclusive<usize> = 30..=400;
/// Words that say what a thing is at least.
const MIN_PREDICATE_WORDS: usize = 3;
/// Bytes of the paragraph that are taken at most.
const MAX_TEXT_BYTES: usize = 2_000;

/// The definitions of one document.
pub(super) fn questions(at: usize, source: &Source) -> Vec<Candidate> {
    let sentences = passages(&source.text);
    let mut found = Vec::new();
    for sentence in &sentences {
        let Some(text) = sentence.span.of(&source.text) else {
            continue;
        };
        let Some(definition) = Definition::of(text) else {
            continue;
        };
        let block = block(&sentences, sentence.block);
        let paragraph = block.of(&source.text).unwrap_or(text);
        found.push(Candidate {
            kind: QuestionKind::Definition,
            text: definition.question,
            source: at,
            place: sentence.span,
            positive: source.titled(clipped(paragraph.trim(), MAX_TEXT_BYTES)),
            taken: None,
            answer: Some(Answer {
                sentence: squeezed(text),
                evidence: sentence.span,
                span: Some(definition.predicate.shifted(sentence.span.start)),
            }),
        });
    }
    found
}

/// All bytes of a paragraph's sentences.
pub(super) fn block(sentences: &[Passage], number: usize) -> Span {
    let own = || sentences.iter().filter(|sentence| sentence.block == number);
    let start = own().map(|sentence| sentence.span.start).min().unwrap_or(0);
    let end = own().map(|sentence| sentence.span.end).max().unwrap_or(start);
    Span::new(start, end)
}

struct Definition {
    question: String,
    /// What it is, in the sentence's bytes.
    predicate: Span,
}

impl Definition {
    fn of(sentence: &str) -> Option<Self> {
        if !SENTENCE_BYTES.contains(&sentence.len()) || !is_prose(sentence) || sentence.ends_with('?') {
            return None;
        }
        let flat = sentence.replace('\n', " ");
        let (at, copula, plural) = COPULAS
            .iter()
            .filter_map(|(copula, plural)| Some((flat.find(copula)?, *copula, *plural)))
            .min_by_key(|(at, ..)| *at)?;
        let subject = squeezed(&plain(flat.get(..at)?));
        let term = term(&subject)?;
        // An article belongs to what the thing is.
        let lead = match (copula, plural) {
            (" refers to ", _) => copula.len(),
            (_, true) => " are ".len(),
            _ => " is ".len(),
        };
        let end = sentence
            .trim_end_matches(|c: char| !c.is_alphanumeric() && !matches!(c, ')' | '`' | '”' | '"'))
            .len();
        let predicate = Span::new(at + lead, end);
        let words = predicate.of(sentence)?.split_whitespace().count();
        let question = match plural {
            true => format!("What are {term}?"),
            false => format!("What is {term}?"),
        };
        (words >= MIN_PREDICATE_WORDS).then_some(Self { question, predicate })
    }
}

/// The defined words, with a small article in front where there was one.
fn term(subject: &str) -> Option<String> {
    let mut words = subject.split(' ');
    let first = words.next()?;
    let article = ["A", "An", "The"].contains(&first);
    let rest: Vec<&str> = if article {
        words.collect()
    } else {
        subject.split(' ').collect()
    };
    let opens = rest.first()?;
    let is_pointer = |word: &str| NO_TERMS.split(' ').any(|known| known == word.to_lowercase());
    let has_marks = subject.contains([',', ':', ';', '(', ')', '"', '“', '?', '—', '|', '=']);
    let is_word = |word: &&str| word.chars().any(char::is_alphabetic);
    let verbs = [
        "is", "are", "was", "were", "can", "will", "has", "have", "that", "which",
    ];
    let clause = rest.iter().any(|word| verbs.contains(word));
    if rest.len() > MAX_WORDS || is_pointer(opens) || has_marks || clause || !rest.iter().any(is_word) {
        return None;
    }
    let rest = rest.join(" ");
    Some(match article {
        true => format!("{} {rest}", first.to_lowercase()),
        false => rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(sentence: &str) -> Option<(String, String)> {
        let definition = Definition::of(sentence)?;
        Some((definition.question, definition.predicate.of(sentence)?.to_owned()))
    }

    #[test]
    fn definitions_are_asked_for() {
        assert_eq!(
            asked("*Ownership* is a set of rules that govern how a program manages memory."),
            Some((
                "What is Ownership?".into(),
                "a set of rules that govern how a program manages memory".into()
            ))
        );
        assert_eq!(
            asked("A smart\npointer is a structure that owns what it points to."),
            Some((
                "What is a smart pointer?".into(),
                "a structure that owns what it points to".into()
            ))
        );
        assert_eq!(
            asked("The term *shadowing* refers to a second variable of the same name."),
            Some((
                "What is the term shadowing?".into(),
                "a second variable of the same name".into()
            ))
        );
        assert_eq!(
            asked("Enums are a way of saying that a value is one of several.")
                .unwrap()
                .0,
            "What are Enums?"
        );
    }

    #[test]
    fn pointers_and_clauses_define_nothing() {
        for sentence in [
            "This is a good thing to know about tea.",
            "It is an error to call this function twice.",
            "If the value is a number, the program prints it.",
            "The value that follows is a number of some kind.",
            "Is there a tea that is a green one?",
            "The following, however, is a simple thing.",
        ] {
            assert_eq!(asked(sentence), None, "{sentence}");
        }
    }
}
