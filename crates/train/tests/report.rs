//! Curves and model cards as files.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that meets them fails")]

use ragtune_train::metrics::Bootstrap;
use ragtune_train::objective::Scores;
use ragtune_train::optimiser::{Decay, Schedule};
use ragtune_train::report::{CardData, CardMetric, CardRun, Curves, ModelCard};
use ragtune_train::trainer::{Evaluation, History, Step};

/// A run of a loss that falls with noise, made without random numbers.
fn history() -> History {
    let schedule = Schedule {
        peak: 5e-4,
        warmup: 40,
        total: 400,
        decay: Decay::Cosine,
    };
    let steps = (1..=400_usize).map(|number| Step {
        number,
        epoch: number as f64 / 200.0,
        loss: 0.35 + 2.4 * (-(number as f64) / 70.0).exp() + 0.12 * (number as f64 * 1.7).sin(),
        learning_rate: schedule.rate(number - 1),
        gradient_norm: 1.0 + (number as f64 * 0.9).cos() * 0.4,
        tokens: 512,
    });
    let evaluations = [100, 200, 300, 400].map(|step| Evaluation {
        step,
        scores: Scores::higher("accuracy", 0.93 - (step as f64 - 300.0).abs() / 2000.0)
            .with("f1_macro", 0.91 - (step as f64 - 300.0).abs() / 2500.0)
            .with("loss", 0.42 + (step as f64 - 300.0).abs() / 1500.0),
    });
    History {
        steps: steps.collect(),
        evaluations: evaluations.to_vec(),
    }
}

#[test]
fn curves_lie_in_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = history();
    let files = Curves::new(&history)
        .write(folder.path().join("curves"))
        .expect("files");
    let mut names: Vec<_> = files
        .iter()
        .filter_map(|file| file.file_name()?.to_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "evaluations.csv",
            "gradient-norm.svg",
            "learning-rate.svg",
            "loss.svg",
            "scores.svg",
            "steps.csv"
        ]
    );
    assert_eq!(
        std::fs::read_dir(folder.path().join("curves"))
            .expect("a folder")
            .count(),
        6
    );
    let read = |name: &str| std::fs::read_to_string(folder.path().join("curves").join(name)).expect(name);
    let steps = read("steps.csv");
    assert_eq!(steps.lines().count(), 401);
    assert!(steps.starts_with("step,epoch,loss,learning_rate,gradient_norm,tokens\n1,0.005,"));
    let evaluations = read("evaluations.csv");
    assert_eq!(evaluations.lines().nth(3), Some("300,0.93,0.91,0.42"));
    let loss = read("loss.svg");
    assert!(
        loss.contains("training") && loss.contains("validation") && loss.contains("lowest 0.4200 at 300")
    );
    assert!(read("scores.svg").contains("best accuracy 0.9300 at 300"));
    if let Some(kept) = std::env::var_os("RAGTUNE_KEEP_CURVES") {
        Curves::new(&history).write(kept).expect("files");
    }
}

#[test]
fn curves_of_an_unfinished_run_need_no_evaluations() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = Curves::new(&History::default())
        .write(folder.path())
        .expect("files");
    assert_eq!(files.len(), 4);
    let blocked = folder.path().join("steps.csv").join("below");
    assert!(matches!(
        Curves::new(&History::default()).write(blocked),
        Err(ragtune_train::Error::Io { .. })
    ));
}

#[test]
fn the_card_is_the_one_beside_this_test() {
    let interval = Bootstrap::default().mean(&[1.0; 20]).expect("an interval");
    let card = ModelCard::new(
        "banking: \"intents\"",
        "sentence-transformers/all-MiniLM-L6-v2",
        "lora",
    )
    .with_library("peft")
    .with_pipeline_tag("text-classification")
    .with_license("apache-2.0")
    .with_language("en")
    .with_data(CardData {
        split: "train".into(),
        name: "banking77/train.csv".into(),
        examples: 10_003,
        fingerprint: "blake3:0123456789abcdef".into(),
    })
    .with_data(CardData {
        split: "test".into(),
        name: "banking77/test|1.csv".into(),
        examples: 3_080,
        fingerprint: "blake3:fedcba9876543210".into(),
    })
    .with_seed(42)
    .with_setting("learning_rate", 5e-4)
    .with_setting("rank", 8)
    .with_run(CardRun {
        trainable: 4_608,
        total: 32_768,
        steps: 936,
        epochs: 3.0,
        seconds: 411.7,
        peak_bytes: Some(734_003_200),
    })
    .with_metric(CardMetric::new("validation", "accuracy", 0.9312))
    .with_metric(CardMetric::new("test", "accuracy", 1.0).with_interval(interval))
    .with_metric(CardMetric::new("test", "f1_macro", 0.9287))
    .with_picture("loss.svg")
    .with_snippet("rust", "let model = Classifier::load(\"banking\")?;\n")
    .with_snippet("markdown", "```\ncode in code\n```")
    .with_note("12 near-duplicates\nwere left out.");
    // The version of the package is not part of what is compared.
    let version = format!("| ragtune version | {} |", env!("CARGO_PKG_VERSION"));
    let text = card.to_markdown().replace(&version, "| ragtune version | 0 |");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/report/card.md");
    if std::env::var_os("RAGTUNE_WRITE_FIXTURES").is_some() {
        std::fs::write(path, &text).expect("the fixture");
    }
    assert_eq!(text, std::fs::read_to_string(path).expect("the fixture"));

    let folder = tempfile::tempdir().expect("a folder");
    let path = card.write(folder.path()).expect("the card");
    assert!(path.ends_with("README.md"));
    assert!(card.write(folder.path().join("missing")).is_err());
}
