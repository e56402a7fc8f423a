//! Several lists of hits for one question, and what all combining retrievers share.

use std::collections::BTreeMap;

use ragtune_core::text::{Query, ScoreKind, ScoredChunk, Span, Threshold};

use crate::error::{Error, Result};
use crate::fusion::{Fusion, RankedList};
use crate::retriever::Retriever;

/// How often lists are fetched again because a document changed between them.
const ATTEMPTS: usize = 3;

/// Refuses a threshold on a kind of score that means nothing outside of its list. [`Threshold::new`] makes none; one
/// that was deserialised may be.
pub(super) fn check_threshold(retriever: &'static str, query: &Query) -> Result<()> {
    match query.threshold.as_ref().map(Threshold::kind) {
        Some(kind) if kind.is_relative() => Err(Error::Unsupported {
            retriever,
            what: format!("a threshold on {kind}, which depends on the other hits"),
            remedy: "name cosine, bm25 or rerank".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The hits of a part. One that cannot honour the threshold is asked without it: what it finds can still pass by the
/// scores of another part, and the fused list is cut by the threshold in any case. Its refusal comes along.
fn ask(part: &dyn Retriever, query: &Query) -> Result<(Vec<ScoredChunk>, Option<Error>)> {
    match part.retrieve(query) {
        Err(refusal @ Error::Unsupported { .. }) if query.threshold.is_some() => {
            let mut query = query.clone();
            query.threshold = None;
            // What it refused may have been the condition.
            match part.retrieve(&query) {
                Ok(hits) => Ok((hits, Some(refusal))),
                Err(_) => Err(refusal),
            }
        }
        answer => Ok((answer?, None)),
    }
}

/// The lists of several parts, each for its own query.
pub(super) fn gather(asked: &[(&dyn Retriever, &Query)]) -> Result<Vec<Vec<ScoredChunk>>> {
    let mut attempt = 1;
    loop {
        let mut lists = Vec::with_capacity(asked.len());
        let mut refusals = Vec::new();
        for (part, query) in asked {
            let (hits, refusal) = ask(*part, query)?;
            refusals.extend(refusal);
            lists.push(hits);
        }
        // A threshold that no part knows would leave nothing; the refusal says why.
        if refusals.len() == asked.len()
            && let Some(refusal) = refusals.into_iter().next()
        {
            return Err(refusal);
        }
        match conflict(&lists) {
            None => return Ok(lists),
            Some(id) if attempt == ATTEMPTS => return Err(Error::ConflictingPassages { id }),
            Some(_) => attempt += 1,
        }
    }
}

/// An id under which two lists have different passages: a document changed between the two searches, or they search
/// different documents.
fn conflict(lists: &[Vec<ScoredChunk>]) -> Option<String> {
    let mut known = BTreeMap::new();
    for chunk in lists.iter().flatten().map(|hit| &hit.chunk) {
        let this = (&chunk.document_id, chunk.span, &chunk.text);
        if *known.entry(&chunk.id).or_insert(this) != this {
            return Some(chunk.id.clone());
        }
    }
    None
}

/// The kind of score that orders a list; of an empty one it does not matter.
pub(super) fn kind_of(list: &[ScoredChunk]) -> ScoreKind {
    list.first().map_or(ScoreKind::Rrf, |hit| hit.ranked_by.clone())
}

/// One list from several, cut by the query's threshold and number of hits. A hit keeps the scores of all lists; where two
/// have one of the same kind, the greater; and the way of the first search by vectors that found it.
pub(super) fn fuse(lists: Vec<Vec<ScoredChunk>>, fusion: &Fusion, query: &Query) -> Result<Vec<ScoredChunk>> {
    let entries: Vec<Vec<(&str, f32)>> = lists
        .iter()
        .map(|list| {
            list.iter()
                .map(|hit| (hit.chunk.id.as_str(), hit.score()))
                .collect()
        })
        .collect();
    let ranked: Vec<RankedList<'_, &str>> = lists
        .iter()
        .zip(&entries)
        .map(|(list, entries)| RankedList::new(kind_of(list), entries))
        .collect();
    let order: Vec<(String, f32)> = fusion
        .fuse(&ranked)?
        .into_iter()
        .map(|(id, score)| (id.to_owned(), score))
        .collect();
    let mut hits: BTreeMap<String, ScoredChunk> = BTreeMap::new();
    for hit in lists.into_iter().flatten() {
        match hits.get_mut(&hit.chunk.id) {
            Some(known) => {
                for (kind, score) in hit.scores {
                    let greatest = known.scores.entry(kind).or_insert(score);
                    *greatest = greatest.max(score);
                }
                known.plan = known.plan.or(hit.plan);
            }
            None => {
                hits.insert(hit.chunk.id.clone(), hit);
            }
        }
    }
    let fused = order.into_iter().filter_map(|(id, score)| {
        let mut hit = hits.remove(&id)?;
        hit.rank_by(fusion.score_kind(), score);
        Some(hit)
    });
    let passes = |hit: &ScoredChunk| {
        let threshold = query.threshold.as_ref();
        threshold.is_none_or(|threshold| threshold.passes(&hit.scores) == Some(true))
    };
    Ok(fused.filter(passes).take(query.top_k).collect())
}

/// The stored text that the parts agree on.
pub(super) fn stored_text<'p>(
    parts: impl IntoIterator<Item = &'p dyn Retriever>,
    document_id: &str,
    span: Span,
) -> Result<Option<String>> {
    let mut found: Option<String> = None;
    for part in parts {
        match (part.stored_text(document_id, span)?, &found) {
            (Some(text), None) => found = Some(text),
            (Some(text), Some(known)) if text != *known => {
                let id = document_id.to_owned();
                return Err(Error::ConflictingPassages { id });
            }
            _ => {}
        }
    }
    Ok(found)
}
