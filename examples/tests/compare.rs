//! The program `compare` as people run it: a process that starts itself again for every system.
//!
//! The process is this test itself, started again with the command line in its environment. The model is a tiny one of the
//! core crate, so scores mean nothing; the form of the result, and what is kept, do.

#![allow(clippy::unwrap_used, reason = "a test that meets them fails")]

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser;
use ragtune_examples::compare::{self, Again, Args};
use ragtune_examples::output;
use serde_json::{Value, json};

const ARGUMENTS: &str = "RAGTUNE_COMPARE";
const SEPARATOR: char = '\u{1f}';

/// Only does something in the processes that are the program.
#[test]
fn program() {
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        let mut args = Args::parse_from(arguments.split(SEPARATOR));
        args.again = Again {
            line: arguments.split(SEPARATOR).skip(1).map(OsString::from).collect(),
            program: |line| Ok(process(line)),
        };
        let status = output::run(|| compare::compare(&args));
        let failed = format!("{status:?}") != format!("{:?}", std::process::ExitCode::SUCCESS);
        std::process::exit(i32::from(failed));
    }
}

fn process(line: &[OsString]) -> Command {
    let words = line.iter().map(|word| word.to_str().unwrap());
    let words: Vec<&str> = std::iter::once("compare").chain(words).collect();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "program", "--nocapture"])
        .env(ARGUMENTS, words.join(&SEPARATOR.to_string()));
    command
}

struct Ended {
    success: bool,
    stdout: String,
    stderr: String,
}

fn run(words: &[&str]) -> Ended {
    let line: Vec<OsString> = words.iter().map(OsString::from).collect();
    let Output {
        status,
        stdout,
        stderr,
    } = process(&line).output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
    let stdout = stdout
        .split_once("running 1 test\n")
        .map_or("", |(_, rest)| rest)
        .to_owned();
    Ended {
        success: status.success(),
        stdout,
        stderr,
    }
}

fn model() -> String {
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/core/tests/fixtures/encoders/models/bert");
    model.to_str().unwrap().to_owned()
}

/// Texts of two classes, each with a word of its own.
fn labelled(folder: &Path, name: &str, numbers: std::ops::Range<usize>) -> PathBuf {
    let words = ["a", "the", "dog", "bag", "near", "text", "has", "is"];
    let mut text = "text,label\n".to_owned();
    for number in numbers {
        let other = words[number / 2 % words.len()];
        let third = words[number / 16 % words.len()];
        match number % 2 {
            0 => writeln!(text, "drink the {other} {third} {number},drink").unwrap(),
            _ => writeln!(text, "a vector of {other} {third} {number},vector").unwrap(),
        }
    }
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn classifiers_stand_side_by_side_and_what_was_measured_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = (
        labelled(folder.path(), "train.csv", 0..48),
        labelled(folder.path(), "test.csv", 48..72),
    );
    let (out, model) = (folder.path().join("out"), model());
    let line = [
        "--task",
        "classify",
        "--model",
        &model,
        "--data",
        train.to_str().unwrap(),
        "--test",
        test.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--systems",
        "labels,nearest,head",
        "--per-class",
        "4,all",
        "--json",
    ];
    let first = run(&line);
    assert!(first.success, "{}", first.stderr);
    let object: Value = serde_json::from_str(&first.stdout).unwrap();
    let systems = object["systems"].as_array().unwrap();
    let names: Vec<&str> = systems
        .iter()
        .map(|system| system["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["labels", "nearest", "head"]);
    for system in systems {
        let quality = &system["quality"];
        let number = |value: &Value| value.as_f64().unwrap();
        assert!(
            number(&quality["low"]) <= number(&quality["mean"])
                && number(&quality["mean"]) <= number(&quality["high"])
        );
        assert!(number(&system["latency_ms"]["p50"]) <= number(&system["latency_ms"]["p95"]));
        assert_eq!(system["failures"], 0);
    }
    // An example with another label changes what is looked up; what is learned is learned again.
    assert!(systems[1]["update_seconds"].as_f64().is_some(), "{}", systems[1]);
    assert_eq!(systems[2]["update_seconds"], systems[2]["train_seconds"]);
    assert!(
        systems[2]["train_seconds"].as_f64().unwrap() > 0.0
            && systems[1]["index_bytes"].as_u64().unwrap() > 0
    );
    assert!(!object["recommendation"].as_str().unwrap().is_empty());
    let budgets: Vec<_> = object["by_examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["examples"])
        .collect();
    assert_eq!(budgets, [&json!(8), &json!(48)]);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("4 of each class") && page.contains("<svg"));
    assert!(out.join("experiment.json").exists());

    // Nothing is measured again, so that even the times are the same.
    let again = run(&line);
    assert!(
        again.success && !again.stderr.contains("asking"),
        "{}",
        again.stderr
    );
    assert_eq!(again.stdout, first.stdout);
    // What is kept is of these data.
    labelled(folder.path(), "train.csv", 0..40);
    let other = run(&line);
    assert!(
        !other.success && other.stderr.contains("--data"),
        "{}",
        other.stderr
    );
}

#[test]
fn rankings_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("beir");
    fs::create_dir_all(data.join("qrels")).unwrap();
    let lines = |records: Vec<Value>| {
        records
            .iter()
            .map(|record| format!("{record}\n"))
            .collect::<String>()
    };
    let word = |number: usize| ["vector", "drink", "dog", "bag", "text"][number % 5];
    let documents =
        (0..20).map(|n| json!({"_id": format!("d{n}"), "title": "", "text": format!("the {} {n}", word(n))}));
    fs::write(data.join("corpus.jsonl"), lines(documents.collect())).unwrap();
    let queries = (0..10).map(|n| json!({"_id": format!("q{n}"), "text": format!("{} {n}", word(n))}));
    fs::write(data.join("queries.jsonl"), lines(queries.collect())).unwrap();
    let judged: String = (0..10).map(|n| format!("q{n}\td{n}\t1\n")).collect();
    fs::write(
        data.join("qrels/test.tsv"),
        format!("query-id\tcorpus-id\tscore\n{judged}"),
    )
    .unwrap();
    let (out, model) = (folder.path().join("out"), model());
    let line = [
        "--task",
        "rank",
        "--model",
        &model,
        "--tuned",
        &model,
        "--data",
        data.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--systems",
        "lexical,base,tuned",
        "--json",
    ];
    let ended = run(&line);
    assert!(ended.success, "{}", ended.stderr);
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    let quality = |at: usize| object["systems"][at]["quality"]["mean"].as_f64().unwrap();
    assert_eq!(object["measure"], "ndcg@10");
    // The words of a question find their document, and a model is as good as itself.
    assert!(quality(0) > 0.9, "{}", quality(0));
    assert_eq!(quality(1), quality(2));
    assert_eq!(object["pairs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_system_that_fails_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = (
        labelled(folder.path(), "train.csv", 0..20),
        labelled(folder.path(), "test.csv", 20..30),
    );
    let (out, model) = (folder.path().join("out"), model());
    // A folder without a language model.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let line = [
        "--task",
        "classify",
        "--model",
        &model,
        "--data",
        train.to_str().unwrap(),
        "--test",
        test.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--generator",
        empty.to_str().unwrap(),
        "--systems",
        "labels,few-shot",
        "--json",
    ];
    let ended = run(&line);
    assert!(
        !ended.success && ended.stderr.contains("without few-shot"),
        "{}",
        ended.stderr
    );
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(object["systems"].as_array().unwrap().len(), 1);
    assert_eq!(object["failed"][0]["name"], "few-shot");
    assert!(
        object["recommendation"]
            .as_str()
            .unwrap()
            .starts_with("10 questions are too few")
    );
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = (
        labelled(folder.path(), "train.csv", 0..20),
        labelled(folder.path(), "test.csv", 20..30),
    );
    let (out, model) = (folder.path().join("out"), model());
    let line = |more: &[&'static str]| {
        let mut line = vec![
            "--task",
            "classify",
            "--model",
            &model,
            "--data",
            train.to_str().unwrap(),
            "--test",
            test.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ];
        line.extend(more);
        run(&line)
    };
    for (more, said) in [
        (["--systems", "magic"], "there is no \"magic\""),
        (["--systems", "few-shot"], "--generator"),
        (["--f1", "spam"], "one of two classes"),
        (["--per-class", "0"], "number of examples"),
    ] {
        let ended = line(&more);
        assert!(!ended.success && ended.stderr.contains(said), "{}", ended.stderr);
    }
}
