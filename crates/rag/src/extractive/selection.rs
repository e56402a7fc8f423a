//! Which sentences are quoted, and how they are joined.

use ragtune_core::text::{ScoredChunk, Span};

use super::candidates::Candidate;
use super::evidence::cosine;
use super::options::ExtractiveOptions;

/// Cosine from which on two sentences say the same.
const SAME: f32 = 0.9;

/// Share at which the sentence before or after a chosen one, in the same paragraph, completes it: a reader gets it in one
/// piece with the chosen one, so it may be weaker than a sentence from elsewhere.
const ADJACENT: f32 = 0.2;

/// Words with which a sentence points to the one before it.
const POINTERS: [&str; 17] = [
    "it",
    "its",
    "they",
    "them",
    "their",
    "this",
    "these",
    "those",
    "that",
    "such",
    "he",
    "she",
    "here",
    "instead",
    "otherwise",
    "however",
    "then",
];

/// Openings of a sentence that illustrates the one before it.
const EXAMPLES: [&str; 4] = ["For example", "For instance", "In this case", "In other words"];

/// What a sentence says that announces the one after it.
const ANNOUNCEMENTS: [&str; 12] = [
    "let’s",
    "let's",
    "we’ll",
    "we'll",
    "we will",
    "following",
    "as follows",
    "below",
    "here is",
    "here are",
    "here’s",
    "here's",
];

/// A run of bytes of one passage that is quoted as it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quote {
    /// Index of the passage among the hits.
    pub hit: usize,
    /// Bytes of the passage's text.
    pub span: Span,
    /// Share of its best sentence in the odds of the best one.
    pub share: f32,
}

/// What is quoted, best first; `shares` are the candidates' odds relative to the best one's.
pub(super) fn select(
    hits: &[ScoredChunk],
    candidates: &[Candidate],
    shares: &[f32],
    vectors: &[Vec<f32>],
    options: &ExtractiveOptions,
) -> Vec<Quote> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]).then(a.cmp(b)));
    let mut chosen: Vec<usize> = Vec::new();
    for at in order {
        if (!chosen.is_empty() && shares[at] < options.further_evidence)
            || chosen.len() >= options.max_sentences.max(1)
        {
            break;
        }
        let repeats = chosen.iter().any(|other| {
            let same_words =
                candidates[*other].stems == candidates[at].stems && !candidates[at].stems.is_empty();
            same_words || cosine(&vectors[*other], &vectors[at]) >= SAME
        });
        // A question of the text is no answer; with the sentence behind it, it can be.
        let is_bare_question = candidates[at].asks() && reply(candidates, at).is_none();
        if !repeats && !is_bare_question {
            chosen.push(at);
        }
    }
    // A neighbour that says more completes a sentence; one that points backwards needs the sentence before it, one that
    // announces the one after it.
    let mut needed = Vec::new();
    for at in &chosen {
        let before = before(candidates, *at)
            .filter(|before| shares[*before] >= ADJACENT || points_back(&candidates[*at].text));
        let after = after(candidates, *at)
            .filter(|after| shares[*after] >= ADJACENT || announces(&candidates[*at].text))
            .or_else(|| candidates[*at].asks().then(|| reply(candidates, *at)).flatten());
        for neighbour in before.into_iter().chain(after) {
            if !chosen.contains(&neighbour) {
                needed.push((neighbour, shares[*at]));
            }
        }
    }
    let mut quotes: Vec<Quote> = chosen
        .iter()
        .map(|at| (*at, shares[*at]))
        .chain(needed)
        .map(|(at, share)| {
            let candidate = &candidates[at];
            let end = candidate.passage.tail.unwrap_or(candidate.passage.span).end;
            Quote {
                hit: candidate.hit,
                span: Span::new(candidate.passage.span.start, end),
                share,
            }
        })
        .collect();
    quotes.sort_by_key(|quote| (quote.hit, quote.span));
    let mut joined: Vec<Quote> = Vec::new();
    for quote in quotes {
        match joined.last_mut() {
            Some(last)
                if last.hit == quote.hit && adjoins(&hits[quote.hit].chunk.text, last.span, quote.span) =>
            {
                last.span.end = last.span.end.max(quote.span.end);
                last.share = last.share.max(quote.share);
            }
            _ => joined.push(quote),
        }
    }
    joined.sort_by(|a, b| {
        b.share
            .total_cmp(&a.share)
            .then_with(|| (a.hit, a.span).cmp(&(b.hit, b.span)))
    });
    joined
}

/// The sentence before in the same paragraph, where it is a candidate.
fn before(candidates: &[Candidate], at: usize) -> Option<usize> {
    let candidate = &candidates[at];
    let before = at.checked_sub(1)?;
    let other = &candidates[before];
    let same = other.hit == candidate.hit && other.passage.block == candidate.passage.block;
    (same && other.at + 1 == candidate.at).then_some(before)
}

/// The sentence after in the same paragraph, where it is a candidate.
fn after(candidates: &[Candidate], at: usize) -> Option<usize> {
    let after = at + 1;
    (after < candidates.len() && before(candidates, after) == Some(at)).then_some(after)
}

/// The sentence that follows a question, in its paragraph or the next.
fn reply(candidates: &[Candidate], question: usize) -> Option<usize> {
    let (asked, reply) = (&candidates[question], candidates.get(question + 1)?);
    let follows = reply.hit == asked.hit && reply.at == asked.at + 1;
    (follows && !reply.asks()).then_some(question + 1)
}

fn points_back(sentence: &str) -> bool {
    if EXAMPLES.iter().any(|opening| sentence.starts_with(opening)) {
        return true;
    }
    let first = sentence
        .split(|c: char| !c.is_alphanumeric())
        .find(|word| !word.is_empty());
    first.is_some_and(|word| POINTERS.contains(&word.to_lowercase().as_str()))
}

fn announces(sentence: &str) -> bool {
    let sentence = sentence.to_lowercase();
    ANNOUNCEMENTS
        .iter()
        .any(|announcement| sentence.contains(announcement))
}

/// Whether one span continues the other: they overlap, or only white space of one paragraph lies between.
fn adjoins(text: &str, first: Span, second: Span) -> bool {
    match text.get(first.end..second.start) {
        Some(between) => between.trim().is_empty() && between.matches('\n').count() < 2,
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extractive::candidates::Candidates;
    use ragtune_core::text::{Chunk, Document, ScoreKind};

    /// What is quoted of a text whose best sentence, by far, begins so.
    fn quoted(text: &str, best: &str) -> Vec<String> {
        let hits = [ScoredChunk::new(
            Chunk::whole(&Document::new("a.md", text)),
            ScoreKind::Cosine,
            0.9,
        )];
        let candidates = Candidates::of(&hits, &std::collections::BTreeSet::new(), 30).list;
        let share = |candidate: &Candidate| f32::from(u8::from(candidate.text.starts_with(best)));
        let shares: Vec<f32> = candidates.iter().map(share).collect();
        assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-6, "one is the best");
        let axis = |at: usize| {
            (0..candidates.len())
                .map(|i| f32::from(u8::from(i == at)))
                .collect()
        };
        let vectors: Vec<Vec<f32>> = (0..candidates.len()).map(axis).collect();
        let quotes = select(
            &hits,
            &candidates,
            &shares,
            &vectors,
            &ExtractiveOptions::default(),
        );
        quotes
            .iter()
            .map(|quote| quote.span.of(text).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_sentence_comes_alone_where_it_is_whole() {
        let text = "A lock guards a value. The value is reached through a guard. Guards are dropped.";
        assert_eq!(
            quoted(text, "The value"),
            ["The value is reached through a guard."]
        );
    }

    #[test]
    fn what_points_back_brings_the_sentence_before_it() {
        let text = "A lock guards a value. It opens when the guard is dropped. Nobody waits.";
        assert_eq!(
            quoted(text, "It opens"),
            ["A lock guards a value. It opens when the guard is dropped."]
        );
    }

    #[test]
    fn a_question_of_the_text_brings_its_answer_or_is_left_out() {
        let text =
            "**Why does it hiss?** Because of limescale.\n\nIs there parking?\n\nBehind the house.\n\nWhy?";
        assert_eq!(
            quoted(text, "**Why"),
            ["**Why does it hiss?** Because of limescale."]
        );
        assert_eq!(
            quoted(text, "Is there"),
            ["Is there parking?", "Behind the house."]
        );
        assert!(!quoted(text, "Why?").contains(&"Why?".to_owned()));
    }

    #[test]
    fn what_announces_brings_the_sentence_after_it_with_its_list() {
        let text = "Rules matter. First, let’s look at the rules of ownership. Keep these in mind:\n\n\
            - Each value has an owner.\n- There is one owner.\n\nThat is all.";
        assert_eq!(
            quoted(text, "First"),
            [
                "First, let’s look at the rules of ownership. Keep these in mind:\n\n\
                - Each value has an owner.\n- There is one owner."
            ]
        );
    }
}
