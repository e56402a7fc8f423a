//! The way of a question: condition to slots, candidates by vectors and by words, fusion, threshold, passages.

use std::collections::BTreeSet;
use std::sync::Arc;

use ragtune_core::text::{Chunk, Query, Role, ScoreKind, ScoredChunk, Scores, Threshold};

use super::base::Base;
use super::options::{Mode, SearchOptions};
use super::view::{View, chunk_id};
use crate::error::{Error, Result};
use crate::fusion::{FusionMethod, RankedList};
use crate::index::lexical::LexicalIndex;
use crate::index::{Found, Metric, Plan, SlotSet};
use crate::store::Passage;
use crate::store::vectors::wrong;

/// How often a search starts again because what it found was deleted meanwhile.
const ATTEMPTS: usize = 8;
/// Hits asked for beyond the wanted ones, to see whether the last place is tied.
const TIE_MARGIN: usize = 16;

/// Hits, and how they were found.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Explained {
    /// The hits, best first.
    pub hits: Vec<ScoredChunk>,
    /// The way that the search by vectors went; `None` where vectors were not searched.
    pub plan: Option<Plan>,
    /// Vectors that were compared by their codes.
    pub compared: usize,
    /// Vectors that were scored exactly to find the nearest.
    pub scored: usize,
}

/// Answers a question.
pub(super) fn retrieve(base: &Base, options: &SearchOptions, query: &Query) -> Result<Explained> {
    if query.top_k == 0 {
        return Ok(Explained::default());
    }
    let mut attempt = 1;
    loop {
        let view = base.view()?;
        match Search::new(base, options, query, &view).and_then(|search| search.run()) {
            Ok((explained, is_whole)) if is_whole || attempt == ATTEMPTS => return Ok(explained),
            Ok(_) => {}
            // Whatever is derived is never trusted over the store.
            Err(Error::DamagedIndex { path, reason }) if view.attached.is_some() => {
                tracing::warn!(path = %path.display(), reason, "the vectors are read from the store instead");
                base.refuse_vectors(&view);
            }
            // The base changed to another embedder between the view and the question's vector.
            Err(Error::EmbedderMismatch { .. }) if base.view()?.generation != view.generation => {}
            Err(error) => return Err(error),
        }
        attempt += 1;
    }
}

/// A question against one view.
struct Search<'a> {
    base: &'a Base,
    options: &'a SearchOptions,
    query: &'a Query,
    view: &'a View,
    /// Slots that meet the condition, where there is one.
    allowed: Option<SlotSet>,
    /// Slots that the asker may see, where there is an access rule: the statistics of words count no other.
    visible: Option<SlotSet>,
    /// The question's vector, where nearness is looked at.
    vector: Option<Vec<f32>>,
    /// The lexical index, where words are looked at.
    lexical: Option<Arc<LexicalIndex>>,
}

/// Says whether the asker may see a passage.
type Seen<'a> = dyn Fn(i64) -> bool + Sync + 'a;

/// A list of slots with their scores, best first.
type List = Vec<(u32, f32)>;

impl<'a> Search<'a> {
    fn new(base: &'a Base, options: &'a SearchOptions, query: &'a Query, view: &'a View) -> Result<Self> {
        let threshold = query.threshold.as_ref().map(Threshold::kind);
        let metric = view.generation.as_ref().map(|generation| generation.metric);
        if let Some(kind) = threshold {
            check_threshold(kind, metric)?;
        }
        let wants_words = options.mode != Mode::Dense || threshold == Some(&ScoreKind::Bm25);
        let wants_vectors =
            options.mode != Mode::Lexical || threshold.is_some_and(|kind| *kind != ScoreKind::Bm25);
        let vector = if wants_vectors {
            question_vector(base, query, view)?
        } else {
            None
        };
        let lexical = match wants_words {
            true => Some(base.lexical.current(&base.store, &base.lock, view.seq)?),
            false => None,
        };
        Ok(Self {
            base,
            options,
            query,
            view,
            allowed: query.condition().map(|condition| view.allowed(&condition)),
            visible: query.access.as_ref().map(|access| view.allowed(access)),
            vector,
            lexical,
        })
    }

    /// The hits, and whether nothing that was found had been deleted meanwhile.
    fn run(&self) -> Result<(Explained, bool)> {
        if self.view.chunks.is_empty() || self.allowed.as_ref().is_some_and(SlotSet::is_empty) {
            return Ok((Explained::default(), true));
        }
        let stamp = self.lexical.as_ref().map(|lexical| lexical.stamp());
        let mut explained = Explained::default();
        let told = &mut explained;
        let (list, kind) = match self.options.mode {
            Mode::Dense => (
                self.dense(self.wanted(&self.metric_kind()), told)?,
                self.metric_kind(),
            ),
            Mode::Lexical => (self.lexical(self.wanted(&ScoreKind::Bm25))?, ScoreKind::Bm25),
            Mode::Hybrid => self.hybrid(self.options.candidates.max(self.query.top_k), told)?,
        };
        let scored = self.with_all_scores(list, &kind)?;
        let passes = |scores: &Scores| {
            let threshold = self.query.threshold.as_ref();
            threshold.is_none_or(|threshold| threshold.passes(scores) == Some(true))
        };
        let scored: Vec<_> = scored
            .into_iter()
            .filter(|(_, scores)| passes(scores))
            .take(self.query.top_k)
            .collect();
        let is_same_index = stamp == self.lexical.as_ref().map(|lexical| lexical.stamp());
        // The way depends on how many vectors there are, which someone who may not see all of them is not told.
        let plan = explained.plan.filter(|_| self.query.access.is_none());
        let (hits, all_found) = self.hits(scored, &kind, plan)?;
        explained.hits = hits;
        Ok((explained, all_found && is_same_index))
    }

    /// How many hits a list needs: more than asked for where a threshold on another kind will drop some.
    fn wanted(&self, kind: &ScoreKind) -> usize {
        match &self.query.threshold {
            Some(threshold) if threshold.kind() != kind => self.options.candidates.max(self.query.top_k),
            _ => self.query.top_k,
        }
    }

    fn metric_kind(&self) -> ScoreKind {
        let metric = self.view.generation.as_ref().map(|generation| generation.metric);
        metric.unwrap_or_default().score_kind()
    }

    fn dense(&self, limit: usize, told: &mut Explained) -> Result<List> {
        let (Some(index), Some(vector)) = (&self.view.index, &self.vector) else {
            return Ok(Vec::new());
        };
        let Found {
            neighbors,
            plan,
            compared,
            scored,
        } = index.search(vector, limit, self.allowed.as_ref(), &self.options.plan)?;
        (told.plan, told.compared, told.scored) = (Some(plan), compared, scored);
        Ok(neighbors
            .into_iter()
            .map(|neighbor| (neighbor.slot, neighbor.score))
            .collect())
    }

    fn lexical(&self, limit: usize) -> Result<List> {
        let limit = limit.min(self.view.chunks.len());
        let Some(lexical) = &self.lexical else {
            return Ok(Vec::new());
        };
        let is_allowed = |chunk: i64| match (self.view.slot(chunk), &self.allowed) {
            (Some(slot), Some(allowed)) => allowed.contains(slot),
            (slot, None) => slot.is_some(),
            (None, _) => false,
        };
        let mut ask = limit.saturating_add(TIE_MARGIN);
        loop {
            let found =
                lexical.search_seen(&self.query.text, ask, Some(&is_allowed), self.seen().as_deref())?;
            // The index breaks ties by its own numbers, which depend on the order of adding; ours are by id. So all
            // that share the score of the last place must be at hand.
            let is_cut_in_a_tie = found.len() == ask
                && found.get(limit - 1).map(|(_, score)| score) == found.last().map(|(_, score)| score);
            if is_cut_in_a_tie {
                ask = ask.saturating_mul(4);
                continue;
            }
            let slots = found
                .into_iter()
                .filter_map(|(chunk, score)| Some((self.view.slot(chunk)?, score)));
            let mut list: List = slots.collect();
            list.sort_by(best_first);
            list.truncate(limit);
            return Ok(list);
        }
    }

    fn hybrid(&self, candidates: usize, told: &mut Explained) -> Result<(List, ScoreKind)> {
        let dense = self.dense(candidates, told)?;
        let lexical = self.lexical(candidates)?;
        let fusion = &self.options.fusion;
        let fuse = |dense: &List, lexical: &List| {
            let dense = RankedList::new(self.metric_kind(), dense);
            let lexical = RankedList::new(ScoreKind::Bm25, lexical);
            Ok((fusion.fuse(&[dense, lexical])?, fusion.score_kind()))
        };
        if !matches!(fusion.method(), FusionMethod::Convex { .. }) {
            return fuse(&dense, &lexical);
        }
        // A combination of values needs both of every candidate.
        let slots: BTreeSet<u32> = dense.iter().chain(&lexical).map(|(slot, _)| *slot).collect();
        let slots: Vec<u32> = slots.into_iter().collect();
        let list = |scores: Vec<f32>| {
            let mut list: List = slots.iter().copied().zip(scores).collect();
            list.sort_by(best_first);
            list
        };
        fuse(
            &list(self.dense_scores(&slots)?),
            &list(self.lexical_scores(&slots)?),
        )
    }

    fn dense_scores(&self, slots: &[u32]) -> Result<Vec<f32>> {
        match (&self.view.index, &self.vector) {
            (Some(index), Some(vector)) => index.scores(vector, slots),
            _ => Ok(Vec::new()),
        }
    }

    fn lexical_scores(&self, slots: &[u32]) -> Result<Vec<f32>> {
        let Some(lexical) = &self.lexical else {
            return Ok(Vec::new());
        };
        let chunks = slots
            .iter()
            .filter_map(|slot| self.view.chunks.get(*slot as usize));
        let chunks: Vec<i64> = chunks.map(|key| key.chunk).collect();
        lexical.scores_seen(&self.query.text, &chunks, self.seen().as_deref())
    }

    /// Which passages the asker may see, where not all.
    fn seen(&self) -> Option<Box<Seen<'_>>> {
        let visible = self.visible.as_ref()?;
        Some(Box::new(|chunk| {
            self.view.slot(chunk).is_some_and(|slot| visible.contains(slot))
        }))
    }

    /// Adds to the score that orders the list those of every other kind that this search looks at.
    fn with_all_scores(&self, list: List, kind: &ScoreKind) -> Result<Vec<(u32, Scores)>> {
        let slots: Vec<u32> = list.iter().map(|(slot, _)| *slot).collect();
        let mut scored: Vec<_> = list
            .into_iter()
            .map(|(slot, score)| (slot, Scores::from([(kind.clone(), score)])))
            .collect();
        let mut fill = |other: ScoreKind, values: Vec<f32>| {
            for ((_, scores), value) in scored.iter_mut().zip(values) {
                scores.insert(other.clone(), value);
            }
        };
        if self.vector.is_some() && *kind != self.metric_kind() {
            fill(self.metric_kind(), self.dense_scores(&slots)?);
        }
        if self.lexical.is_some() && *kind != ScoreKind::Bm25 {
            fill(ScoreKind::Bm25, self.lexical_scores(&slots)?);
        }
        Ok(scored)
    }

    /// The passages of these slots, and whether all were still stored.
    fn hits(
        &self,
        scored: Vec<(u32, Scores)>,
        kind: &ScoreKind,
        plan: Option<Plan>,
    ) -> Result<(Vec<ScoredChunk>, bool)> {
        let passages = self.base.store.read(|connection| {
            let keys = scored
                .iter()
                .map(|(slot, _)| self.view.chunks.get(*slot as usize));
            keys.map(|key| match key {
                Some(key) => match Passage::find(connection, key.chunk)? {
                    Some(passage) if passage.key != *key => {
                        Err(wrong(format!("chunk {} is not where it was stored", key.chunk)))
                    }
                    found => Ok(found),
                },
                None => Ok(None),
            })
            .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let all_found = passages.iter().all(Option::is_some);
        let hits = scored
            .into_iter()
            .zip(passages)
            .filter_map(|((slot, scores), passage)| {
                let (passage, document) = (passage?, self.view.document(slot)?);
                let chunk = Chunk {
                    id: chunk_id(&document.id, passage.key.ordinal),
                    document_id: document.id.clone(),
                    span: passage.span,
                    text: passage.text,
                    metadata: document.metadata.clone(),
                    locator: passage.locator,
                };
                Some(ScoredChunk {
                    chunk,
                    scores,
                    ranked_by: kind.clone(),
                    plan,
                })
            });
        Ok((hits.collect(), all_found))
    }
}

fn best_first(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// The question as a vector; `None` in a base without chunks.
fn question_vector(base: &Base, query: &Query, view: &View) -> Result<Option<Vec<f32>>> {
    const OPERATION: &str = "a dense or hybrid search";
    let Some(generation) = &view.generation else {
        return match base.embedder() {
            None => Err(Error::NoEmbedder { operation: OPERATION }),
            Some(_) if view.chunks.is_empty() => Ok(None),
            Some(_) => Err(Error::NoVectors),
        };
    };
    if view.chunks.is_empty() && base.embedder().is_some() {
        return Ok(None);
    }
    let embedder = base.embedder_of(generation, OPERATION)?;
    let vectors = embedder.embed(&[&query.text], Role::Query)?;
    vectors.check(generation.dim, 1)?;
    Ok(vectors.row(0).map(<[f32]>::to_vec))
}

fn check_threshold(kind: &ScoreKind, metric: Option<Metric>) -> Result<()> {
    let of_metric = metric.unwrap_or_default().score_kind();
    if *kind == ScoreKind::Bm25 || *kind == of_metric {
        return Ok(());
    }
    let remedy = match kind {
        ScoreKind::Rerank => "set it where the reranker runs".to_owned(),
        _ => format!("name {of_metric} or bm25"),
    };
    Err(Error::Unsupported {
        retriever: "the knowledge base",
        what: format!("a threshold on {kind}"),
        remedy,
    })
}
