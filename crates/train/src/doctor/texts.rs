//! Faults of the records: missing, doubled, contradicting, shared between sets.

use std::collections::HashMap;

use super::fault::Fault;
use super::finding::Diagnosis;
use super::inputs::{Entry, Inputs};
use crate::data::Origin;

/// Fewer examples than this leave a share of a half unsure by more than 14 points, 1.96 times sqrt(.25 / n).
const MIN_EVALUATION: usize = 50;

/// 16 bytes of a hash stand for a text: two texts of 10^9 have the same with a probability below 10^-20.
type Key = [u8; 16];

pub(super) fn examine(inputs: &Inputs<'_>, diagnosis: &mut Diagnosis) {
    let sets = [
        ("training", &inputs.train),
        ("validation", &inputs.validation),
        ("test", &inputs.test),
    ];
    let given: Vec<(&str, &[Entry<'_>])> = sets
        .iter()
        .filter_map(|(name, set)| set.as_deref().map(|set| (*name, set)))
        .collect();
    if given.is_empty() {
        return;
    }
    diagnosis.looks_for(&[Fault::NoExamples, Fault::EmptyField, Fault::DamagedText]);
    diagnosis.looks_for(&inputs.own_faults);
    for (name, set) in &given {
        let detail = format!("the {name} set is empty");
        diagnosis.add_count(Fault::NoExamples, usize::from(set.is_empty()), detail);
    }
    let all = || given.iter().flat_map(|(_, set)| set.iter());
    missing(all(), diagnosis);
    let damaged = all().filter(|entry| entry.input.contains('\u{fffd}') || entry.output.contains('\u{fffd}'));
    diagnosis.add(Fault::DamagedText, damaged.map(|entry| entry.origin), "");
    for fault in Fault::ALL {
        let found = all().filter(|entry| entry.faults.contains(&fault));
        diagnosis.add(fault, found.map(|entry| entry.origin), "");
    }
    if let Some(train) = inputs.train.as_deref() {
        repeated(train, diagnosis);
        evaluation(inputs, diagnosis);
    }
    leaked(&given, diagnosis);
}

fn missing<'e, 'a: 'e>(entries: impl Iterator<Item = &'e Entry<'a>>, diagnosis: &mut Diagnosis) {
    let found: Vec<&Entry<'_>> = entries.filter(|entry| entry.missing.is_some()).collect();
    let mut fields: Vec<&str> = found.iter().filter_map(|entry| entry.missing).collect();
    fields.sort_unstable();
    fields.dedup();
    let detail = fields.join(", ");
    diagnosis.add(Fault::EmptyField, found.iter().map(|entry| entry.origin), detail);
}

/// Duplicates and contradictions within the training set.
fn repeated(train: &[Entry<'_>], diagnosis: &mut Diagnosis) {
    diagnosis.looks_for(&[Fault::Duplicate]);
    let mut inputs: HashMap<Key, (Key, &Origin)> = HashMap::new();
    let mut whole: HashMap<(Key, Key), &Origin> = HashMap::new();
    let (mut doubled, mut conflicting) = (Vec::new(), Vec::new());
    let (mut first_doubled, mut first_conflicting) = (None, None);
    for entry in train.iter().filter(|entry| entry.missing.is_none()) {
        let (input, output) = (key(&entry.input), key(&entry.output));
        if let Some(before) = whole.get(&(input, output)) {
            first_doubled.get_or_insert((*before).clone());
            doubled.push(entry.origin);
            continue;
        }
        whole.insert((input, output), entry.origin);
        let (known, before) = *inputs.entry(input).or_insert((output, entry.origin));
        if entry.single_valued && known != output {
            first_conflicting.get_or_insert((*before).clone());
            conflicting.push(entry.origin);
        }
    }
    if train.iter().any(|entry| entry.single_valued) {
        diagnosis.looks_for(&[Fault::Conflict]);
    }
    let detail = |first: Option<Origin>, what: &str| {
        first.map_or_else(String::new, |origin| format!("the first {what} {origin}"))
    };
    diagnosis.add(Fault::Duplicate, doubled, detail(first_doubled, "is the same as"));
    diagnosis.add(
        Fault::Conflict,
        conflicting,
        detail(first_conflicting, "contradicts"),
    );
}

/// Is there enough to measure with?
fn evaluation(inputs: &Inputs<'_>, diagnosis: &mut Diagnosis) {
    diagnosis.looks_for(&[Fault::EvaluationMissing, Fault::EvaluationTooSmall]);
    if inputs.validation.is_none() {
        diagnosis.add_count(Fault::EvaluationMissing, 1, "");
    }
    for (name, set) in [("validation", &inputs.validation), ("test", &inputs.test)] {
        let count = set.as_ref().map_or(0, Vec::len);
        if (1..MIN_EVALUATION).contains(&count) {
            let unsure = 100.0 * 1.96 * (0.25 / count as f64).sqrt();
            let detail =
                format!("{count} examples for {name}; a share of a half is unsure by {unsure:.0} points");
            diagnosis.add_count(Fault::EvaluationTooSmall, count, detail);
        }
    }
}

/// Inputs that are in more than one set.
fn leaked(given: &[(&str, &[Entry<'_>])], diagnosis: &mut Diagnosis) {
    if given.len() < 2 {
        return;
    }
    diagnosis.looks_for(&[Fault::Leakage]);
    let mut seen: HashMap<Key, (&str, &Origin)> = HashMap::new();
    let mut found = Vec::new();
    let mut first = None;
    for (name, set) in given {
        for entry in set.iter().filter(|entry| entry.missing.is_none()) {
            let (home, origin) = *seen.entry(key(&entry.input)).or_insert((name, entry.origin));
            if home != *name {
                first.get_or_insert_with(|| format!("the first is in the {home} set too, {origin}"));
                found.push(entry.origin);
            }
        }
    }
    diagnosis.add(Fault::Leakage, found, first.unwrap_or_default());
}

/// A text without what does not tell examples apart: how words are spaced.
fn key(text: &str) -> Key {
    let mut hasher = blake3::Hasher::new();
    for word in text.split_whitespace() {
        hasher.update(word.as_bytes());
        hasher.update(b" ");
    }
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}
