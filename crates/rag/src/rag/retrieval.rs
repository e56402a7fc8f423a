//! The way from a question to the passages that the answerer sees.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ragtune_core::text::{Query, ScoreKind, ScoredChunk, Threshold};

use super::history::SearchText;
use super::pipeline::Parts;
use super::stream::milliseconds;
use crate::answer::{Abstention, Component, DropReason, DroppedChunk, ModelCall, Trace};
use crate::error::{Error, Result};

/// Further searches at most where copies take the places of other passages.
const MORE: usize = 3;
/// How many times as many hits each of them asks for.
const MORE_FACTOR: usize = 8;

/// Passages, best first, and what happened on the way to them.
pub(super) struct Retrieval {
    pub hits: Vec<ScoredChunk>,
    /// Set exactly when there are no hits.
    pub abstention: Option<Abstention>,
    pub trace: Trace,
}

impl Retrieval {
    /// Finds, checks, reranks and cuts.
    pub fn run(parts: &Parts, question: &Query) -> Result<Self> {
        if question.text.trim().is_empty() {
            return Err(Error::EmptyQuestion);
        }
        let top_k = question.top_k.min(parts.limits.top_k.unwrap_or(usize::MAX));
        if top_k == 0 {
            return Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "top_k",
                reason: "0 passages are wanted; ask for at least 1".to_owned(),
            }));
        }
        let search = SearchText::of(question);
        let threshold = question.threshold.as_ref().or(parts.threshold.as_ref());
        // A retriever cannot honour a threshold on what the reranker will say.
        let (before, after) = match threshold {
            Some(threshold) if parts.reranker.is_some() && *threshold.kind() == ScoreKind::Rerank => {
                (None, Some(threshold))
            }
            threshold => (threshold, None),
        };
        let mut query = question.clone();
        query.text.clone_from(&search.text);
        query.threshold = before.cloned();
        if parts.reranker.is_some() {
            query.top_k = top_k.max(parts.limits.candidates);
        } else {
            query.top_k = top_k;
        }

        let mut retrieval = Self {
            hits: Vec::new(),
            abstention: None,
            trace: Trace {
                search_text: search.text,
                folded_turns: search.folded_turns,
                ..Trace::default()
            },
        };
        let started = Instant::now();
        let wanted = query.top_k;
        retrieval.find(parts, query.clone())?;
        retrieval.cut(wanted);
        retrieval.pass(before)?;
        if retrieval.hits.is_empty() && before.is_some() {
            retrieval.abstention = best_below(parts, &query, before)?;
        }
        retrieval.trace.timings.retrieve_ms = milliseconds(started);

        let started = Instant::now();
        retrieval.rerank(parts)?;
        retrieval.pass(after)?;
        retrieval.cut(top_k);
        retrieval.trace.timings.rerank_ms = milliseconds(started);
        if retrieval.hits.is_empty() && retrieval.abstention.is_none() {
            retrieval.abstention = Some(retrieval.reason(after));
        }
        Ok(retrieval)
    }

    /// Searches; again for more where copies of the same text took places that other passages should have.
    fn find(&mut self, parts: &Parts, mut query: Query) -> Result<()> {
        let wanted = query.top_k;
        let mut further = MORE;
        loop {
            let found = parts.retriever.retrieve(&query)?;
            let there_may_be_more = found.len() >= query.top_k;
            self.hits.clear();
            self.trace.dropped.clear();
            self.admit(found);
            let is_short = self.hits.len() < wanted && self.trace.dropped.iter().any(is_copy);
            if !(is_short && there_may_be_more && further > 0) {
                return Ok(());
            }
            further -= 1;
            query.top_k = query.top_k.saturating_mul(MORE_FACTOR);
        }
    }

    /// Takes hits in that can be cited and read: a user's own retriever may return anything.
    fn admit(&mut self, found: Vec<ScoredChunk>) {
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        let mut ids: BTreeSet<String> = BTreeSet::new();
        for hit in found {
            let chunk = &hit.chunk;
            let covering = self.hits.iter().find(|better| {
                better.chunk.document_id == chunk.document_id && better.chunk.span.contains(chunk.span)
            });
            let reason = if chunk.text.trim().is_empty() {
                Some(DropReason::Empty)
            } else if chunk.span.end < chunk.span.start || chunk.span.len() != chunk.text.len() {
                Some(DropReason::InvalidSpan {
                    span: chunk.span,
                    text_bytes: chunk.text.len(),
                })
            } else if let Some((kind, _)) = hit.scores.iter().find(|(_, score)| !score.is_finite()) {
                Some(DropReason::InvalidScore { kind: kind.clone() })
            } else if ids.contains(&chunk.id) {
                Some(DropReason::Duplicate { of: chunk.id.clone() })
            } else if let Some(better) = covering {
                Some(DropReason::Duplicate {
                    of: better.chunk.id.clone(),
                })
            } else {
                texts
                    .get(chunk.text.trim())
                    .map(|of| DropReason::Duplicate { of: of.clone() })
            };
            match reason {
                Some(reason) => self.drop_chunk(&hit, reason),
                None => {
                    texts.insert(chunk.text.trim().to_owned(), chunk.id.clone());
                    ids.insert(chunk.id.clone());
                    self.hits.push(hit);
                }
            }
        }
    }

    /// Keeps what reaches the threshold.
    fn pass(&mut self, threshold: Option<&Threshold>) -> Result<()> {
        let Some(threshold) = threshold else {
            return Ok(());
        };
        for hit in std::mem::take(&mut self.hits) {
            match hit.scores.get(threshold.kind()) {
                Some(score) if *score >= threshold.min() => self.hits.push(hit),
                Some(score) => {
                    let reason = DropReason::Threshold {
                        kind: threshold.kind().clone(),
                        score: *score,
                        min: threshold.min(),
                    };
                    self.drop_chunk(&hit, reason);
                }
                None => {
                    let found: Vec<_> = hit.scores.keys().map(ScoreKind::name).collect();
                    return Err(Error::MissingScore {
                        kind: threshold.kind().clone(),
                        chunk_id: hit.chunk.id,
                        found: found.join(", "),
                    });
                }
            }
        }
        Ok(())
    }

    /// Orders the hits by the reranker's probability, ties by chunk id.
    fn rerank(&mut self, parts: &Parts) -> Result<()> {
        let Some(reranker) = parts.reranker.as_ref().filter(|_| !self.hits.is_empty()) else {
            return Ok(());
        };
        let started = Instant::now();
        let passages: Vec<_> = self.hits.iter().map(|hit| hit.chunk.text.as_str()).collect();
        let scores = reranker.score(&self.trace.search_text, &passages)?;
        self.trace.calls.push(ModelCall {
            component: Component::Reranker,
            id: None,
            texts: passages.len(),
            usage: None,
            finish: None,
            ms: milliseconds(started),
        });
        if scores.len() != passages.len() {
            return Err(Error::WrongCount {
                component: "reranker",
                expected: passages.len(),
                found: scores.len(),
            });
        }
        for (hit, score) in self.hits.iter_mut().zip(scores) {
            if !(0.0..=1.0).contains(&score) {
                return Err(Error::InvalidScore {
                    component: "reranker",
                    what: format!("the passage {:?}, which is no probability", hit.chunk.id),
                    value: score,
                });
            }
            hit.rank_by(ScoreKind::Rerank, score);
        }
        ScoredChunk::sort(&mut self.hits);
        Ok(())
    }

    fn cut(&mut self, top_k: usize) {
        let rest = self.hits.split_off(top_k.min(self.hits.len()));
        for hit in &rest {
            self.drop_chunk(hit, DropReason::TopK { top_k });
        }
    }

    fn drop_chunk(&mut self, hit: &ScoredChunk, reason: DropReason) {
        self.trace.dropped.push(DroppedChunk {
            chunk_id: hit.chunk.id.clone(),
            document_id: hit.chunk.document_id.clone(),
            reason,
        });
    }

    /// Why nothing is left: the best of what the threshold dropped, else that there was nothing.
    fn reason(&self, threshold: Option<&Threshold>) -> Abstention {
        let scores = self
            .trace
            .dropped
            .iter()
            .filter_map(|dropped| match dropped.reason {
                DropReason::Threshold { score, .. } => Some(score),
                _ => None,
            });
        match (threshold, scores.max_by(f32::total_cmp)) {
            (Some(threshold), Some(best)) => below(threshold, best),
            _ => Abstention::NoHits,
        }
    }
}

fn is_copy(dropped: &DroppedChunk) -> bool {
    matches!(dropped.reason, DropReason::Duplicate { .. })
}

/// How far off the best hit is when nothing reached the threshold: the search again, without it.
fn best_below(parts: &Parts, query: &Query, threshold: Option<&Threshold>) -> Result<Option<Abstention>> {
    let Some(threshold) = threshold else {
        return Ok(None);
    };
    let mut query = query.clone();
    query.threshold = None;
    let hits = parts.retriever.retrieve(&query)?;
    let scores = hits
        .iter()
        .filter_map(|hit| hit.scores.get(threshold.kind()).copied());
    let best = scores.filter(|score| score.is_finite()).max_by(f32::total_cmp);
    Ok(best.map(|best| below(threshold, best)))
}

fn below(threshold: &Threshold, best: f32) -> Abstention {
    Abstention::BelowThreshold {
        kind: threshold.kind().clone(),
        best,
        min: threshold.min(),
    }
}
