//! Hits that are relevant and unlike each other.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Query, Role, ScoreKind, ScoredChunk, Span};

use super::direction::{dot, normalise};
use super::lists::check_threshold;
use crate::error::{Error, Result};
use crate::knowledge_base::KnowledgeBase;
use crate::retriever::Retriever;

/// Chooses hits by maximal marginal relevance: J. Carbonell and J. Goldstein, "The Use of MMR, Diversity-Based Reranking
/// for Reordering Documents and Producing Summaries" (SIGIR 1998).
///
/// From [`MmrRetriever::with_candidates`] hits of the inner retriever it takes one after the other, each time that of the
/// greatest `λ · relevance − (1 − λ) · likeness`, where the likeness is the greatest cosine to a hit taken before, and at
/// least 0, so that a passage is not rewarded for pointing the opposite way. The value is the hit's score
/// ([`ScoreKind::Mmr`]). A threshold is the inner retriever's.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::{Document, Query};
/// use ragtune_retrieve::{KnowledgeBase, MmrRetriever, Retriever};
///
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// kb.add([
///     Document::new("a", "Green tea is steeped at 80 degrees."),
///     Document::new("b", "Green tea is steeped at eighty degrees."),
///     Document::new("c", "Cold water makes tea mild."),
/// ])?;
/// let diverse = MmrRetriever::new(kb.clone()).with_lambda(0.5)?.with_stored_vectors(kb);
/// let hits = diverse.retrieve(&Query::new("How is green tea steeped?").with_top_k(2))?;
/// assert_eq!(hits[1].chunk.document_id, "c");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct MmrRetriever {
    inner: Arc<dyn Retriever>,
    vectors: Vectors,
    lambda: f32,
    relevance: Relevance,
    candidates: usize,
}

/// What a hit is worth by itself, for a choice by marginal relevance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Relevance {
    /// The cosine of its vector and the question's.
    #[default]
    Cosine,
    /// The score by which the inner retriever ranked it, scaled so that the candidates lie in 0..=1: for rankings that
    /// know more than vectors do, such as fused or reranked ones.
    Ranking,
}

/// Where the vectors of passages come from.
#[derive(Clone)]
enum Vectors {
    /// Made by the inner retriever's embedder.
    Inner,
    /// Made by this embedder.
    Embedder(Arc<dyn Embedder>),
    /// Read from this base.
    Stored(Box<KnowledgeBase>),
}

impl MmrRetriever {
    /// The share of relevance when the caller names none.
    pub const DEFAULT_LAMBDA: f32 = 0.5;
    /// Hits to choose from when the caller names no number.
    pub const DEFAULT_CANDIDATES: usize = 50;

    /// Chooses from the hits of `inner`, which are compared by its own embedder.
    pub fn new(inner: impl Retriever + 'static) -> Self {
        Self {
            inner: Arc::new(inner),
            vectors: Vectors::Inner,
            lambda: Self::DEFAULT_LAMBDA,
            relevance: Relevance::default(),
            candidates: Self::DEFAULT_CANDIDATES,
        }
    }

    /// Compares passages by this embedder.
    pub fn with_embedder(mut self, embedder: impl Embedder + 'static) -> Self {
        self.vectors = Vectors::Embedder(Arc::new(embedder));
        self
    }

    /// Compares passages by the vectors that this base has stored of them, which costs no embedding but the question's.
    /// A hit that is not of the base is embedded.
    pub fn with_stored_vectors(mut self, base: KnowledgeBase) -> Self {
        self.vectors = Vectors::Stored(Box::new(base));
        self
    }

    /// The share of relevance, 0 to 1: 1 keeps the order, 0 looks for variety only.
    ///
    /// # Errors
    /// `InvalidArgument` for a number outside of 0..=1.
    pub fn with_lambda(mut self, lambda: f32) -> Result<Self> {
        if !(0.0..=1.0).contains(&lambda) {
            return Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "lambda",
                reason: format!("{lambda} is not within 0 and 1"),
            }));
        }
        self.lambda = lambda;
        Ok(self)
    }

    /// What a hit is worth by itself.
    pub fn with_relevance(mut self, relevance: Relevance) -> Self {
        self.relevance = relevance;
        self
    }

    /// Chooses from so many hits; never fewer than a query's `top_k`. The work grows with their number times `top_k`.
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }

    /// The embedder that question and passages are compared by.
    fn encoder(&self) -> Result<Arc<dyn Embedder>> {
        let embedder = match &self.vectors {
            Vectors::Inner => self.inner.embedder(),
            Vectors::Embedder(embedder) => Some(Arc::clone(embedder)),
            Vectors::Stored(base) => base.embedder(),
        };
        embedder.ok_or(Error::NoEmbedder {
            operation: "a choice by marginal relevance",
        })
    }

    /// The vector of each hit, of length 1 (or 0, where the embedder gives it no direction).
    fn passage_vectors(&self, hits: &[ScoredChunk], embedder: &dyn Embedder) -> Result<Vec<Vec<f32>>> {
        let mut vectors = match &self.vectors {
            Vectors::Stored(base) => base.stored_vectors(hits.iter().map(|hit| &hit.chunk))?,
            _ => vec![None; hits.len()],
        };
        let missing: Vec<usize> = (0..hits.len()).filter(|at| vectors[*at].is_none()).collect();
        if !missing.is_empty() {
            let texts: Vec<&str> = missing.iter().map(|at| hits[*at].chunk.text.as_str()).collect();
            let made = embedder.embed(&texts, Role::Document)?;
            made.check(embedder.dim(), texts.len())?;
            for (at, vector) in missing.into_iter().zip(made.rows()) {
                vectors[at] = Some(vector.to_vec());
            }
        }
        let mut vectors: Vec<Vec<f32>> = vectors.into_iter().flatten().collect();
        if let Some(odd) = vectors.iter().find(|vector| vector.len() != embedder.dim()) {
            return Err(Error::Core(ragtune_core::Error::Dimension {
                what: "a stored vector".to_owned(),
                expected: embedder.dim(),
                found: odd.len(),
            }));
        }
        vectors.iter_mut().for_each(|vector| normalise(vector));
        Ok(vectors)
    }

    /// What each hit is worth by itself.
    fn relevance(
        &self,
        hits: &[ScoredChunk],
        vectors: &[Vec<f32>],
        query: &Query,
        embedder: &dyn Embedder,
    ) -> Result<Vec<f32>> {
        match self.relevance {
            Relevance::Cosine => {
                let question = embedder.embed(&[&query.text], Role::Query)?;
                question.check(embedder.dim(), 1)?;
                let mut question = question.row(0).unwrap_or_default().to_vec();
                normalise(&mut question);
                Ok(vectors.iter().map(|vector| dot(vector, &question)).collect())
            }
            Relevance::Ranking => {
                let scores: Vec<f32> = hits.iter().map(ScoredChunk::score).collect();
                if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
                    return Err(Error::InvalidScore {
                        component: "inner retriever",
                        what: format!("the passage {:?}, which must be finite", hits[at].chunk.id),
                        value: scores[at],
                    });
                }
                let least = scores.iter().copied().fold(f32::INFINITY, f32::min);
                let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let scale = |score: f32| match greatest > least {
                    true => (score - least) / (greatest - least),
                    false => 1.0,
                };
                Ok(scores.into_iter().map(scale).collect())
            }
        }
    }
}

impl Retriever for MmrRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        check_threshold("the MMR retriever", query)?;
        if query.top_k == 0 {
            return Ok(Vec::new());
        }
        let mut wide = query.clone();
        wide.top_k = query.top_k.max(self.candidates);
        let mut hits = self.inner.retrieve(&wide)?;
        if hits.is_empty() {
            return Ok(hits);
        }
        // Of equal values the smaller id comes first; the inner order must not decide.
        hits.sort_by(|a, b| a.chunk.id.cmp(&b.chunk.id));
        let embedder = self.encoder()?;
        let vectors = self.passage_vectors(&hits, embedder.as_ref())?;
        let relevance = self.relevance(&hits, &vectors, query, embedder.as_ref())?;
        let chosen = choose(&relevance, &vectors, self.lambda, query.top_k);
        let mut hits: Vec<Option<ScoredChunk>> = hits.into_iter().map(Some).collect();
        let chosen = chosen.into_iter().filter_map(|(at, value)| {
            let mut hit = hits[at].take()?;
            hit.rank_by(ScoreKind::Mmr, value);
            Some(hit)
        });
        Ok(chosen.collect())
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.inner.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.inner.stored_text(document_id, span)
    }
}

/// The chosen places with their marginal relevance, which never grows: the likeness of what is left only can.
fn choose(relevance: &[f32], vectors: &[Vec<f32>], lambda: f32, top_k: usize) -> Vec<(usize, f32)> {
    let mut left: Vec<usize> = (0..relevance.len()).collect();
    let mut likeness = vec![0.0f32; relevance.len()];
    let mut chosen = Vec::with_capacity(top_k.min(left.len()));
    while chosen.len() < top_k {
        let value = |at: usize| lambda * relevance[at] - (1.0 - lambda) * likeness[at];
        let best = left
            .iter()
            .enumerate()
            .reduce(|best, other| match value(*other.1) > value(*best.1) {
                true => other,
                false => best,
            });
        let Some((place, &at)) = best else { break };
        chosen.push((at, value(at)));
        left.remove(place);
        for &other in &left {
            likeness[other] = likeness[other].max(dot(&vectors[at], &vectors[other]));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word.
    fn by_definition(relevance: &[f32], vectors: &[Vec<f32>], lambda: f32, top_k: usize) -> Vec<usize> {
        let mut taken: Vec<usize> = Vec::new();
        while taken.len() < top_k.min(relevance.len()) {
            let value = |d: usize| {
                let like = taken
                    .iter()
                    .map(|s| dot(&vectors[*s], &vectors[d]))
                    .fold(0.0, f32::max);
                lambda * relevance[d] - (1.0 - lambda) * like
            };
            let rest = (0..relevance.len()).filter(|d| !taken.contains(d));
            let next = rest.max_by(|a, b| value(*a).total_cmp(&value(*b)).then(b.cmp(a)));
            taken.extend(next);
        }
        taken
    }

    proptest! {
        #[test]
        fn the_choice_is_that_of_the_definition(
            rows in prop::collection::vec((prop::collection::vec(-4i8..5, 3), 0u8..5), 0..12),
            lambda in 0.0f32..=1.0,
            top_k in 0usize..14,
        ) {
            let mut vectors: Vec<Vec<f32>> = Vec::new();
            for (row, _) in &rows {
                let mut vector: Vec<f32> = row.iter().map(|x| f32::from(*x)).collect();
                normalise(&mut vector);
                vectors.push(vector);
            }
            let relevance: Vec<f32> = rows.iter().map(|(_, r)| f32::from(*r) / 4.0).collect();
            let chosen = choose(&relevance, &vectors, lambda, top_k);
            prop_assert!(chosen.windows(2).all(|w| w[0].1 > w[1].1 || w[0].1 == w[1].1 && w[0].0 < w[1].0));
            let places: Vec<usize> = chosen.iter().map(|(at, _)| *at).collect();
            prop_assert_eq!(places, by_definition(&relevance, &vectors, lambda, top_k));
        }
    }
}
