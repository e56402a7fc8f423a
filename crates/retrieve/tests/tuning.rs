//! Fusion tuned on labelled questions.
#![allow(clippy::unwrap_used, reason = "a test that meets one fails")]

mod support;

use proptest::prelude::*;
use ragtune_core::statistics::Bootstrap;
use ragtune_core::text::{Chunk, Document, Query, ScoreKind, ScoredChunk};
use ragtune_retrieve::measure::{Measure, QuestionSet, RunOptions, evaluate, run};
use ragtune_retrieve::retrievers::TuneOptions;
use ragtune_retrieve::{Error, Fusion, HybridRetriever, Retriever};

/// Scores that were prepared for each question, whose text is its number.
#[derive(Clone, Debug)]
struct Prepared(ScoreKind, Vec<Vec<(u8, u8)>>);

impl Retriever for Prepared {
    fn retrieve(&self, query: &Query) -> ragtune_retrieve::Result<Vec<ScoredChunk>> {
        let number: usize = query.text.parse().unwrap();
        let mut hits: Vec<ScoredChunk> = Vec::new();
        for (id, score) in &self.1[number] {
            let chunk = Chunk::whole(&Document::new(format!("d{id}"), format!("text {id}")));
            if !hits.iter().any(|hit| hit.chunk.id == chunk.id) {
                hits.push(ScoredChunk::new(chunk, self.0.clone(), f32::from(*score) / 8.0));
            }
        }
        ScoredChunk::sort(&mut hits);
        hits.truncate(query.top_k);
        Ok(hits)
    }
}

fn questions(relevant: &[Vec<u8>]) -> QuestionSet {
    QuestionSet::new(relevant.iter().enumerate().map(|(number, ids)| {
        (
            number.to_string(),
            ids.iter().map(|id| format!("d{id}")).collect::<Vec<_>>(),
        )
    }))
}

fn quick() -> TuneOptions {
    TuneOptions::default()
        .with_steps(6)
        .with_measure(Measure::Ndcg(5))
        .with_bootstrap(Bootstrap::default().with_resamples(100).unwrap())
}

#[test]
fn complementary_retrievers_gain_by_fusion() {
    // The first finds even questions' documents, with great scores; the second odd ones'; both put noise first elsewhere.
    let list = |number: u8, good: bool| match good {
        true => vec![(number, 200), (100, 20), (101, 10)],
        false => vec![(101 + number % 3, 90), (number, 80), (110, 70)],
    };
    let lists = |even: bool| {
        (0..40u8)
            .map(|number| list(number, (number % 2 == 0) == even))
            .collect()
    };
    let hybrid = HybridRetriever::new(
        Prepared(ScoreKind::Cosine, lists(true)),
        Prepared(ScoreKind::Bm25, lists(false)),
    );
    let relevant: Vec<Vec<u8>> = (0..40).map(|number| vec![number]).collect();
    let tuning = hybrid
        .tune(&questions(&relevant), &TuneOptions::default())
        .unwrap();
    assert!(tuning.is_fused && tuning.held_out.estimate == 1.0, "{tuning}");
    assert!(
        tuning
            .gains
            .iter()
            .all(|gain| gain.interval.low > 0.0 && gain.p_value < 0.01),
        "{tuning}"
    );
    assert_eq!(tuning.fusion.weights().len().max(2), 2);
}

#[test]
fn a_part_that_only_harms_is_left_out() {
    let good = (0..20u8).map(|number| vec![(number, 100), (50, 90)]).collect();
    let noise = (0..20u8)
        .map(|number| vec![(60 + number, 250), (80 + number, 240), (120, 230)])
        .collect();
    let hybrid = HybridRetriever::new(Prepared(ScoreKind::Bm25, noise), Prepared(ScoreKind::Bm25, good));
    let relevant: Vec<Vec<u8>> = (0..20).map(|number| vec![number]).collect();
    let tuning = hybrid
        .tune(&questions(&relevant), &TuneOptions::default())
        .unwrap();
    assert!(!tuning.is_fused, "{tuning}");
    assert_eq!(
        (tuning.best_single, tuning.fusion.weights()),
        (1, &[0.0, 1.0][..])
    );
    assert!(tuning.to_string().ends_with("chosen: retriever 2 alone"));
    assert!(tuning.gain_over_untuned.interval.estimate > 0.0);
}

#[test]
fn impossible_settings_are_refused() {
    let hybrid = HybridRetriever::new(
        Prepared(ScoreKind::Dot, vec![vec![(1, 1)]; 5]),
        Prepared(ScoreKind::Dot, vec![vec![(2, 1)]; 5]),
    );
    let five = questions(&vec![vec![1]; 5]);
    for options in [
        quick().with_folds(1),
        quick().with_folds(6),
        quick().with_steps(0),
        quick().with_methods([]),
    ] {
        let refused = hybrid.tune(&five, &options);
        assert!(
            matches!(
                refused,
                Err(Error::Core(ragtune_core::Error::InvalidArgument { .. }))
            ),
            "{refused:?}"
        );
    }
    // Dot products have no least value, so that method is not tried; the others are.
    assert!(hybrid.tune(&five, &quick()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn never_worse_than_the_better_single_one(
        lists in prop::collection::vec(
            (
                prop::collection::vec((0u8..12, 1u8..250), 0..8),
                prop::collection::vec((0u8..12, 1u8..250), 0..8),
                prop::collection::vec(0u8..12, 1..3),
            ),
            5..14,
        ),
        seed in 0u64..1000,
    ) {
        let first = Prepared(ScoreKind::Cosine, lists.iter().map(|(list, _, _)| list.clone()).collect());
        let second = Prepared(ScoreKind::Bm25, lists.iter().map(|(_, list, _)| list.clone()).collect());
        let set = questions(&lists.iter().map(|(_, _, relevant)| relevant.clone()).collect::<Vec<_>>());
        let hybrid = HybridRetriever::new(first, second);
        let options = quick().with_seed(seed);
        let tuning = hybrid.tune(&set, &options).unwrap();
        prop_assert_eq!(&tuning, &hybrid.tune(&set, &options).unwrap());

        let mean = |fusion: Fusion| {
            let found = run(&hybrid.clone().with_fusion(fusion), &set, &RunOptions::default()).unwrap();
            evaluate(&set.qrels, &found, &[Measure::Ndcg(5)]).means[&Measure::Ndcg(5)]
        };
        let singles = [[1.0, 0.0], [0.0, 1.0]].map(|weights| mean(Fusion::rrf().with_weights(weights).unwrap()));
        let better = singles[0].max(singles[1]);
        for (single, found) in tuning.singles.iter().zip(singles) {
            prop_assert!((single.estimate - found).abs() < 1e-9, "{} {}", single, found);
        }
        let chosen = mean(tuning.fusion.clone());
        prop_assert!(chosen >= better - 1e-9, "{} is below {}", chosen, better);
        // On held-out questions too, or nothing is fused.
        prop_assert!(!tuning.is_fused || tuning.held_out.estimate >= better - 1e-9);
        let weights = tuning.fusion.weights();
        prop_assert_eq!(tuning.is_fused, weights.is_empty() || weights.iter().all(|weight| *weight > 0.0));
    }
}
