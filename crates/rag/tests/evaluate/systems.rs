//! Systems that answer, abstain, break, hang on to nothing; sets with one kind of question.

use std::sync::Mutex;

use ragtune::evaluate::{
    AnswerQuestion, AnswerSet, EvaluateEvent, Evaluator, Outcome, PlainModel, RagSystem, Response, System,
    name,
};
use ragtune::testing::{HashingEmbedder, OneDocument, ScriptedGenerator};
use ragtune::{Cancel, Error, Query, Rag, ScoreKind};

const TEA: &str =
    "Green tea is steeped at 80 degrees. Black tea takes boiling water.\n\nCoffee grows in Brazil.";

fn rag() -> Rag {
    Rag::builder()
        .retriever(OneDocument::new("tea.md", TEA))
        .build()
        .unwrap()
}

fn set() -> AnswerSet {
    AnswerSet::new([
        AnswerQuestion::new("green", "At how many degrees is green tea steeped?")
            .with_answers(["at 80 degrees", "80 degrees"])
            .with_sources(["tea.md"]),
        AnswerQuestion::new("coffee", "Where does coffee grow?")
            .with_answers(["Brazil"])
            .with_sources(["gone.md"]),
        AnswerQuestion::unanswerable("moon", "Who walked on the moon first?"),
    ])
    .unwrap()
}

/// Every third question breaks.
struct Fragile {
    rag: Rag,
    asked: Mutex<usize>,
}

impl System for Fragile {
    fn respond(&self, question: &str, cancel: &Cancel) -> ragtune::Result<Response> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        if *asked % 3 == 1 {
            return Err(Error::EmptyQuestion);
        }
        self.rag.respond(question, cancel)
    }
}

#[test]
fn a_pipeline_is_measured_from_words_to_citations() {
    let mut events = Vec::new();
    let evaluation = Evaluator::new()
        .with_name("quotes")
        .with_encoder(HashingEmbedder::new(256))
        .with_documents(["tea.md"])
        .run(&rag(), &set(), &mut |event| {
            events.push(match event {
                EvaluateEvent::Answered { done, total, record } => format!("{done}/{total} {}", record.id),
                EvaluateEvent::Measuring { what } => what.to_owned(),
                _ => String::new(),
            });
        })
        .unwrap();
    assert_eq!(
        events,
        [
            "1/3 green",
            "2/3 coffee",
            "3/3 moon",
            "words and sources",
            "encoder",
            "intervals"
        ]
    );
    let record = &evaluation.records[0];
    assert_eq!(record.measured_text, "Green tea is steeped at 80 degrees.");
    assert_eq!(record.text, "Green tea is steeped at 80 degrees. [1]");
    // Three of the words green, tea, is, steeped, at, 80, degrees are in "at 80 degrees".
    let f1 = 2.0 * 3.0 / (7.0 + 3.0);
    assert!((record.measures[name::F1] - f1).abs() < 1e-12, "{record:?}");
    assert_eq!(record.measures[name::SUPPORTED], 1.0);
    assert_eq!(record.measures[name::CITATION_RECALL], 1.0);
    assert!(record.confidence.is_some() && record.model_calls > 0 && record.latency_ms > 0.0);
    assert_eq!(evaluation.unknown_sources.len(), 1);
    assert_eq!(evaluation.unknown_sources[0].document, "gone.md");
    assert_eq!(
        evaluation.get("recall@1").unwrap().value,
        0.5,
        "what does not exist is not found"
    );
    for measured in &evaluation.metrics {
        assert!(
            measured.value.is_finite() && measured.low <= measured.high,
            "{measured:?}"
        );
    }
    let names: Vec<&str> = evaluation
        .metrics
        .iter()
        .map(|measured| measured.name.as_str())
        .collect();
    for wanted in [
        name::SIMILARITY,
        name::SUPPORT_ENCODER,
        name::AURC,
        name::AUROC_ANSWERABLE,
        name::LATENCY_P95,
    ] {
        assert!(names.contains(&wanted), "{wanted} is not in {names:?}");
    }
    assert!(
        evaluation
            .why_absent(name::SUPPORT_JUDGED)
            .unwrap()
            .contains("no judge")
    );
    assert_eq!(evaluation.values(name::F1).len(), 3);
    assert!(evaluation.notes.iter().any(|note| note.contains("3 questions")));
}

#[test]
fn a_failure_counts_as_wrong_and_is_shown() {
    let system = Fragile {
        rag: rag(),
        asked: Mutex::new(0),
    };
    let evaluation = Evaluator::new().run(&system, &set(), &mut |_| {}).unwrap();
    assert_eq!((evaluation.counts.questions, evaluation.counts.failed), (3, 1));
    let failed = &evaluation.records[0];
    assert!(
        matches!(&failed.outcome, Outcome::Failed(error) if error.contains("empty")),
        "{failed:?}"
    );
    assert_eq!(failed.measures[name::F1], 0.0);
    assert_eq!(failed.measures["recall@1"], 0.0);
    assert_eq!(evaluation.get(name::F1).unwrap().questions, 3);
    assert!((evaluation.get(name::FAILED).unwrap().value - 1.0 / 3.0).abs() < 1e-12);
    assert!(evaluation.page().to_html().contains("(broke: "));
    let last = evaluation.risk_coverage.last().unwrap();
    assert_eq!(last.confidence, None, "it is the last that would be answered");

    struct Broken;
    impl System for Broken {
        fn respond(&self, _: &str, _: &Cancel) -> ragtune::Result<Response> {
            Err(Error::EmptyQuestion)
        }
    }
    let evaluation = Evaluator::new()
        .with_encoder(HashingEmbedder::new(64))
        .run(&Broken, &set(), &mut |_| {})
        .unwrap();
    assert_eq!(evaluation.counts.failed, 3);
    assert_eq!(
        evaluation.get(name::F1).unwrap().value,
        0.0,
        "also where the right thing is to abstain"
    );
    assert_eq!(evaluation.get(name::SIMILARITY).unwrap().value, 0.0);
    assert!(evaluation.why_absent(name::LATENCY_P50).is_some());
    for absent in [
        name::AUROC_ANSWERABLE,
        name::AURC,
        "recall@1",
        name::CITATION_RECALL,
    ] {
        let why = evaluation.why_absent(absent).unwrap();
        assert!(why.contains("broke on every question"), "{absent}: {why}");
    }
    assert!(evaluation.page().to_html().contains("on 3 it broke"));
}

#[test]
fn sets_of_one_kind_have_no_measure_that_is_no_number() {
    let one = AnswerQuestion::new("green", "At how many degrees is green tea steeped?")
        .with_answers(["80 degrees"]);
    let sets = [
        ("one", vec![one.clone()]),
        (
            "no unanswerable",
            vec![
                one.clone(),
                AnswerQuestion::new("b", "Black tea?").with_answers(["boiling"]),
            ],
        ),
        (
            "no answerable",
            vec![
                AnswerQuestion::unanswerable("m", "Moon?"),
                AnswerQuestion::unanswerable("s", "Sun?"),
            ],
        ),
        (
            "nothing known",
            vec![AnswerQuestion::new("n", "Where does coffee grow?")],
        ),
    ];
    for (kind, questions) in sets {
        let set = AnswerSet::new(questions).unwrap();
        let evaluation = Evaluator::new()
            .with_encoder(HashingEmbedder::new(64))
            .run(&rag(), &set, &mut |_| {})
            .unwrap();
        for measured in &evaluation.metrics {
            assert!(
                [measured.value, measured.low, measured.high]
                    .iter()
                    .all(|value| value.is_finite()),
                "{kind}: {measured:?}"
            );
        }
        assert!(
            evaluation.absent.iter().all(|absent| !absent.reason.is_empty()),
            "{kind}: {:?}",
            evaluation.absent
        );
        let json = serde_json::to_string(&evaluation).unwrap();
        assert!(!json.contains("null,\"low\""), "{kind}: {json}");
        let html = evaluation.page().to_html();
        assert!(!html.contains("NaN") && !html.contains(">inf"), "{kind}");
        match kind {
            "no answerable" => {
                assert!(evaluation.why_absent(name::ROUGE_L).is_some());
                assert_eq!(
                    evaluation.why_absent(name::AUROC_ANSWERABLE),
                    Some("no question is answerable")
                );
                assert!(evaluation.get(name::F1).is_some());
            }
            "nothing known" => assert!(evaluation.why_absent(name::F1).is_some()),
            _ => assert_eq!(
                evaluation.why_absent(name::ABSTAINED_UNANSWERABLE),
                Some("every question is answerable")
            ),
        }
    }
}

#[test]
fn a_model_alone_looks_nothing_up() {
    let model = PlainModel::new(ScriptedGenerator::new([
        "80 degrees",
        "I don't know",
        "I do not know.",
    ]));
    let evaluation = Evaluator::new().run(&model, &set(), &mut |_| {}).unwrap();
    assert_eq!(evaluation.get(name::EXACT_MATCH).unwrap().value, 2.0 / 3.0);
    assert_eq!(
        evaluation.why_absent("recall@1"),
        Some("the system looks nothing up")
    );
    assert_eq!(
        evaluation.why_absent(name::SUPPORTED),
        Some("the system looks nothing up")
    );
    assert_eq!(
        evaluation.why_absent(name::AURC),
        Some("the system tells no confidence")
    );
    assert_eq!(evaluation.get(name::MODEL_CALLS).unwrap().value, 1.0);
}

#[test]
fn settings_of_the_query_reach_the_pipeline() {
    let rag = Rag::builder()
        .retriever(OneDocument::new("tea.md", TEA))
        .generator(ScriptedGenerator::new([
            "At 80 degrees [1].",
            "In Brazil [1].",
            "I do not know.",
        ]))
        .build()
        .unwrap();
    let system = RagSystem::new(rag)
        .with_query(Query::new("").with_top_k(1))
        .with_confidence_by(ScoreKind::Cosine);
    let evaluation = Evaluator::new().run(&system, &set(), &mut |_| {}).unwrap();
    let record = &evaluation.records[0];
    assert_eq!(record.sources.as_ref().unwrap().len(), 1);
    assert_eq!(
        record.confidence,
        record.sources.as_ref().unwrap()[0].score.map(f64::from)
    );
    assert_eq!(
        record.measures[name::EXACT_MATCH],
        1.0,
        "the mark is not measured: {record:?}"
    );
    assert!(evaluation.get(name::AUROC_ANSWERABLE).is_some());
}

#[test]
fn cancelling_ends_it() {
    let cancel = Cancel::new();
    let flag = cancel.clone();
    let outcome = Evaluator::new()
        .with_cancel(cancel)
        .run(&rag(), &set(), &mut |event| {
            if matches!(event, EvaluateEvent::Answered { done: 2, .. }) {
                flag.cancel();
            }
        });
    assert!(
        matches!(outcome, Err(Error::Core(ragtune::core::Error::Cancelled))),
        "{outcome:?}"
    );
}

#[test]
fn two_systems_are_compared_question_by_question() {
    let run = |answers: [&str; 3]| {
        Evaluator::new()
            .run(
                &PlainModel::new(ScriptedGenerator::new(answers)),
                &set(),
                &mut |_| {},
            )
            .unwrap()
    };
    let (good, bad) = (
        run(["80 degrees", "Brazil", "I do not know."]),
        run(["no", "no", "no"]),
    );
    let bootstrap = ragtune::core::statistics::Bootstrap::default();
    let difference = good.difference(&bad, name::F1, &bootstrap).unwrap();
    assert_eq!(difference.interval.estimate, 1.0);
    assert!(good.difference(&bad, "recall@1", &bootstrap).is_err());
}
