//! The example `close_the_loop` with a tiny encoder: what it leaves, and that it goes on where it was killed.
//!
//! The process that is killed is this test itself, started again with the command line in its environment. Scores of such a model
//! mean nothing; what is kept, and what is not done twice, does.

#![allow(clippy::unwrap_used, reason = "a test that meets them fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser;
use ragtune::core::device;
use ragtune::{Encoder, KnowledgeBase};
use ragtune_examples::Outcome;
use ragtune_examples::close_the_loop::{Args, close_the_loop};
use serde_json::Value;

const ARGUMENTS: &str = "RAGTUNE_LOOP";
const SEPARATOR: char = '\u{1f}';

/// Only does something in the process that is killed.
#[test]
fn program() {
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        close_the_loop(&Args::parse_from(arguments.split(SEPARATOR))).unwrap();
    }
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/core/tests/fixtures/encoders/models/bert")
}

/// Pages that speak of different things in the same words.
fn pages(folder: &Path) -> PathBuf {
    let notes = folder.join("notes");
    fs::create_dir(&notes).unwrap();
    let names = [
        "anvil", "bridge", "candle", "drum", "engine", "feather", "garden", "harbour", "island", "jacket",
        "kettle", "ladder", "mirror", "needle", "orchard", "pepper", "quarry", "ribbon", "saddle", "temple",
        "umbrella", "violin", "window", "yarn",
    ];
    for name in names {
        let text = format!(
            "# {name}\n\n## Care of the {name}\n\nA {name} pot is a vessel for every {name} in the house. The {name} is kept \
             dry and clean. After a year the {name} is looked over by a friend.\n\n## Price of the {name}\n\nWhoever buys a \
             {name} pays in coins. The seller of the {name} counts them twice on the table.\n"
        );
        fs::write(notes.join(format!("{name}.md")), text).unwrap();
    }
    notes
}

fn words(notes: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let given = [
        "close_the_loop",
        notes.to_str().unwrap(),
        "--embedder",
        model().to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--held-out",
        "0.5",
        "--batch",
        "8",
        "--json",
    ]
    .map(str::to_owned);
    given
        .into_iter()
        .chain(more.iter().map(|word| (*word).to_owned()))
        .collect()
}

fn run(notes: &Path, out: &Path, more: &[&str]) -> Outcome {
    close_the_loop(&Args::parse_from(words(notes, out, more)))
}

fn refused(notes: &Path, out: &Path, more: &[&str]) -> String {
    run(notes, out, more).unwrap_err().to_string()
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn change(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = read(file);
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}

/// What does not depend on the clock.
fn result(out: &Path) -> (Value, Value, Value) {
    let mut report = read(&out.join("loop.json"));
    let take = |report: &mut Value, name: &str| report[name].take();
    (
        take(&mut report, "measured"),
        take(&mut report, "loss"),
        take(&mut report, "promoted"),
    )
}

#[test]
fn a_loop_is_closed_once_and_its_stages_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (notes, out) = (pages(folder.path()), folder.path().join("out"));
    run(&notes, &out, &[]).unwrap();
    let report = read(&out.join("loop.json"));
    assert!(
        report["steps"].as_u64().unwrap() > 0
            && report["data"]["benchmark_questions"].as_u64().unwrap() >= 20
    );
    assert_eq!(
        report["measured"].as_array().unwrap().len(),
        8,
        "dense and hybrid, four measures each"
    );
    for file in [
        "report.html",
        "experiment.json",
        "data/pairs.train.jsonl",
        "model/config.json",
    ] {
        assert!(out.join(file).exists(), "{file}");
    }
    assert!(!out.join("state").exists());
    // The base searches with the tuned encoder where that was promoted, and with the one before where not.
    let promoted = report["promoted"].as_bool().unwrap();
    let serves = if promoted { out.join("model") } else { model() };
    let open = || KnowledgeBase::open(out.join("base")).unwrap();
    let encoder = |folder: &Path| Encoder::load(folder, &device::cpu()).unwrap();
    assert!(open().with_embedder(encoder(&serves)).is_ok());

    // Closed is closed: the same result, and no other settings in the same folder.
    let first = fs::read(out.join("loop.json")).unwrap();
    run(&notes, &out, &[]).unwrap();
    assert_eq!(fs::read(out.join("loop.json")).unwrap(), first);
    let other = refused(&notes, &out, &["--epochs", "2"]);
    assert!(other.contains("another --epochs (1.0, not 2.0)"), "{other}");

    // What an interrupted process kept is taken as it stands.
    fs::remove_file(out.join("loop.json")).unwrap();
    change(&out.join("training.json"), |tuned| tuned["steps"] = 12_345.into());
    change(&out.join("measured.held-out.json"), |trial| {
        trial["refusal"] = Value::Null
    });
    change(&out.join("data/report.json"), |data| {
        data["documents"] = 678.into()
    });
    run(&notes, &out, &[]).unwrap();
    let again = read(&out.join("loop.json"));
    assert_eq!(
        (&again["steps"], &again["data"]["documents"]),
        (&12_345.into(), &678.into())
    );
    assert_eq!(
        (&again["measured"], &again["promoted"]),
        (&report["measured"], &true.into())
    );
    // It was promoted, whether by the first run or by this one, and a process that was killed behind that does not mind.
    assert!(open().with_embedder(encoder(&out.join("model"))).is_ok());
    fs::remove_file(out.join("loop.json")).unwrap();
    run(&notes, &out, &[]).unwrap();
    assert_eq!(read(&out.join("loop.json"))["promoted"], true);
}

#[test]
fn a_killed_loop_goes_on_and_ends_as_one_that_ran_through() {
    let folder = tempfile::tempdir().unwrap();
    let notes = pages(folder.path());
    let (through, killed) = (folder.path().join("through"), folder.path().join("killed"));
    run(&notes, &through, &[]).unwrap();
    for stage in ["data/report.json", "model/config.json", "measured.held-out.json"] {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "program", "--nocapture"])
            .env(
                ARGUMENTS,
                words(&notes, &killed, &[]).join(&SEPARATOR.to_string()),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // One that is faster than this loop has ended by itself, which the rest of the test does not mind.
        while !killed.join(stage).exists() && process.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = process.kill();
        process.wait().unwrap();
    }
    run(&notes, &killed, &[]).unwrap();
    assert_eq!(result(&killed), result(&through));
}

#[test]
fn what_cannot_work_is_said_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let (notes, out) = (pages(folder.path()), folder.path().join("out"));
    let questions = folder.path().join("questions.jsonl");
    let file = questions.to_str().unwrap();
    for (lines, says) in [
        ("{\"question\": \"q\", \"relevnat\": [\"anvil.md\"]}", "relevnat"),
        (
            "{\"question\": \"q\", \"answers\": [\"a\"]}",
            "no question names the documents",
        ),
        (
            "{\"question\": \"q\", \"sources\": [\"anvil.md\"]}",
            "1 question of your own are too few",
        ),
    ] {
        fs::write(&questions, lines).unwrap();
        let said = refused(&notes, &out, &["--questions", file]);
        assert!(said.contains(says), "{said}");
    }
    assert!(refused(&notes, &out, &["--questions", "none.jsonl"]).contains("none.jsonl"));
    assert!(refused(&notes, &notes.join("out"), &[]).contains("--out"));
    let mut without = words(&notes, &out, &[]);
    without[3] = "no-such-encoder".to_owned();
    let said = close_the_loop(&Args::parse_from(without))
        .unwrap_err()
        .to_string();
    assert!(said.contains("no-such-encoder") && !out.exists(), "{said}");
    // A number out of range does not get so far.
    for (option, value, says) in [
        ("--epochs", "0", "above 0"),
        ("--negatives", "-1", "invalid"),
        ("--lr", "inf", "above 0"),
    ] {
        let given = format!("{option}={value}");
        let wrong = Args::try_parse_from(words(&notes, &out, &[&given]))
            .unwrap_err()
            .to_string();
        assert!(wrong.contains(option) && wrong.contains(says), "{wrong}");
    }
    // Documents that do not exist are said when the documents are read, and before anything is learned.
    let lines: String = (0..20)
        .map(|n| format!("{{\"question\": \"q {n}\", \"relevant\": \"none.md\"}}\n"))
        .collect();
    fs::write(&questions, lines).unwrap();
    let said = refused(&notes, &out, &["--questions", file]);
    assert!(said.contains("none.md") && !out.join("data").exists(), "{said}");
}
