//! The example `evaluate` with tiny models: what it leaves, and what it refuses before any work.

#![allow(clippy::unwrap_used, reason = "a test that meets them fails")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use ragtune_examples::Outcome;
use ragtune_examples::evaluate::{Args, evaluate};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/core/tests/fixtures")
}

struct Place {
    _folder: tempfile::TempDir,
    notes: PathBuf,
    questions: PathBuf,
    out: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (notes, questions, out) = (at("notes"), at("questions.jsonl"), at("out"));
    fs::create_dir(&notes).unwrap();
    fs::write(notes.join("tea.md"), "Green tea is steeped at 80 degrees.").unwrap();
    fs::write(
        &questions,
        "{\"question\": \"How hot is green tea?\", \"answers\": [\"80 degrees\"], \"relevant\": [\"tea.md\"]}\n",
    )
    .unwrap();
    Place {
        _folder: folder,
        notes,
        questions,
        out,
    }
}

fn words(place: &Place, more: &[&str]) -> Vec<String> {
    let encoder = fixtures().join("encoders/models/bert");
    let given = [
        "evaluate",
        place.notes.to_str().unwrap(),
        "--questions",
        place.questions.to_str().unwrap(),
        "--embedder",
        encoder.to_str().unwrap(),
        "--measure-with",
        encoder.to_str().unwrap(),
        "--out",
        place.out.to_str().unwrap(),
        "--json",
    ];
    given.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

fn run(place: &Place, more: &[&str]) -> Outcome {
    evaluate(&Args::parse_from(words(place, more)))
}

fn refused(place: &Place, more: &[&str]) -> String {
    run(place, more).unwrap_err().to_string()
}

#[test]
fn a_run_leaves_its_folder_and_writes_over_nothing_else() {
    let place = place();
    run(&place, &["--min-evidence", "0"]).unwrap();
    let record = || -> Value {
        serde_json::from_slice(&fs::read(place.out.join("experiment.json")).unwrap()).unwrap()
    };
    assert_eq!(
        (&record()["kind"], &record()["metrics"]["recall@1"]["mean"]),
        (&"evaluate".into(), &1.0.into())
    );
    assert!(place.out.join("report.html").exists() && place.out.join("questions.jsonl").exists());
    // Its own folder it writes anew.
    run(&place, &["--name", "again"]).unwrap();
    assert_eq!(record()["configuration"]["system"], "again");

    // A folder of somebody else stays as it is, whatever is in it.
    let mine = Place {
        out: place.out.with_file_name("mine"),
        ..self::place()
    };
    fs::create_dir_all(&mine.out).unwrap();
    fs::write(mine.out.join("questions.jsonl"), "mine").unwrap();
    let said = refused(&mine, &[]);
    assert!(said.contains("something else than an evaluation"), "{said}");
    assert_eq!(
        fs::read_to_string(mine.out.join("questions.jsonl")).unwrap(),
        "mine"
    );
    // So is one among the documents, which would be documents the next time.
    let inside = Place {
        out: mine.notes.join("out"),
        ..mine
    };
    assert!(refused(&inside, &[]).contains("lies inside"));
}

#[test]
fn what_cannot_be_answered_from_is_said() {
    let place = place();
    fs::remove_file(place.notes.join("tea.md")).unwrap();
    fs::write(place.notes.join("picture.bin"), [0_u8, 159, 146, 150]).unwrap();
    let said = refused(&place, &[]);
    assert!(said.contains("no document that can be read"), "{said}");
    assert!(!place.out.exists());
}

#[test]
fn numbers_out_of_range_are_refused() {
    let place = place();
    for (option, value) in [
        ("--min-evidence", "1.5"),
        ("--min-evidence", "NaN"),
        ("--max-tokens", "0"),
        ("--top-k", "0"),
        ("--max-error", "2"),
        ("--right-from", "-1"),
    ] {
        let given = format!("{option}={value}");
        let error = Args::try_parse_from(words(&place, &[&given]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(option), "{option} {value}: {error}");
    }
}

#[test]
fn a_reader_answers_and_is_not_calibrated_on_what_it_is_asked() {
    let place = place();
    let reader = place.out.with_file_name("reader");
    fs::create_dir(&reader).unwrap();
    for (from, name) in [
        ("heads/span/bert", "config.json"),
        ("heads/span/bert", "model.safetensors"),
        ("encoders/models/bert", "tokenizer.json"),
        ("encoders/models/bert", "tokenizer_config.json"),
    ] {
        fs::copy(fixtures().join(from).join(name), reader.join(name)).unwrap();
    }
    let reader = reader.to_str().unwrap();
    run(&place, &["--reader", reader]).unwrap();
    let line = fs::read_to_string(place.out.join("questions.jsonl")).unwrap();
    let line: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert!(line["confidence"].as_f64().is_some(), "{line}");
    let said = refused(
        &place,
        &[
            "--reader",
            reader,
            "--calibrate",
            place.questions.to_str().unwrap(),
        ],
    );
    assert!(said.contains("1 of the questions are also asked"), "{said}");
    let both = Args::try_parse_from(words(&place, &["--reader", reader, "--min-evidence", "0.5"]));
    assert!(both.is_err());
}
