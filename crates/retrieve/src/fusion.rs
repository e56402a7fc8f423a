//! One ranking from several.
//!
//! - [`FusionMethod::Rrf`]: G. Cormack, C. Clarke and S. Büttcher, "Reciprocal rank fusion outperforms Condorcet and
//!   individual rank learning methods" (SIGIR 2009), with a weight for each ranking.
//! - [`FusionMethod::Convex`]: S. Bruch, S. Gai and A. Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval"
//!   (ACM TOIS 2023): min-max normalisation (M2C2) and that with the theoretical minimum (TM2C2).
//! - [`FusionMethod::Dbsf`]: M. Mazzeschi, "Distribution-Based Score Fusion" (2023), with the standard deviation of a sample.

use std::collections::{BTreeMap, BTreeSet};

use ragtune_core::text::ScoreKind;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Standard deviations from the mean that distribution-based fusion maps to 0 and 1.
const DEVIATIONS: f32 = 3.0;

/// How several rankings become one, with a weight for each of them.
///
/// ```
/// use ragtune_core::text::ScoreKind;
/// use ragtune_retrieve::{Fusion, RankedList};
///
/// let dense = [("a", 0.9), ("b", 0.8)];
/// let lexical = [("b", 7.0), ("c", 2.0)];
/// let lists = [RankedList::new(ScoreKind::Cosine, &dense), RankedList::new(ScoreKind::Bm25, &lexical)];
/// let fused = Fusion::default().fuse(&lists)?;
/// assert_eq!(fused.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["b", "a", "c"]);
///
/// let mostly_dense = Fusion::convex().with_weights([0.7, 0.3])?;
/// assert_eq!(mostly_dense.fuse(&lists)?[0].0, "a");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Fusion {
    method: FusionMethod,
    /// Empty for equal ones.
    #[serde(default)]
    weights: Vec<f32>,
}

/// What is added up for an id that several rankings hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FusionMethod {
    /// Weighted reciprocal rank fusion: `Σ weight / (k + rank)`, ranks counted from 1. It looks at ranks only, so it
    /// needs no labelled questions and takes lists of any kinds.
    Rrf {
        /// How little the first ranks stand out; 60 in the paper.
        k: f32,
    },
    /// The weighted mean of the scores, each list scaled into 0..=1. The better choice once labelled questions can tune
    /// the weights.
    Convex {
        /// How a list is scaled.
        normalisation: Normalisation,
    },
    /// The weighted mean of the scores, each list scaled so that its mean less three standard deviations is 0 and its
    /// mean plus three of them is 1; 0.5 where all are equal. Less moved by a single outlier than min-max.
    Dbsf,
}

/// How the scores of one list are scaled for a [`FusionMethod::Convex`] combination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Normalisation {
    /// The list's least score is 0, its greatest 1; equal scores are all 1: they were found, and are equally good.
    #[default]
    MinMax,
    /// The least score that the kind can have is 0, the list's greatest 1, so that the last of the candidates is not
    /// worth nothing. For cosine, BM25 and probabilities; other kinds have no least score.
    Theoretical,
}

/// One ranking: ids with their scores, best first. Of an id that it repeats, the first place counts.
#[derive(Debug)]
pub struct RankedList<'l, Id> {
    kind: ScoreKind,
    entries: &'l [(Id, f32)],
}

impl<'l, Id> RankedList<'l, Id> {
    /// A ranking by scores of this kind.
    pub fn new(kind: ScoreKind, entries: &'l [(Id, f32)]) -> Self {
        Self { kind, entries }
    }
}

impl Default for FusionMethod {
    /// Reciprocal rank fusion with k 60.
    fn default() -> Self {
        Self::Rrf { k: 60.0 }
    }
}

impl Fusion {
    /// Equal weights.
    pub fn new(method: FusionMethod) -> Self {
        Self {
            method,
            weights: Vec::new(),
        }
    }

    /// Reciprocal rank fusion with k 60 and equal weights, the default.
    pub fn rrf() -> Self {
        Self::default()
    }

    /// The mean of scores, scaled by min and max.
    pub fn convex() -> Self {
        Self::new(FusionMethod::Convex {
            normalisation: Normalisation::default(),
        })
    }

    /// Distribution-based score fusion with equal weights.
    pub fn dbsf() -> Self {
        Self::new(FusionMethod::Dbsf)
    }

    /// Weighs the rankings, in their order; one of weight 0 is left out altogether. Only their ratios count, except in
    /// the values of reciprocal rank fusion.
    ///
    /// # Errors
    /// `InvalidArgument` for a weight that is negative or not finite, and where all are 0.
    pub fn with_weights(mut self, weights: impl IntoIterator<Item = f32>) -> Result<Self> {
        self.weights = weights.into_iter().collect();
        self.check(self.weights.len())?;
        Ok(self)
    }

    /// What is added up.
    pub fn method(&self) -> FusionMethod {
        self.method
    }

    /// The weights; empty where all are equal.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The weight of the ranking at this place.
    pub fn weight(&self, at: usize) -> f32 {
        match self.weights.as_slice() {
            [] => 1.0,
            weights => weights.get(at).copied().unwrap_or(0.0),
        }
    }

    /// The kind of the fused scores.
    pub fn score_kind(&self) -> ScoreKind {
        match self.method {
            FusionMethod::Rrf { .. } => ScoreKind::Rrf,
            FusionMethod::Convex { .. } => ScoreKind::Convex,
            FusionMethod::Dbsf => ScoreKind::Dbsf,
        }
    }

    /// All ids of all lists with their fused scores, best first, ties by id. An id that a list lacks gets nothing from
    /// it.
    ///
    /// # Errors
    /// `InvalidArgument` for another number of lists than of weights, `NotFinite` for a score that is none where values
    /// count, and [`Error::Unsupported`] for a kind of score without a least value under [`Normalisation::Theoretical`].
    pub fn fuse<Id: Ord + Copy>(&self, lists: &[RankedList<'_, Id>]) -> Result<Vec<(Id, f32)>> {
        self.check(lists.len())?;
        let total: f32 = (0..lists.len()).map(|at| self.weight(at)).sum();
        let mut fused: BTreeMap<Id, f32> = BTreeMap::new();
        for (at, list) in lists.iter().enumerate() {
            let weight = self.weight(at);
            if weight == 0.0 {
                continue;
            }
            let entries = first_places(list.entries);
            let shares: Vec<f32> = match self.method {
                FusionMethod::Rrf { k } => (1..=entries.len())
                    .map(|rank| weight / (k + rank as f32))
                    .collect(),
                FusionMethod::Convex { normalisation } => {
                    let scaled = normalisation.scale(&list.kind, &scores(&entries)?)?;
                    scaled.into_iter().map(|share| weight / total * share).collect()
                }
                FusionMethod::Dbsf => {
                    let scaled = by_distribution(&scores(&entries)?);
                    scaled.into_iter().map(|share| weight / total * share).collect()
                }
            };
            for ((id, _), share) in entries.into_iter().zip(shares) {
                *fused.entry(id).or_default() += share;
            }
        }
        let mut fused: Vec<_> = fused.into_iter().collect();
        // The sort is stable, and the map gave the ids in ascending order.
        fused.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(fused)
    }

    /// Whether the weights are for so many lists; what was deserialised did not pass [`Fusion::with_weights`].
    fn check(&self, lists: usize) -> Result<()> {
        let problem = if !self.weights.is_empty() && self.weights.len() != lists {
            format!("there are {} for {lists} rankings", self.weights.len())
        } else if let Some(weight) = self
            .weights
            .iter()
            .find(|weight| !weight.is_finite() || **weight < 0.0)
        {
            format!("{weight} is not a finite number of at least 0")
        } else if !self.weights.is_empty() && self.weights.iter().all(|weight| *weight == 0.0) {
            "all are 0, so nothing would be found".to_owned()
        } else {
            return match self.method {
                FusionMethod::Rrf { k } if !(k.is_finite() && k >= 0.0) => Err(invalid(
                    "k",
                    format!("{k} is not a finite number of at least 0; the paper has 60"),
                )),
                _ => Ok(()),
            };
        };
        Err(invalid("weights", problem))
    }
}

impl Normalisation {
    /// Scores of one list and kind into 0..=1.
    fn scale(self, kind: &ScoreKind, scores: &[f32]) -> Result<Vec<f32>> {
        let least = scores.iter().copied().fold(f32::INFINITY, f32::min);
        let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (low, flat) = match self {
            Self::MinMax => (least, 1.0),
            // Where the greatest is the least possible one, nothing was found.
            Self::Theoretical => (least_possible(kind)?.min(least), 0.0),
        };
        let scale = |score: &f32| match greatest > low {
            true => (score - low) / (greatest - low),
            false => flat,
        };
        Ok(scores.iter().map(scale).collect())
    }
}

/// The least score that a kind can have.
fn least_possible(kind: &ScoreKind) -> Result<f32> {
    match kind {
        ScoreKind::Cosine => Ok(-1.0),
        ScoreKind::Bm25 | ScoreKind::Rerank | ScoreKind::Rrf | ScoreKind::Convex => Ok(0.0),
        other => Err(Error::Unsupported {
            retriever: "the theoretical normalisation",
            what: format!("scores of the kind {other}, which have no least value"),
            remedy: "take Normalisation::MinMax or Fusion::dbsf".to_owned(),
        }),
    }
}

/// Scores in units of six standard deviations, the mean at 0.5.
fn by_distribution(scores: &[f32]) -> Vec<f32> {
    let n = scores.len() as f64;
    let mean = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / n.max(1.0);
    let squares = scores.iter().map(|score| (f64::from(*score) - mean).powi(2));
    let deviation = (squares.sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
    let range = 2.0 * f64::from(DEVIATIONS) * deviation;
    // Equal scores may differ from their mean by rounding.
    let is_flat = range <= f64::from(f32::EPSILON) * mean.abs();
    let scale = |score: &f32| match is_flat {
        true => 0.5,
        false => ((f64::from(*score) - mean) / range + 0.5) as f32,
    };
    scores.iter().map(scale).collect()
}

/// The scores of a list, all finite.
fn scores<Id>(entries: &[(Id, f32)]) -> Result<Vec<f32>> {
    match entries.iter().find(|(_, score)| !score.is_finite()) {
        Some((_, score)) => Err(Error::Core(ragtune_core::Error::NotFinite {
            what: "a score of a ranking that is fused".to_owned(),
            value: *score,
        })),
        None => Ok(entries.iter().map(|(_, score)| *score).collect()),
    }
}

/// The list without repeated ids.
fn first_places<Id: Ord + Copy>(list: &[(Id, f32)]) -> Vec<(Id, f32)> {
    let mut seen = BTreeSet::new();
    list.iter().copied().filter(|(id, _)| seen.insert(*id)).collect()
}

fn invalid(argument: &'static str, reason: String) -> Error {
    Error::Core(ragtune_core::Error::InvalidArgument { argument, reason })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn two<'l, Id>(dense: &'l [(Id, f32)], lexical: &'l [(Id, f32)]) -> [RankedList<'l, Id>; 2] {
        [
            RankedList::new(ScoreKind::Cosine, dense),
            RankedList::new(ScoreKind::Bm25, lexical),
        ]
    }

    fn near(fused: &[(i32, f32)], expected: &[(i32, f32)]) {
        assert_eq!(fused.len(), expected.len(), "{fused:?}");
        for ((id, score), (expected_id, expected)) in fused.iter().zip(expected) {
            assert!(id == expected_id && (score - expected).abs() < 1e-6, "{fused:?}");
        }
    }

    #[test]
    fn reciprocal_ranks_add_up() {
        let fusion = Fusion::rrf().with_weights([1.0, 0.5]).unwrap();
        let fused = fusion
            .fuse(&two(&[(1, 0.9), (2, 0.1)], &[(2, 30.0), (3, 2.0)]))
            .unwrap();
        near(
            &fused,
            &[(2, 1.0 / 62.0 + 0.5 / 61.0), (1, 1.0 / 61.0), (3, 0.5 / 62.0)],
        );
    }

    #[test]
    fn convex_combination_scales_each_list() {
        let fusion = Fusion::convex().with_weights([3.0, 1.0]).unwrap();
        let fused = fusion.fuse(&two(&[(1, 0.9), (2, 0.5), (3, 0.1)], &[(3, 10.0), (4, 5.0)]));
        near(&fused.unwrap(), &[(1, 0.75), (2, 0.375), (3, 0.25), (4, 0.0)]);
    }

    #[test]
    fn the_theoretical_minimum_keeps_the_last_from_nothing() {
        let fusion = Fusion::new(FusionMethod::Convex {
            normalisation: Normalisation::Theoretical,
        });
        let fused = fusion
            .fuse(&two(&[(1, 1.0), (2, 0.0)], &[(3, 10.0), (4, 5.0)]))
            .unwrap();
        near(&fused, &[(1, 0.5), (3, 0.5), (2, 0.25), (4, 0.25)]);
        let nothing = fusion.fuse(&two(&[(1, 1.0)], &[(4, 0.0)])).unwrap();
        near(&nothing, &[(1, 0.5), (4, 0.0)]);
        let unbounded = fusion.fuse(&[RankedList::new(ScoreKind::Dot, &[(1, 3.0)])]);
        assert!(matches!(unbounded, Err(Error::Unsupported { .. })));
    }

    #[test]
    fn distributions_are_brought_to_the_same_scale() {
        // Mean 2, deviation 1: 1, 2, 3 lie at -1, 0 and 1 of the 6 deviations between the limits.
        let fused = Fusion::dbsf()
            .fuse(&two(&[(1, 3.0), (2, 2.0), (3, 1.0)], &[(2, 7.0)]))
            .unwrap();
        near(
            &fused,
            &[
                (2, 0.25 + 0.25),
                (1, 0.5 * (0.5 + 1.0 / 6.0)),
                (3, 0.5 * (0.5 - 1.0 / 6.0)),
            ],
        );
        let flat = Fusion::dbsf().fuse(&[RankedList::new(ScoreKind::Bm25, &[(1, 0.1), (2, 0.1), (3, 0.1)])]);
        near(&flat.unwrap(), &[(1, 0.5), (2, 0.5), (3, 0.5)]);
    }

    #[test]
    fn equal_scores_count_as_found() {
        let fused = Fusion::convex()
            .fuse(&two(&[(2, 0.3), (1, 0.3)], &[(7, 4.0)]))
            .unwrap();
        assert_eq!(fused, [(1, 0.5), (2, 0.5), (7, 0.5)]);
        for fusion in [Fusion::rrf(), Fusion::convex(), Fusion::dbsf()] {
            assert!(fusion.fuse::<u32>(&two(&[], &[])).unwrap().is_empty());
            assert!(fusion.fuse::<u32>(&[]).unwrap().is_empty());
        }
    }

    #[test]
    fn ties_break_by_id_and_repeats_count_once() {
        let fused = Fusion::default().fuse(&two(&[(2, 1.0)], &[(1, 1.0)])).unwrap();
        assert_eq!(fused, [(1, 1.0 / 61.0), (2, 1.0 / 61.0)]);
        let fused = Fusion::default().fuse(&two(&[(2, 1.0), (2, 0.5)], &[])).unwrap();
        assert_eq!(fused, [(2, 1.0 / 61.0)]);
    }

    #[test]
    fn a_list_of_weight_0_is_left_out() {
        for fusion in [Fusion::rrf(), Fusion::convex(), Fusion::dbsf()] {
            let fused = fusion.with_weights([0.0, 1.0]).unwrap();
            let fused = fused.fuse(&two(&[(1, f32::NAN)], &[(2, 2.0), (3, 1.0)])).unwrap();
            assert_eq!(fused.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 3]);
        }
    }

    #[test]
    fn weights_that_mean_nothing_are_refused() {
        for weights in [
            &[-1.0, 1.0][..],
            &[f32::NAN, 1.0],
            &[0.0, 0.0],
            &[f32::INFINITY, 1.0],
        ] {
            assert!(
                Fusion::rrf().with_weights(weights.iter().copied()).is_err(),
                "{weights:?}"
            );
        }
        let three = Fusion::rrf().with_weights([1.0, 1.0, 1.0]).unwrap();
        assert!(
            three
                .fuse(&two(&[(1, 1.0)], &[]))
                .unwrap_err()
                .to_string()
                .contains("3 for 2")
        );
        let odd = Fusion::new(FusionMethod::Rrf { k: -61.0 });
        assert!(odd.fuse(&two(&[(1, 1.0)], &[])).is_err());
        assert!(Fusion::convex().fuse(&two(&[(1, f32::NAN)], &[])).is_err());
        let read: Fusion =
            serde_json::from_str(r#"{"method": {"rrf": {"k": 60}}, "weights": [-1, 2]}"#).unwrap();
        assert!(read.fuse(&two(&[(1, 1.0)], &[])).is_err());
    }

    proptest! {
        #[test]
        fn every_id_comes_out_once_in_order(
            dense in prop::collection::vec((0u8..20, -1.0f32..1.0), 0..20),
            lexical in prop::collection::vec((0u8..20, 0.0f32..30.0), 0..20),
            weight in 0.1f32..=0.9,
        ) {
            let theoretical = FusionMethod::Convex { normalisation: Normalisation::Theoretical };
            for fusion in [Fusion::rrf(), Fusion::convex(), Fusion::dbsf(), Fusion::new(theoretical)] {
                let fused = fusion.with_weights([weight, 1.0 - weight]).unwrap();
                let fused = fused.fuse(&two(&dense, &lexical)).unwrap();
                let mut ids: Vec<_> = fused.iter().map(|(id, _)| *id).collect();
                prop_assert!(fused.windows(2).all(|w| w[0].1 > w[1].1 || w[0].1 == w[1].1 && w[0].0 < w[1].0));
                ids.sort_unstable();
                let mut expected: Vec<_> = dense.iter().chain(&lexical).map(|(id, _)| *id).collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(ids, expected);
            }
        }

        /// Only the form of a distribution counts: other units change nothing.
        #[test]
        fn units_do_not_count(
            dense in prop::collection::vec((0u8..20, -1.0f32..1.0), 1..20),
            lexical in prop::collection::vec((0u8..20, (0u16..3000).prop_map(|n| f32::from(n) / 100.0)), 1..20),
        ) {
            let moved: Vec<_> = lexical.iter().map(|(id, score)| (*id, 4.0 * score + 8.0)).collect();
            for fusion in [Fusion::rrf(), Fusion::convex(), Fusion::dbsf()] {
                let before: BTreeMap<_, _> = fusion.fuse(&two(&dense, &lexical)).unwrap().into_iter().collect();
                for (id, score) in fusion.fuse(&two(&dense, &moved)).unwrap() {
                    prop_assert!((score - before[&id]).abs() < 1e-3, "{} beside {}", score, before[&id]);
                }
            }
        }
    }
}
