//! Faults between tokenizer, template and model.

use std::collections::BTreeSet;

use super::fault::Fault;
use super::finding::Diagnosis;
use super::inputs::{Inputs, Vocabulary};
use crate::data::Origin;

/// More rows of an embedding than tokens, as a share and a number: embeddings are rounded up to round numbers of rows, by
/// 2 % and 2,400 rows in the widest published case, and two tokenizers differ by more.
const SPARE_SHARE: f64 = 0.05;
const SPARE_ROWS: usize = 4096;

/// The share of unknown tokens above which much of the text is lost.
const UNKNOWN_SHARE: f64 = 0.01;

/// Markers and ids that a detail names.
const NAMED: usize = 6;

pub(super) fn examine(inputs: &Inputs<'_>, diagnosis: &mut Diagnosis) {
    if let Some(markers) = &inputs.markers {
        diagnosis.looks_for(&[Fault::ForeignTemplate]);
        let foreign: Vec<String> = markers
            .iter()
            .filter(|marker| marker.tokens != 1)
            .map(|marker| format!("{} is {} tokens", marker.text, marker.tokens))
            .collect();
        let named = foreign.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        diagnosis.add_count(Fault::ForeignTemplate, foreign.len(), named);
    }
    let Some(vocabulary) = &inputs.vocabulary else {
        return;
    };
    embedding(inputs, vocabulary, diagnosis);
    // What goes on with a record that was cut begins in the middle of it.
    let mut seen = BTreeSet::new();
    let begins: Vec<bool> = inputs
        .tokens
        .iter()
        .map(|(_, source)| seen.insert(*source))
        .collect();
    let mut look = |fault, holds: &dyn Fn(&[u32], bool) -> bool, what: String| {
        diagnosis.looks_for(&[fault]);
        let found = inputs.tokens.iter().zip(&begins);
        let found = found.filter(|((ids, _), begins)| holds(ids, **begins));
        // A record that was cut is named once.
        let sources: BTreeSet<usize> = found.map(|((_, source), _)| *source).collect();
        let origins: Vec<Origin> = sources.iter().map(|source| inputs.origin(*source)).collect();
        diagnosis.add(fault, &origins, what);
    };
    if let Some(start) = vocabulary.start {
        let doubled = |ids: &[u32], _| ids.windows(2).any(|pair| pair == [start, start]);
        look(Fault::DoubledStart, &doubled, format!("token {start}"));
        if vocabulary.start_expected {
            let missing = |ids: &[u32], begins| begins && ids.first().is_some_and(|first| *first != start);
            look(Fault::MissingStart, &missing, format!("token {start}"));
        }
    }
    if let Some(context) = vocabulary.context {
        let longest = inputs.tokens.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let what = format!("up to {longest} tokens where the model reads {context}");
        look(Fault::LongerThanContext, &|ids, _| ids.len() > context, what);
    }
    if let Some(unknown) = vocabulary.unknown {
        unknown_tokens(inputs, unknown, diagnosis);
    }
}

/// Do tokenizer and embedding fit?
fn embedding(inputs: &Inputs<'_>, vocabulary: &Vocabulary, diagnosis: &mut Diagnosis) {
    diagnosis.looks_for(&[Fault::TokenOutsideEmbedding, Fault::ForeignEmbedding]);
    let rows = vocabulary.embedding_rows;
    let size = vocabulary.last_id as usize + 1;
    let outside: BTreeSet<u32> = inputs
        .tokens
        .iter()
        .flat_map(|(ids, _)| ids.iter().copied())
        .filter(|id| *id as usize >= rows)
        .collect();
    if size > rows {
        let detail = format!("{size} tokens, {rows} rows; {} of them are used", outside.len());
        diagnosis.add_count(Fault::TokenOutsideEmbedding, size - rows, detail);
    } else if !outside.is_empty() {
        let ids: Vec<String> = outside.iter().take(NAMED).map(u32::to_string).collect();
        let detail = format!("ids {} with {rows} rows", ids.join(", "));
        diagnosis.add_count(Fault::TokenOutsideEmbedding, outside.len(), detail);
    }
    let spare = rows.saturating_sub(size);
    if spare > SPARE_ROWS && spare as f64 > SPARE_SHARE * rows as f64 {
        let detail = format!("{rows} rows, {size} tokens");
        diagnosis.add_count(Fault::ForeignEmbedding, spare, detail);
    }
}

fn unknown_tokens(inputs: &Inputs<'_>, unknown: u32, diagnosis: &mut Diagnosis) {
    diagnosis.looks_for(&[Fault::UnknownTokens]);
    let mut origins = Vec::new();
    let (mut all, mut found) = (0, 0);
    for (ids, source) in &inputs.tokens {
        let count = ids.iter().filter(|id| **id == unknown).count();
        all += ids.len();
        found += count;
        if count > 0 {
            origins.push(inputs.origin(*source));
        }
    }
    let share = found as f64 / all.max(1) as f64;
    if share > UNKNOWN_SHARE {
        let detail = format!("{:.1} % of {all} tokens", 100.0 * share);
        diagnosis.add(Fault::UnknownTokens, &origins, detail);
    }
}
