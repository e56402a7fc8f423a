//! Faults of the labels.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::Fault;
use super::finding::Diagnosis;
use super::inputs::{Entry, Inputs};

/// How many times more frequent than the rarest the most frequent label may be. At 20, a model that never predicts the
/// rare one of two is right 95 times of 100.
const MAX_RATIO: usize = 20;

/// Labels that a detail names.
const NAMED: usize = 8;

pub(super) fn examine(inputs: &Inputs<'_>, diagnosis: &mut Diagnosis) {
    let sets = [&inputs.train, &inputs.validation, &inputs.test];
    let entries = || sets.iter().filter_map(|set| set.as_deref()).flatten();
    if entries().all(|entry| entry.labels.is_empty()) {
        return;
    }
    if let Some(head) = inputs.head {
        diagnosis.looks_for(&[Fault::LabelOutsideHead]);
        let head: BTreeSet<&str> = head.iter().map(String::as_str).collect();
        let outside = |entry: &&Entry<'_>| entry.labels.iter().any(|label| !head.contains(label));
        let unknown: BTreeSet<&str> = entries().flat_map(|e| e.labels.iter().copied()).collect();
        let unknown: Vec<&str> = unknown.difference(&head).copied().collect();
        let found = entries().filter(outside).map(|entry| entry.origin);
        diagnosis.add(Fault::LabelOutsideHead, found, named(&unknown));
    }
    odd_tags(entries(), diagnosis);
    let Some(train) = inputs.train.as_deref().filter(|train| !train.is_empty()) else {
        return;
    };
    let counts = count(train);
    balance(train, &counts, diagnosis);
    unseen(inputs, &counts, diagnosis);
}

/// Are there tags of no entity among tags of entities?
fn odd_tags<'e, 'a: 'e>(entries: impl Iterator<Item = &'e Entry<'a>> + Clone, diagnosis: &mut Diagnosis) {
    let Some(background) = entries.clone().find_map(|entry| entry.background) else {
        return;
    };
    diagnosis.looks_for(&[Fault::OddTag]);
    let tags: BTreeSet<&str> = entries
        .clone()
        .flat_map(|entry| entry.labels.iter().copied())
        .collect();
    if !tags.iter().any(|tag| is_of_entity(tag)) {
        return;
    }
    let odd: Vec<&str> = tags
        .into_iter()
        .filter(|tag| *tag != background && !tag.trim().is_empty() && !is_of_entity(tag))
        .collect();
    let found = entries.filter(|entry| entry.labels.iter().any(|label| odd.contains(label)));
    diagnosis.add(Fault::OddTag, found.map(|entry| entry.origin), named(&odd));
}

/// Whether a tag is a letter of a scheme (BIO, BIOES, BILOU), a hyphen, and a kind.
fn is_of_entity(tag: &str) -> bool {
    let parts = tag.split_once('-');
    parts.is_some_and(|(letter, kind)| {
        matches!(letter, "B" | "I" | "E" | "S" | "L" | "U" | "M") && !kind.trim().is_empty()
    })
}

/// Is there more than one label, and enough of each?
fn balance(train: &[Entry<'_>], counts: &BTreeMap<&str, usize>, diagnosis: &mut Diagnosis) {
    diagnosis.looks_for(&[Fault::OneLabel, Fault::ImbalancedLabels]);
    let multi = train.iter().any(|entry| entry.labels.len() != 1);
    let all = counts.len();
    if all == 1 && !multi {
        let label: Vec<&str> = counts.keys().copied().collect();
        diagnosis.add_count(Fault::OneLabel, train.len(), named(&label));
    }
    let background = train.iter().find_map(|entry| entry.background);
    let real = || counts.iter().filter(|(label, _)| Some(**label) != background);
    let most = real().map(|(label, count)| (*count, *label)).max();
    let Some((most, frequent)) = most else {
        return;
    };
    let rare: Vec<&str> = real()
        .filter(|(_, count)| **count * MAX_RATIO <= most)
        .map(|(label, _)| *label)
        .collect();
    let detail = format!(
        "{frequent} has {most} examples, {} at most {}",
        named(&rare),
        most / MAX_RATIO
    );
    diagnosis.add_count(Fault::ImbalancedLabels, rare.len(), detail);
}

/// Which labels does one set have and the other not?
fn unseen(inputs: &Inputs<'_>, train: &BTreeMap<&str, usize>, diagnosis: &mut Diagnosis) {
    diagnosis.looks_for(&[Fault::LabelUnseenInTraining]);
    let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
    for label in inputs.head.into_iter().flatten() {
        wanted.insert(label, "of the head");
    }
    for (set, name) in [
        (&inputs.test, "of the test set"),
        (&inputs.validation, "of the validation set"),
    ] {
        for label in set.iter().flatten().flat_map(|entry| &entry.labels) {
            wanted.insert(label, name);
        }
    }
    let missing: Vec<String> = wanted
        .iter()
        .filter(|(label, _)| !train.contains_key(*label))
        .map(|(label, home)| format!("{label} {home}"))
        .collect();
    let names: Vec<&str> = missing.iter().map(String::as_str).collect();
    diagnosis.add_count(Fault::LabelUnseenInTraining, missing.len(), named(&names));

    if let Some(validation) = inputs.validation.as_deref() {
        diagnosis.looks_for(&[Fault::LabelUnseenInValidation]);
        let seen = count(validation);
        let missing: Vec<&str> = train
            .keys()
            .copied()
            .filter(|label| !seen.contains_key(label))
            .collect();
        diagnosis.add_count(Fault::LabelUnseenInValidation, missing.len(), named(&missing));
    }
}

fn count<'e>(entries: &'e [Entry<'_>]) -> BTreeMap<&'e str, usize> {
    let mut counts = BTreeMap::new();
    for label in entries.iter().flat_map(|entry| &entry.labels) {
        *counts.entry(*label).or_default() += 1;
    }
    counts
}

/// The first of some labels, and how many more there are.
fn named(labels: &[&str]) -> String {
    let first = labels.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match labels.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
