//! The measures against trec_eval's own answers; `fixtures/measures/make.py` makes the fixture.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use std::collections::BTreeMap;

use ragtune_retrieve::measure::{Measure, Qrels, Run, evaluate};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    qrels: Qrels,
    run: BTreeMap<String, BTreeMap<String, f32>>,
    expected: BTreeMap<String, BTreeMap<String, f64>>,
}

#[test]
fn measures_equal_those_of_trec_eval() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/measures/trec_eval.json")).unwrap();
    let mut measures = vec![Measure::Map, Measure::Mrr(1000), Measure::RPrecision];
    for k in [1, 3, 5, 10, 100] {
        measures.extend([
            Measure::Ndcg(k),
            Measure::Recall(k),
            Measure::Precision(k),
            Measure::Success(k),
        ]);
    }
    let run: Run = fixture
        .run
        .into_iter()
        .map(|(question, ranking)| (question, ranking.into_iter().collect()))
        .collect();
    let evaluation = evaluate(&fixture.qrels, &run, &measures);
    assert_eq!(evaluation.per_question.len(), fixture.expected.len());
    for (question, values) in &evaluation.per_question {
        for (measure, value) in measures.iter().zip(values) {
            let expected = fixture.expected[question][&measure.to_string()];
            assert!(
                (value - expected).abs() < 1e-9,
                "{question} {measure}: {value} instead of {expected}"
            );
        }
    }
    for (measure, mean) in &evaluation.means {
        let name = measure.to_string();
        let expected = fixture.expected.values().map(|values| values[&name]).sum::<f64>();
        assert!((mean - expected / fixture.expected.len() as f64).abs() < 1e-9);
    }
}
