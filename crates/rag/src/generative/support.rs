//! Which sentences of a source carry a sentence of the answer.

use std::collections::BTreeSet;

use ragtune_core::text::{Chunk, Span};

use crate::passages::passages;
use crate::words::{self, Rarity};

/// Sentences in a row that are cited at most; a wider support is the whole passage.
const MAX_SENTENCES: usize = 3;

/// What another sentence must add to the share of the answer's words to be worth citing.
const GAIN: f32 = 0.15;

/// The least share of the answer's words, by weight, at which sentences are cited instead of the whole passage.
const MIN_COVERAGE: f32 = 0.3;

/// The bytes of the stored document that carry a sentence of the answer: the run of sentences of the passage that
/// has most of its content words, with the code or list that it introduces; the whole passage where none has enough.
pub(super) fn span(chunk: &Chunk, claim: &str) -> Span {
    let passages = passages(&chunk.text);
    let part = |at: usize| {
        let end = passages[at].tail.unwrap_or(passages[at].span).end;
        Span::new(passages[at].span.start, end)
    };
    let stems: Vec<BTreeSet<String>> = (0..passages.len())
        .map(|at| words::content_set(part(at).of(&chunk.text).unwrap_or_default()))
        .collect();
    let wanted = words::content_set(claim);
    let rarity = Rarity::of(&stems);

    let mut best: Option<(f32, usize, usize)> = None;
    for first in 0..passages.len() {
        let mut together = BTreeSet::new();
        for (last, stems) in stems.iter().enumerate().skip(first).take(MAX_SENTENCES) {
            together.extend(stems.iter().cloned());
            let value = rarity.coverage(&wanted, &together) - GAIN * (last - first) as f32;
            if best.is_none_or(|(most, ..)| value > most) {
                best = Some((value, first, last));
            }
        }
    }
    match best {
        Some((value, first, last)) if value >= MIN_COVERAGE => {
            Span::new(part(first).start, part(last).end).shifted(chunk.span.start)
        }
        _ => chunk.span,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ragtune_core::text::Document;

    const TEXT: &str = "Tea is old. Green tea is steeped at 80 degrees. Black tea takes boiling water.";

    fn cited(claim: &str) -> String {
        let mut chunk = Chunk::whole(&Document::new("tea", TEXT));
        chunk.span = chunk.span.shifted(100);
        let span = span(&chunk, claim);
        TEXT[span.start - 100..span.end - 100].to_owned()
    }

    #[test]
    fn the_sentence_that_says_it() {
        assert_eq!(
            cited("Steep green tea at 80 degrees"),
            "Green tea is steeped at 80 degrees."
        );
    }

    #[test]
    fn two_sentences_where_both_are_needed() {
        assert_eq!(
            cited("Green tea needs 80 degrees, black tea boiling water"),
            "Green tea is steeped at 80 degrees. Black tea takes boiling water."
        );
    }

    #[test]
    fn the_whole_passage_where_no_sentence_says_it() {
        assert_eq!(cited("Coffee wakes people up quickly"), TEXT);
        assert_eq!(cited(""), TEXT);
    }
}
