//! What is left of an evaluation: records, page, record of the run.

use std::fs;

use ragtune::Rag;
use ragtune::evaluate::{AnswerQuestion, AnswerSet, Evaluation, Evaluator, Record, name};
use ragtune::experiment::Experiment;
use ragtune::testing::{HashingEmbedder, OneDocument};

fn evaluation() -> Evaluation {
    let text = "<b>Green</b> tea is steeped at 80 degrees.\n\nWater boils at 100 degrees.";
    let rag = Rag::builder()
        .retriever(OneDocument::new("<tea>.md", text))
        .build()
        .unwrap();
    let questions = (0..30).map(|at| match at % 3 {
        0 => AnswerQuestion::new(format!("q{at:02}"), "At how many degrees is green tea steeped?")
            .with_answers(["<script>80</script> degrees"])
            .with_sources(["<tea>.md"]),
        1 => AnswerQuestion::new(format!("q{at:02}"), "At how many degrees does water boil?")
            .with_answers(["100 degrees"]),
        _ => AnswerQuestion::unanswerable(format!("q{at:02}"), "Who planted the <i>first</i> tree?"),
    });
    let set = AnswerSet::new(questions).unwrap();
    Evaluator::new()
        .with_name("quotes & more")
        .with_encoder(HashingEmbedder::new(128))
        .with_documents(["<tea>.md"])
        .run(&rag, &set, &mut |_| {})
        .unwrap()
}

#[test]
fn records_come_back_and_the_page_is_whole() {
    let evaluation = evaluation();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("questions.jsonl");
    evaluation.write_records(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let records: Vec<Record> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 30);
    for (found, kept) in records.iter().zip(&evaluation.records) {
        assert_eq!(
            (&found.id, &found.text, &found.outcome),
            (&kept.id, &kept.text, &kept.outcome)
        );
        assert_eq!(
            found.measures.keys().collect::<Vec<_>>(),
            kept.measures.keys().collect::<Vec<_>>()
        );
    }
    let page = folder.path().join("report.html");
    evaluation.write_html(&page).unwrap();
    let html = fs::read_to_string(&page).unwrap();
    for wanted in [
        "Evaluation of quotes &amp; more",
        "Risk by coverage",
        "What went worst",
        "All 30 questions",
        "<svg",
    ] {
        assert!(html.contains(wanted), "{wanted}");
    }
    assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains("<i>"));
    let table = evaluation.table().to_string();
    assert!(table.lines().any(|line| line.starts_with("f1 ")), "{table}");
}

#[test]
fn the_record_of_the_run_has_every_measure() {
    let evaluation = evaluation();
    let mut run = Experiment::start("evaluate", "tea");
    evaluation.note_in(&mut run);
    for measured in &evaluation.metrics {
        assert_eq!(run.metrics[&measured.name].mean, measured.value);
        assert_eq!(run.metrics[&measured.name].low, Some(measured.low));
    }
    assert!(
        run.notes
            .iter()
            .any(|note| note.starts_with("support_judged is absent"))
    );
    let folder = tempfile::tempdir().unwrap();
    run.save(folder.path()).unwrap();
    assert_eq!(
        Experiment::load(folder.path()).unwrap().metrics.len(),
        run.metrics.len()
    );
}

#[test]
fn the_same_questions_have_the_same_measures() {
    let (first, second) = (evaluation(), evaluation());
    let timeless = |evaluation: &Evaluation| {
        let measured = evaluation
            .metrics
            .iter()
            .filter(|measured| !measured.name.starts_with("latency"));
        measured.cloned().collect::<Vec<_>>()
    };
    assert_eq!(timeless(&first), timeless(&second));
    assert_eq!(first.values(name::F1), second.values(name::F1));
}
