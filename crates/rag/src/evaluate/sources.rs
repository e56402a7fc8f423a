//! Whether the right documents were found, and cited.

use std::collections::BTreeSet;

use ragtune_retrieve::measure::{Judgements, Measure};

use super::measure::name;
use super::record::{Record, SourceRecord};

/// Measures the ranking of the documents and what was cited of them, where the right ones are known. A question that was
/// not answered cites nothing; one on which the system broke has found nothing.
pub(super) fn measure(record: &mut Record, measures: &[Measure], looks_up: bool) {
    validity(record);
    if record.gold_sources.is_empty() || !record.answerable || !looks_up {
        return;
    }
    let gold: BTreeSet<String> = record.gold_sources.iter().cloned().collect();
    let grade = |source: &String| record.gold_grades.get(source).copied().unwrap_or(1);
    let judgements: Judgements = gold
        .iter()
        .map(|source| (source.clone(), grade(source)))
        .collect();
    let ranking = ranking(record.sources.as_deref().unwrap_or_default(), &gold);
    // The order counts, not the scores, which may be of several kinds.
    let scored: Vec<(String, f32)> = ranking
        .iter()
        .enumerate()
        .map(|(rank, document)| (document.clone(), -(rank as f32)))
        .collect();
    for measure in measures {
        record.set(measure.to_string(), measure.of(scored.clone(), &judgements));
    }
    let right = record
        .citations
        .iter()
        .filter(|citation| citation.is_gold)
        .count();
    if !record.citations.is_empty() {
        record.set(
            name::CITATION_PRECISION,
            right as f64 / record.citations.len() as f64,
        );
    }
    let sources = record.sources.as_deref().unwrap_or_default();
    let cited: BTreeSet<&str> = record
        .citations
        .iter()
        .filter_map(|citation| sources.get(citation.source.checked_sub(1)?))
        .filter_map(|source| gold_name(source, &gold))
        .collect();
    let recall = cited.len() as f64 / gold.len() as f64;
    record.set(name::CITATION_RECALL, recall);
}

/// The share of citations that were true to the stored text.
fn validity(record: &mut Record) {
    let all = record.citations.len() + record.rejected_citations;
    if all > 0 {
        record.set(name::CITATION_VALID, record.citations.len() as f64 / all as f64);
    }
}

/// The distinct documents in the order of their best passages; a right one under the name by which it is known as right.
fn ranking(sources: &[SourceRecord], gold: &BTreeSet<String>) -> Vec<String> {
    let mut ranking: Vec<String> = Vec::new();
    for source in sources {
        let name = gold_name(source, gold).unwrap_or(&source.document_id);
        if !ranking.iter().any(|ranked| ranked == name) {
            ranking.push(name.to_owned());
        }
    }
    ranking
}

fn gold_name<'g>(source: &SourceRecord, gold: &'g BTreeSet<String>) -> Option<&'g str> {
    [&source.document_id, &source.path, &source.chunk_id]
        .into_iter()
        .find_map(|name| gold.get(name.as_str()))
        .map(String::as_str)
}
