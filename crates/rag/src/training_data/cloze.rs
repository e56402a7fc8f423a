//! Sentences taken out of their paragraphs: what stands around one is what is to be found.

use ragtune_core::statistics::{Purpose, Random};
use ragtune_core::text::Span;

use super::corpus::{Source, clipped, is_prose, squeezed};
use super::definitions::block;
use super::question::{Candidate, QuestionKind};
use crate::passages::passages;

/// A paragraph of fewer sentences is too little without one of them.
const MIN_SENTENCES: usize = 3;
/// Bytes of a sentence that says something, and of one that says too much.
const SENTENCE_BYTES: std::ops::RangeInclusive<usize> = 31..=400;
/// Share of the paragraphs that keep their sentence, so that words in common go on to count (Lee, Chang and Toutanova
/// 2019, arXiv:1906.00300, section 4).
const KEPT: f64 = 0.1;
/// Bytes of the paragraph that are taken at most.
const MAX_TEXT_BYTES: usize = 2_000;

/// A question for each paragraph of a document that has one to give.
pub(super) fn questions(at: usize, source: &Source, seed: u64) -> Vec<Candidate> {
    let sentences = passages(&source.text);
    // The document's name decides, so that other documents of the base change nothing here.
    let mut random = Random::of(seed, Purpose::Mining, name_part(&source.id));
    let mut found = Vec::new();
    for own in sentences.chunk_by(|a, b| a.block == b.block) {
        if own.len() < MIN_SENTENCES {
            continue;
        }
        let (draw, keep) = (random.next_f64(), random.next_f64() < KEPT);
        let fits = |span: &Span| {
            let text = span.of(&source.text).unwrap_or_default();
            SENTENCE_BYTES.contains(&text.len()) && is_prose(text)
        };
        let fitting: Vec<Span> = own.iter().map(|sentence| sentence.span).filter(fits).collect();
        let Some(&taken) = fitting.get((draw * fitting.len() as f64) as usize) else {
            continue;
        };
        let whole = block(own, own[0].block);
        let around = |span: Span| span.of(&source.text).unwrap_or_default().trim();
        let before = around(Span::new(whole.start, taken.start));
        let behind = around(Span::new(taken.end, whole.end));
        let text = match keep {
            true => around(whole).to_owned(),
            false => format!("{before} {behind}").trim().to_owned(),
        };
        found.push(Candidate {
            kind: QuestionKind::Cloze,
            text: squeezed(around(taken)),
            source: at,
            place: whole,
            positive: source.titled(clipped(&text, MAX_TEXT_BYTES)),
            taken: Some(taken),
            answer: None,
        });
    }
    found
}

/// A number of a name that is the same on every machine: FNV-1a, 64 bits (Fowler, Noll and Vo).
pub(super) fn name_part(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source {
            id: "tea.md".into(),
            title: Some("Tea".into()),
            is_markdown: true,
            text: text.into(),
            chunks: Vec::new(),
        }
    }

    #[test]
    fn a_sentence_asks_for_what_stands_around_it() {
        let text =
            "Green tea is steeped at 80 degrees for a minute. It is then poured into small cups at once. \
                    The leaves may be used a second and a third time.\n\nToo short. Really."
                .to_owned();
        let source = source(&text);
        for seed in 0..20 {
            let found = questions(0, &source, seed);
            assert_eq!(found.len(), 1);
            let (question, positive) = (&found[0].text, &found[0].positive);
            assert!(positive.starts_with("Tea\n"));
            assert_eq!(found[0].taken.unwrap().of(&text), Some(question.as_str()));
            let others = text.split("\n\n").next().unwrap().replace(question.as_str(), "");
            assert!(positive.contains(question.as_str()) || others.contains(positive[4..14].trim()));
        }
        let again = |seed| questions(0, &source, seed)[0].text.clone();
        assert_eq!(again(3), again(3));
        assert!((0..20).any(|seed| again(seed) != again(0)));
    }

    #[test]
    fn code_gives_no_question() {
        let text = "let a = 1; let b = [2].\nlet c = {3}; let d = (4).\nlet e = <5>; f[6].";
        assert!(questions(0, &source(text), 1).is_empty());
    }
}
