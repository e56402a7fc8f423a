//! One ranking from two.
//!
//! - [`Fusion::Rrf`]: G. Cormack, C. Clarke and S. Büttcher, "Reciprocal rank fusion outperforms Condorcet and
//!   individual rank learning methods" (SIGIR 2009), with a weight for each ranking.
//! - [`Fusion::Convex`]: S. Bruch, S. Gai and A. Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval"
//!   (ACM TOIS 2023), with min-max normalisation over the candidates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a dense and a lexical ranking become one.
///
/// ```
/// use ragtune_retrieve::Fusion;
/// let fused = Fusion::default().fuse(&[("a", 0.9), ("b", 0.8)], &[("b", 7.0), ("c", 2.0)]);
/// assert_eq!(fused.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["b", "a", "c"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fusion {
    /// Weighted reciprocal rank fusion: `Σ weight / (k + rank)`, ranks counted from 1. It looks at ranks only and
    /// needs no labelled questions.
    Rrf {
        /// How little the first ranks stand out; 60 in the paper.
        k: f32,
        /// Weight of the dense ranking.
        dense_weight: f32,
        /// Weight of the lexical ranking.
        lexical_weight: f32,
    },
    /// `dense_weight · dense + (1 - dense_weight) · lexical`, each scaled so that its candidates lie in 0..=1. The
    /// better choice once labelled questions can tune the weight.
    Convex {
        /// Weight of the dense scores, in 0..=1.
        dense_weight: f32,
    },
}

impl Default for Fusion {
    /// Reciprocal rank fusion with k 60 and equal weights.
    fn default() -> Self {
        Self::Rrf {
            k: 60.0,
            dense_weight: 1.0,
            lexical_weight: 1.0,
        }
    }
}

impl Fusion {
    /// All ids of both lists with their fused scores, best first, ties by id. The lists are best first; of an id that
    /// a list repeats, the first place counts.
    ///
    /// An id that one list lacks gets nothing from it. Under [`Fusion::Convex`] a list whose scores are all equal
    /// gives each of its ids 1: they were found, and are equally good.
    pub fn fuse<Id: Ord + Copy>(&self, dense: &[(Id, f32)], lexical: &[(Id, f32)]) -> Vec<(Id, f32)> {
        let mut fused: BTreeMap<Id, f32> = BTreeMap::new();
        match *self {
            Self::Rrf {
                k,
                dense_weight,
                lexical_weight,
            } => {
                for (list, weight) in [(dense, dense_weight), (lexical, lexical_weight)] {
                    for (rank, (id, _)) in (1u32..).zip(first_places(list)) {
                        *fused.entry(id).or_default() += weight / (k + rank as f32);
                    }
                }
            }
            Self::Convex { dense_weight } => {
                for (list, weight) in [(dense, dense_weight), (lexical, 1.0 - dense_weight)] {
                    let list = first_places(list);
                    let low = list.iter().map(|(_, score)| *score).fold(f32::INFINITY, f32::min);
                    let high = list
                        .iter()
                        .map(|(_, score)| *score)
                        .fold(f32::NEG_INFINITY, f32::max);
                    for (id, score) in list {
                        let scaled = if high > low {
                            (score - low) / (high - low)
                        } else {
                            1.0
                        };
                        *fused.entry(id).or_default() += weight * scaled;
                    }
                }
            }
        }
        let mut fused: Vec<_> = fused.into_iter().collect();
        // The sort is stable, and the map gave the ids in ascending order.
        fused.sort_by(|a, b| b.1.total_cmp(&a.1));
        fused
    }
}

/// The list without repeated ids.
fn first_places<Id: Ord + Copy>(list: &[(Id, f32)]) -> Vec<(Id, f32)> {
    let mut seen = std::collections::BTreeSet::new();
    list.iter().copied().filter(|(id, _)| seen.insert(*id)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reciprocal_ranks_add_up() {
        let fusion = Fusion::Rrf {
            k: 60.0,
            dense_weight: 1.0,
            lexical_weight: 0.5,
        };
        let fused = fusion.fuse(&[(1, 0.9), (2, 0.1)], &[(2, 30.0), (3, 2.0)]);
        let expected = [(2, 1.0 / 62.0 + 0.5 / 61.0), (1, 1.0 / 61.0), (3, 0.5 / 62.0)];
        for ((id, score), (expected_id, expected_score)) in fused.iter().zip(expected) {
            assert_eq!(*id, expected_id);
            assert!((score - expected_score).abs() < 1e-7);
        }
    }

    #[test]
    fn convex_combination_scales_each_list() {
        let fusion = Fusion::Convex { dense_weight: 0.75 };
        let fused = fusion.fuse(&[(1, 0.9), (2, 0.5), (3, 0.1)], &[(3, 10.0), (4, 5.0)]);
        for ((id, score), (expected_id, expected)) in
            fused.iter().zip([(1, 0.75), (2, 0.375), (3, 0.25), (4, 0.0f32)])
        {
            assert!(
                *id == expected_id && (score - expected).abs() < 1e-6,
                "{id} {score}"
            );
        }
    }

    #[test]
    fn equal_scores_count_as_found() {
        let fusion = Fusion::Convex { dense_weight: 0.5 };
        assert_eq!(
            fusion.fuse(&[(2, 0.3), (1, 0.3)], &[(7, 4.0)]),
            [(1, 0.5), (2, 0.5), (7, 0.5)]
        );
        assert!(fusion.fuse::<u32>(&[], &[]).is_empty());
    }

    #[test]
    fn ties_break_by_id_and_repeats_count_once() {
        assert_eq!(
            Fusion::default().fuse(&[(2, 1.0)], &[(1, 1.0)]),
            [(1, 1.0 / 61.0), (2, 1.0 / 61.0)]
        );
        assert_eq!(
            Fusion::default().fuse(&[(2, 1.0), (2, 0.5)], &[]),
            [(2, 1.0 / 61.0)]
        );
    }

    proptest! {
        #[test]
        fn every_id_comes_out_once_in_order(
            dense in prop::collection::vec((0u8..20, -1.0f32..1.0), 0..20),
            lexical in prop::collection::vec((0u8..20, 0.0f32..30.0), 0..20),
            dense_weight in 0.0f32..=1.0,
        ) {
            for fusion in [Fusion::default(), Fusion::Convex { dense_weight }] {
                let fused = fusion.fuse(&dense, &lexical);
                let mut ids: Vec<_> = fused.iter().map(|(id, _)| *id).collect();
                prop_assert!(fused.windows(2).all(|w| w[0].1 > w[1].1 || w[0].1 == w[1].1 && w[0].0 < w[1].0));
                ids.sort_unstable();
                let mut expected: Vec<_> = dense.iter().chain(&lexical).map(|(id, _)| *id).collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(ids, expected);
            }
        }
    }
}
