//! Which questions stay: one of each, none that a measurement needs, and documents on one side only.

use std::collections::{BTreeMap, BTreeSet};

use ragtune_core::statistics::{Purpose, Random};
use ragtune_train::data::{Cleaning, Dataset, Passage};

use super::corpus::same;
use super::question::Candidate;
use super::report::{DropCause, Drops};
use super::round_trip::Found;
use crate::error::{Error, Result};

/// From which Jaccard index of runs of five characters on two texts are nearly the same.
const NEAR: f64 = 0.9;

/// Drops copies and questions with two answers.
pub(super) fn distinct(questions: Vec<Candidate>, drops: &mut Drops) -> Vec<Candidate> {
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for question in &questions {
        answers
            .entry(same(&question.text))
            .or_default()
            .insert(same(&question.positive));
    }
    let mut seen = BTreeSet::new();
    let mut kept = Vec::with_capacity(questions.len());
    for question in questions {
        let text = same(&question.text);
        let several = answers.get(&text).is_some_and(|positives| positives.len() > 1);
        if several {
            drops.add(question.kind, DropCause::Ambiguous, &question.text);
        } else if !seen.insert(text) {
            drops.add(question.kind, DropCause::Copy, &question.text);
        } else {
            kept.push(question);
        }
    }
    kept
}

/// Keeps `most` questions, chosen by the seed, in their order.
pub(super) fn limited(
    questions: Vec<Candidate>,
    most: usize,
    seed: u64,
    drops: &mut Drops,
) -> Vec<Candidate> {
    if questions.len() <= most {
        return questions;
    }
    let mut order: Vec<usize> = (0..questions.len()).collect();
    Random::of(seed, Purpose::Order, 1).shuffle(&mut order);
    let chosen: BTreeSet<usize> = order.into_iter().take(most).collect();
    let mut kept = Vec::with_capacity(most);
    for (number, question) in questions.into_iter().enumerate() {
        match chosen.contains(&number) {
            true => kept.push(question),
            false => drops.add(question.kind, DropCause::Limit, &question.text),
        }
    }
    kept
}

/// Drops what is, or nearly is, one of the questions that the caller measures by.
pub(super) fn guarded(
    questions: Vec<Candidate>,
    guard: &[String],
    drops: &mut Drops,
) -> Result<Vec<Candidate>> {
    if guard.is_empty() || questions.is_empty() {
        return Ok(questions);
    }
    let leaks = leaks(
        questions.iter().map(|question| question.text.as_str()),
        guard.iter().map(String::as_str),
    )?;
    let numbered = questions.into_iter().enumerate();
    let kept = numbered.filter_map(|(number, question)| match leaks.contains(&number) {
        true => {
            drops.add(question.kind, DropCause::Guarded, &question.text);
            None
        }
        false => Some(question),
    });
    Ok(kept.collect())
}

/// Divides questions by document, and takes out of the first part what the second nearly has.
pub(super) fn divided(
    questions: Vec<Found>,
    held_out: f64,
    seed: u64,
    drops: &mut Drops,
) -> Result<(Vec<Found>, Vec<Found>)> {
    if held_out == 0.0 {
        return Ok((questions, Vec::new()));
    }
    let documents: BTreeSet<usize> = questions.iter().map(|found| found.question.source).collect();
    let mut documents: Vec<usize> = documents.into_iter().collect();
    if documents.len() < 2 {
        return Err(Error::TooFewDocuments {
            found: documents.len(),
            needed: 2,
        });
    }
    Random::of(seed, Purpose::Split, 1).shuffle(&mut documents);
    let wanted = (documents.len() as f64 * held_out).round() as usize;
    let apart: BTreeSet<usize> = documents
        .iter()
        .take(wanted.clamp(1, documents.len() - 1))
        .copied()
        .collect();
    let (valid, train): (Vec<Found>, Vec<Found>) = questions
        .into_iter()
        .partition(|found| apart.contains(&found.question.source));
    let asked =
        |part: &[Found]| -> Vec<String> { part.iter().map(|found| found.question.text.clone()).collect() };
    let texts = |part: &[Found]| -> Vec<String> {
        part.iter().map(|found| found.question.positive.clone()).collect()
    };
    let by_question = leaks_of(&asked(&train), &asked(&valid))?;
    let by_passage = leaks_of(&texts(&train), &texts(&valid))?;
    let mut kept = Vec::with_capacity(train.len());
    for (number, found) in train.into_iter().enumerate() {
        let cause = match (by_question.contains(&number), by_passage.contains(&number)) {
            (true, _) => DropCause::HeldOutQuestion,
            (_, true) => DropCause::HeldOutPassage,
            _ => {
                kept.push(found);
                continue;
            }
        };
        drops.add(found.question.kind, cause, &found.question.text);
    }
    Ok((kept, valid))
}

fn leaks_of(train: &[String], held_out: &[String]) -> Result<BTreeSet<usize>> {
    if train.is_empty() || held_out.is_empty() {
        return Ok(BTreeSet::new());
    }
    leaks(
        train.iter().map(String::as_str),
        held_out.iter().map(String::as_str),
    )
}

/// The numbers of texts that are, or nearly are, among others.
fn leaks<'t>(
    texts: impl Iterator<Item = &'t str>,
    others: impl Iterator<Item = &'t str>,
) -> Result<BTreeSet<usize>> {
    let passage = |text: &str| Passage {
        text: text.to_owned(),
    };
    let texts: Dataset<Passage> = texts.map(passage).collect();
    let others: Dataset<Passage> = others.map(passage).collect();
    let report = Cleaning::none()
        .with_near_duplicates(NEAR)
        .find_against(&texts, &others)?;
    Ok(report.removed.iter().map(|removed| removed.index).collect())
}

#[cfg(test)]
mod tests {
    use ragtune_core::text::Span;

    use super::super::question::QuestionKind;
    use super::*;

    fn question(text: &str, positive: &str, source: usize) -> Candidate {
        Candidate {
            kind: QuestionKind::Cloze,
            text: text.into(),
            source,
            place: Span::new(0, 1),
            positive: positive.into(),
            taken: None,
            answer: None,
        }
    }

    #[test]
    fn one_of_each_stays_and_what_has_two_answers_goes() {
        let questions = vec![
            question("How hot?", "80 degrees", 0),
            question("how  hot?", "80 Degrees", 1),
            question("Who?", "Ann", 0),
            question("who?", "Bob", 2),
        ];
        let mut drops = Drops::default();
        let kept = distinct(questions, &mut drops);
        assert_eq!(kept.len(), 1);
        assert_eq!(
            (drops.count(DropCause::Copy), drops.count(DropCause::Ambiguous)),
            (1, 2)
        );
    }

    #[test]
    fn documents_stand_on_one_side_and_copies_of_held_out_text_go() {
        let found = |number: usize, positive: &str| Found {
            question: question(&format!("question number {number} of its kind"), positive, number),
            hits: Vec::new(),
        };
        let same = "the very same long text that stands in several documents of the base";
        let all: Vec<Found> = (0..10).map(|number| found(number, same)).collect();
        let mut drops = Drops::default();
        let (train, held_out) = divided(all.clone(), 0.2, 7, &mut drops).unwrap();
        assert!(train.is_empty(), "every passage is one of a held-out document");
        assert_eq!(held_out.len(), 2);
        let distinct: Vec<Found> = (0..10)
            .map(|number| found(number, &format!("{number}{number} {number}")))
            .collect();
        let sides = |seed| {
            let (train, held_out) = divided(distinct.clone(), 0.3, seed, &mut Drops::default()).unwrap();
            let ids = |part: &[Found]| {
                part.iter()
                    .map(|found| found.question.source)
                    .collect::<BTreeSet<_>>()
            };
            assert!(ids(&train).is_disjoint(&ids(&held_out)));
            (train.len(), ids(&held_out))
        };
        assert_eq!(sides(1), sides(1));
        assert!((2..20).any(|seed| sides(seed) != sides(1)));
        assert!(matches!(
            divided(all[..1].to_vec(), 0.2, 1, &mut drops),
            Err(Error::TooFewDocuments { found: 1, needed: 2 })
        ));
    }

    #[test]
    fn questions_for_measuring_are_not_learned() {
        let mut drops = Drops::default();
        let questions = vec![
            question("How hot is green tea steeped?", "a", 0),
            question("Who grows tea?", "b", 0),
        ];
        let guard = ["how hot is  green tea steeped?".to_owned()];
        let kept = guarded(questions, &guard, &mut drops).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(drops.count(DropCause::Guarded), 1);
    }
}
