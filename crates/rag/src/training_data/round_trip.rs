//! Every question is asked back: only what finds its passage becomes training data.
//!
//! The filter of Promptagator (Dai et al. 2022, arXiv:2209.11755, section 3.2), with any retriever.

use std::collections::BTreeMap;

use ragtune_core::Cancel;
use ragtune_core::text::Query;
use ragtune_retrieve::Retriever;

use super::corpus::Source;
use super::question::Candidate;
use super::report::{DropCause, Drops};
use crate::error::Result;

/// Questions between two events of progress.
const REPORTED: usize = 64;

/// A question that found its passage, with all that it found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub question: Candidate,
    /// Hits in their order: the document, and the passage in it.
    pub hits: Vec<(usize, usize)>,
}

/// The questions whose passage is among the first `top_k` hits.
pub(super) fn filter(
    questions: Vec<Candidate>,
    sources: &[Source],
    retriever: &dyn Retriever,
    top_k: usize,
    drops: &mut Drops,
    cancel: &Cancel,
    progress: &dyn Fn(usize, usize),
) -> Result<Vec<Found>> {
    let places: BTreeMap<&str, usize> = sources
        .iter()
        .enumerate()
        .map(|(at, source)| (source.id.as_str(), at))
        .collect();
    let total = questions.len();
    let mut kept = Vec::new();
    for (number, question) in questions.into_iter().enumerate() {
        if number.is_multiple_of(REPORTED) {
            cancel.check()?;
            progress(number, total);
        }
        let own = &sources[question.source].id;
        let found = retriever.retrieve(&Query::new(&question.text).with_top_k(top_k))?;
        let is_own = |hit: &ragtune_core::text::ScoredChunk| {
            hit.chunk.document_id == *own && hit.chunk.span.overlaps(question.place)
        };
        if !found.iter().take(top_k).any(is_own) {
            drops.add(question.kind, DropCause::RoundTrip, &question.text);
            continue;
        }
        let hits = found.iter().filter_map(|hit| {
            let source = *places.get(hit.chunk.document_id.as_str())?;
            let chunks = &sources[source].chunks;
            let chunk = chunks
                .iter()
                .position(|chunk| chunk.span.overlaps(hit.chunk.span))?;
            Some((source, chunk))
        });
        kept.push(Found {
            hits: hits.collect(),
            question,
        });
    }
    progress(total, total);
    Ok(kept)
}
