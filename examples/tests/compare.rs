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
    // Every question stands there with what each system said of it.
    for file in ["questions.4-per-class.jsonl", "questions.all.jsonl"] {
        let lines = fs::read_to_string(out.join(file)).unwrap();
        assert_eq!(lines.lines().count(), 24);
        let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert!(
            line["text"].as_str().unwrap().contains("48") && line["truth"] == "drink",
            "{line}"
        );
        assert_eq!(
            (
                &line["systems"][2]["name"],
                line["systems"].as_array().unwrap().len()
            ),
            (&json!("head"), 3)
        );
    }

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
    let lines = fs::read_to_string(out.join("questions.jsonl")).unwrap();
    let line: Value = serde_json::from_str(lines.lines().nth(3).unwrap()).unwrap();
    assert_eq!(line["truth"], json!({"d3": 1}));
    assert!(
        line["systems"][0]["said"].as_str().unwrap().starts_with("d3"),
        "{line}"
    );
}

/// A folder with the files of others, some of them changed.
fn put_together(to: &Path, files: &[(&str, &str)]) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/core/tests/fixtures");
    fs::create_dir_all(to).unwrap();
    for (from, names) in files {
        for name in names.split(' ') {
            fs::copy(fixtures.join(from).join(name), to.join(name)).unwrap();
        }
    }
    to.to_str().unwrap().to_owned()
}

#[test]
fn answers_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    fs::create_dir(&notes).unwrap();
    let words = [
        "dog", "bag", "text", "drink", "vector", "house", "friend", "table",
    ];
    for word in words {
        let text = format!(
            "# {word}\n\n## Care of the {word}\n\nA {word} is a thing for every house. The {word} is kept dry and near the door.\n\n## Price\n\nWhoever wants a {word} \
             pays in coins for it.\n"
        );
        fs::write(notes.join(format!("{word}.md")), text).unwrap();
    }
    let lines = |words: &[&str]| -> String {
        words
            .iter()
            .map(|word| {
                let question = format!("where is the {word} kept");
                json!({"question": question, "answers": ["near the door"], "sources": [format!("{word}.md")]})
                    .to_string()
                    + "\n"
            })
            .collect()
    };
    let (test, labelled) = (
        folder.path().join("test.jsonl"),
        folder.path().join("labelled.jsonl"),
    );
    fs::write(&test, lines(&words[..4])).unwrap();
    fs::write(&labelled, lines(&words)).unwrap();
    let reader = put_together(
        &folder.path().join("reader"),
        &[
            ("heads/span/bert", "config.json model.safetensors"),
            ("encoders/models/bert", "tokenizer.json tokenizer_config.json"),
        ],
    );
    let generator = put_together(
        &folder.path().join("generator"),
        &[("decoder/llama", "config.json model.safetensors tokenizer.json")],
    );
    // Room for a prompt with passages, and for a question in front of a passage.
    for (file, field, tokens) in [
        ("generator/config.json", "max_position_embeddings", 4096),
        ("reader/tokenizer_config.json", "model_max_length", 64),
    ] {
        let file = folder.path().join(file);
        let mut changed: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        changed[field] = tokens.into();
        fs::write(&file, changed.to_string()).unwrap();
    }
    // A template that ends what is said, without which nothing is trained.
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt \
                    %}assistant: {% endif %}";
    fs::write(
        folder.path().join("generator/tokenizer_config.json"),
        json!({"eos_token": "</s>", "chat_template": template}).to_string(),
    )
    .unwrap();
    let (out, model) = (folder.path().join("out"), model());
    let line = |more: &[&'static str]| {
        let mut line = vec![
            "--task",
            "answer",
            "--model",
            &model,
            "--data",
            notes.to_str().unwrap(),
            "--test",
            test.to_str().unwrap(),
            "--reader",
            &reader,
            "--generator",
            &generator,
            "--out",
            out.to_str().unwrap(),
            "--json",
        ];
        line.extend(more);
        run(&line)
    };
    let ended = line(&[
        "--systems",
        "quotes,reader,model+retrieval,aware+retrieval",
        "--train-aware",
    ]);
    assert!(ended.success, "{}", ended.stderr);
    let object: Value = serde_json::from_str(&ended.stdout).unwrap();
    let systems = object["systems"].as_array().unwrap();
    let names: Vec<&Value> = systems.iter().map(|system| &system["name"]).collect();
    assert_eq!(names, ["quotes", "reader", "model+retrieval", "aware+retrieval"]);
    for system in systems {
        assert_eq!(system["failures"], 0, "{system}");
    }
    // What was trained is said with what it took, and a reader from elsewhere is not said to have taken nothing.
    assert!(
        systems[3]["train_seconds"].as_f64().unwrap() > 0.0,
        "{}",
        systems[3]
    );
    assert!(systems[1]["train_seconds"].is_null(), "{}", systems[1]);
    assert!(
        out.join("systems/aware+retrieval/adapter/adapter_config.json")
            .exists()
    );
    let first = fs::read_to_string(out.join("questions.jsonl")).unwrap();
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["text"], &first["truth"]),
        (&json!("where is the dog kept"), &json!(["near the door"]))
    );

    // The threshold is not set by the questions that measure it.
    let other = folder.path().join("other");
    let leaking = run(&[
        "--task",
        "answer",
        "--model",
        &model,
        "--data",
        notes.to_str().unwrap(),
        "--test",
        test.to_str().unwrap(),
        "--reader",
        &reader,
        "--calibrate",
        labelled.to_str().unwrap(),
        "--out",
        other.to_str().unwrap(),
    ]);
    assert!(
        !leaking.success && leaking.stderr.contains("4 of the questions are also asked"),
        "{}",
        leaking.stderr
    );
    assert!(!other.exists());
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
