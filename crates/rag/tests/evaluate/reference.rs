//! Measures that are ours against their references and definitions.

use proptest::prelude::*;
use ragtune::Cancel;
use ragtune::evaluate::{
    AnswerQuestion, AnswerSet, Evaluator, Response, ResponseCitation, ResponseSource, System, auroc, name,
};
use ragtune::train::metrics::{Bleu, Squad};
use serde_json::Value;

#[test]
fn areas_equal_those_of_scikit_learn() {
    let file: Value = serde_json::from_str(include_str!("../fixtures/evaluate/auroc.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 30);
    for case in cases {
        let labels: Vec<bool> = serde_json::from_value(case["labels"].clone()).unwrap();
        let scores: Vec<f64> = serde_json::from_value(case["scores"].clone()).unwrap();
        let area = auroc(&labels, &scores).unwrap().unwrap();
        let expected = case["auroc"].as_f64().unwrap();
        assert!(
            (area - expected).abs() < 1e-12,
            "{}: {area} instead of {expected}",
            case["kind"]
        );
    }
}

/// Says what it is given, one answer for each question in order.
struct Scripted(Vec<Response>);

impl System for Scripted {
    fn respond(&self, question: &str, _: &Cancel) -> ragtune::Result<Response> {
        Ok(self.0[question.parse::<usize>().unwrap()].clone())
    }
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["tea", "cup", "the", "hot", "80", "degrees", "."]),
        0..7,
    )
    .prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The means of a set are those of the metrics of `ragtune-train`, which equal their references.
    #[test]
    fn means_are_those_of_the_metrics(
        cases in prop::collection::vec((words(), words(), any::<bool>()), 1..8),
    ) {
        let questions = cases.iter().enumerate().map(|(at, (answer, _, answerable))| match answerable {
            true => AnswerQuestion::new(format!("q{at}"), at.to_string()).with_answers([format!("x {answer}")]),
            false => AnswerQuestion::unanswerable(format!("q{at}"), at.to_string()),
        });
        let set = AnswerSet::new(questions).unwrap();
        let said = cases.iter().map(|(_, said, _)| match said.trim() {
            "" => Response::abstain("unknown"),
            said => Response::new(said),
        });
        let bootstrap = ragtune::core::statistics::Bootstrap::default().with_resamples(100).unwrap();
        let evaluation = Evaluator::new()
            .with_bootstrap(bootstrap)
            .run(&Scripted(said.collect()), &set, &mut |_| {})
            .unwrap();
        let truth: Vec<Vec<String>> = set.questions().iter().map(|question| question.answers.clone()).collect();
        let predictions: Vec<&str> = cases.iter().map(|(_, said, _)| said.trim()).collect();
        let squad = Squad::default().evaluate(&truth, &predictions).unwrap();
        let of = |name: &str| evaluation.get(name).map(|measured| measured.value);
        // Where nothing is answered but unanswerable ones said something of no words, SQuAD's script calls that empty.
        let has_words = cases.iter().all(|(_, said, answerable)| *answerable || said.trim().is_empty() || said.contains(char::is_alphanumeric));
        prop_assume!(has_words);
        let only_articles = cases.iter().any(|(_, said, answerable)| {
            !answerable && !said.trim().is_empty() && said.split_whitespace().all(|word| matches!(word, "the" | "."))
        });
        prop_assume!(!only_articles);
        prop_assert!((of(name::EXACT_MATCH).unwrap() * 100.0 - squad.all.exact).abs() < 1e-9);
        prop_assert!((of(name::F1).unwrap() * 100.0 - squad.all.f1).abs() < 1e-9);
        let answerable: Vec<usize> = (0..cases.len()).filter(|at| cases[*at].2).collect();
        if answerable.is_empty() {
            prop_assert!(of(name::BLEU).is_none() && evaluation.why_absent(name::BLEU).is_some());
        } else {
            let references: Vec<&Vec<String>> = answerable.iter().map(|at| &truth[*at]).collect();
            let references: Vec<Vec<String>> = references.into_iter().cloned().collect();
            let hypotheses: Vec<&str> = answerable.iter().map(|at| predictions[*at]).collect();
            let bleu = Bleu::default().corpus(&references, &hypotheses).unwrap();
            prop_assert!((of(name::BLEU).unwrap() - bleu.score).abs() < 1e-9);
        }
    }

    /// Recall, precision and reciprocal rank as counted by hand.
    #[test]
    fn sources_are_measured_by_their_definitions(
        found in prop::collection::vec(0_u8..6, 0..9),
        gold in prop::collection::btree_set(0_u8..6, 1..4),
        cited in prop::collection::btree_set(0_usize..9, 0..4),
    ) {
        let mut response = Response::new("yes");
        let source = |number: &u8| ResponseSource {
            document_id: format!("d{number}"),
            path: format!("d{number}"),
            chunk_id: "c".to_owned(),
            score: 0.5,
        };
        response.sources = Some(found.iter().map(source).collect());
        let cited: Vec<usize> = cited.into_iter().filter(|at| *at < found.len()).collect();
        response.citations = cited
            .iter()
            .map(|at| ResponseCitation { source: *at, text: "x".to_owned(), answer_span: ragtune::Span::new(0, 3) })
            .collect();
        let set = AnswerSet::new([
            AnswerQuestion::new("a", "0").with_sources(gold.iter().map(|number| format!("d{number}"))),
        ]).unwrap();
        let evaluation = Evaluator::new().run(&Scripted(vec![response]), &set, &mut |_| {}).unwrap();
        let of = |name: &str| evaluation.get(name).map(|measured| measured.value);
        let mut distinct: Vec<u8> = Vec::new();
        for number in &found {
            if !distinct.contains(number) {
                distinct.push(*number);
            }
        }
        let right = |numbers: &[u8]| numbers.iter().filter(|number| gold.contains(number)).count() as f64;
        let first = &distinct[..distinct.len().min(3)];
        prop_assert_eq!(of("recall@3"), Some(right(first) / gold.len() as f64));
        let rank = distinct.iter().position(|number| gold.contains(number));
        prop_assert_eq!(of("mrr@10"), Some(rank.map_or(0.0, |rank| 1.0 / (rank + 1) as f64)));
        let quoted: Vec<u8> = cited.iter().map(|at| found[*at]).collect();
        match quoted.len() {
            0 => prop_assert!(evaluation.why_absent(name::CITATION_PRECISION).is_some()),
            count => prop_assert_eq!(of(name::CITATION_PRECISION), Some(right(&quoted) / count as f64)),
        }
        let distinct: std::collections::BTreeSet<u8> = quoted.into_iter().collect();
        let recall = distinct.intersection(&gold).count() as f64 / gold.len() as f64;
        prop_assert_eq!(of(name::CITATION_RECALL), Some(recall));
    }
}
