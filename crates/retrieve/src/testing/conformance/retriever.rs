//! Retrievers against the documents that they were built from.

use std::collections::{BTreeMap, BTreeSet};

use ragtune_core::text::{Document, Filter, Query, ScoreKind, ScoredChunk, Threshold, Value};

use crate::error::Error;
use crate::retriever::Retriever;

/// Checks a retriever that was built from these documents, by these questions: order, ties, number, conditions,
/// access, threshold, spans, repeatability.
///
/// A condition or threshold that the retriever refuses with [`Error::Unsupported`] is no violation; one that it
/// ignores is. A list that is fused of several may hold fewer hits under a threshold than without.
pub fn retriever(retriever: &dyn Retriever, documents: &[Document], questions: &[&str]) -> Vec<String> {
    let by_id: BTreeMap<&str, &Document> = documents.iter().map(|d| (d.id.as_str(), d)).collect();
    let mut violations = Vec::new();
    for question in questions {
        let query = Query::new(*question).with_top_k(5);
        let hits = match retriever.retrieve(&query) {
            Ok(hits) => hits,
            Err(error) => {
                violations.push(format!("{question:?} failed: {error}"));
                continue;
            }
        };
        check_hits(retriever, &hits, &query, &by_id, question, &mut violations);
        match retriever.retrieve(&query) {
            Ok(again) if again == hits => {}
            Ok(_) => violations.push(format!("{question:?} gives other hits the second time")),
            Err(error) => violations.push(format!("{question:?} failed the second time: {error}")),
        }
        match retriever.retrieve(&query.clone().with_top_k(0)) {
            Ok(none) if none.is_empty() => {}
            other => violations.push(format!("{question:?} with top_k 0 gave {other:?}")),
        }
        match retriever.retrieve(&query.clone().with_top_k(1)) {
            Ok(one) if one.len() <= 1 => {
                if one.first().map(|hit| &hit.chunk.id) != hits.first().map(|hit| &hit.chunk.id) {
                    violations.push(format!("{question:?}: the best of one is not the best of five"));
                }
            }
            other => violations.push(format!("{question:?} with top_k 1 gave {other:?}")),
        }
        for filter in conditions(documents) {
            for query in [
                query.clone().with_filter(filter.clone()),
                query.clone().with_access(filter.clone()),
            ] {
                check_condition(retriever, &query, &by_id, question, &mut violations);
            }
        }
        check_threshold(retriever, &query, &hits, question, &mut violations);
    }
    violations
}

/// Conditions that the documents' own metadata suggest: some hold for some, some for none.
fn conditions(documents: &[Document]) -> Vec<Filter> {
    let mut values: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for document in documents {
        for (name, value) in &document.metadata {
            let known = values.entry(name).or_default();
            if known.len() < 3 && !known.contains(&value) {
                known.push(value);
            }
        }
    }
    let mut conditions = vec![
        Filter::eq("no such name", 1),
        Filter::Or(vec![]),
        Filter::And(vec![]),
        Filter::eq("no such name", 1).not(),
    ];
    for (name, values) in values {
        for value in &values {
            let filter = Filter::eq(name, (*value).clone());
            conditions.push(filter.clone());
            conditions.push(filter.not());
            conditions.push(Filter::at_least(name, (*value).clone()));
            if let Some(start) = value.as_text().and_then(|text| text.chars().next()) {
                conditions.push(Filter::prefix(name, start.to_string()));
            }
        }
        conditions.push(Filter::any_of(name, values.into_iter().cloned()));
    }
    conditions
}

fn check_condition(
    retriever: &dyn Retriever,
    query: &Query,
    documents: &BTreeMap<&str, &Document>,
    question: &str,
    violations: &mut Vec<String>,
) {
    let Some(condition) = query.condition() else {
        return;
    };
    let hits = match retriever.retrieve(query) {
        Ok(hits) => hits,
        Err(Error::Unsupported { .. }) => return,
        Err(error) => {
            return violations.push(format!("{question:?} under {condition:?} failed: {error}"));
        }
    };
    let case = format!("{question:?} under {condition:?}");
    check_hits(retriever, &hits, query, documents, &case, violations);
    for hit in &hits {
        let document = documents.get(hit.chunk.document_id.as_str());
        if document.is_some_and(|document| !condition.matches(&document.metadata)) {
            violations.push(format!("{case}: {:?} does not meet it", hit.chunk.document_id));
        }
    }
    // A condition limits what is looked through, not what was found: fewer documents make room for others.
    let mut everything = query.clone().with_top_k(usize::MAX / 2);
    (everything.filter, everything.access) = (None, None);
    if let Ok(all) = retriever.retrieve(&everything) {
        let meets = |hit: &&ScoredChunk| {
            let document = documents.get(hit.chunk.document_id.as_str());
            document.is_some_and(|document| condition.matches(&document.metadata))
        };
        let expected = all.iter().filter(meets).count().min(query.top_k);
        if hits.len() < expected {
            violations.push(format!(
                "{case}: {} hits where at least {expected} meet it",
                hits.len()
            ));
        }
    }
}

fn check_threshold(
    retriever: &dyn Retriever,
    query: &Query,
    hits: &[ScoredChunk],
    question: &str,
    violations: &mut Vec<String>,
) {
    let kinds: BTreeSet<&ScoreKind> = hits.iter().flat_map(|hit| hit.scores.keys()).collect();
    for kind in kinds.into_iter().filter(|kind| !kind.is_relative()) {
        let scores = || hits.iter().filter_map(|hit| hit.scores.get(kind));
        let Some(min) = scores().copied().reduce(f32::max) else {
            continue;
        };
        let Ok(threshold) = Threshold::new(kind.clone(), min) else {
            continue;
        };
        match retriever.retrieve(&query.clone().with_threshold(threshold.clone())) {
            Ok(passed) => {
                for hit in &passed {
                    if threshold.passes(&hit.scores) != Some(true) {
                        let scores = &hit.scores;
                        violations.push(format!(
                            "{question:?}: {scores:?} passed a threshold of {min} on {kind}"
                        ));
                    }
                }
                let expected = scores().filter(|score| **score >= min).count();
                if passed.len() < expected {
                    violations.push(format!(
                        "{question:?}: a threshold of {min} on {kind} left {} hits of {expected}",
                        passed.len()
                    ));
                }
            }
            Err(Error::Unsupported { .. }) => {}
            Err(error) => violations.push(format!("{question:?} with a threshold on {kind} failed: {error}")),
        }
    }
    let foreign = Threshold::new(ScoreKind::Custom("a kind that nobody has".to_owned()), 0.0);
    if let Ok(threshold) = foreign
        && let Ok(passed) = retriever.retrieve(&query.clone().with_threshold(threshold))
        && !passed.is_empty()
    {
        violations.push(format!(
            "{question:?}: a threshold on a kind that no hit has was ignored"
        ));
    }
}

fn check_hits(
    retriever: &dyn Retriever,
    hits: &[ScoredChunk],
    query: &Query,
    documents: &BTreeMap<&str, &Document>,
    case: &str,
    violations: &mut Vec<String>,
) {
    if hits.len() > query.top_k {
        violations.push(format!(
            "{case}: {} hits where {} were wanted",
            hits.len(),
            query.top_k
        ));
    }
    let ids: BTreeSet<&str> = hits.iter().map(|hit| hit.chunk.id.as_str()).collect();
    if ids.len() != hits.len() {
        violations.push(format!("{case}: a chunk is there twice"));
    }
    let mut sorted = hits.to_vec();
    ScoredChunk::sort(&mut sorted);
    if sorted != hits {
        violations.push(format!(
            "{case}: hits are not in the order of their scores and, in ties, of their ids"
        ));
    }
    for hit in hits {
        let chunk = &hit.chunk;
        if !hit.scores.contains_key(&hit.ranked_by) || hit.scores.values().any(|score| score.is_nan()) {
            violations.push(format!(
                "{case}: {:?} is ranked by {}, which is missing or NaN",
                chunk.id, hit.ranked_by
            ));
        }
        let Some(document) = documents.get(chunk.document_id.as_str()) else {
            violations.push(format!("{case}: no document has the id {:?}", chunk.document_id));
            continue;
        };
        if chunk.span.of(&document.text) != Some(&chunk.text) {
            violations.push(format!(
                "{case}: the text of {:?} is not what {} covers",
                chunk.id, chunk.span
            ));
        }
        match retriever.stored_text(&chunk.document_id, chunk.span) {
            Ok(Some(text)) if text != chunk.text => {
                violations.push(format!("{case}: stored_text() of {:?} is {text:?}", chunk.id));
            }
            Ok(_) => {}
            Err(error) => violations.push(format!("{case}: stored_text() of {:?} failed: {error}", chunk.id)),
        }
    }
}
