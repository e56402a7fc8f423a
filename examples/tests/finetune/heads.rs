//! Heads that go on and heads that are new, sentences that are too long, questions that always have an answer.

use std::fs;
use std::path::Path;

use ragtune::core::device;
use ragtune::core::models::{CrossEncoder, HeadPooling, SequenceClassifier};
use serde_json::Value;

use crate::data;
use crate::line;
use crate::program::{Ended, finetune, model, model_of};

fn run(task: &str, model: &Path, [train, test]: [&Path; 2], out: &Path, more: &str) -> Ended {
    finetune(&line![
        "--model",
        model.display(),
        "--task",
        task,
        "--data",
        train.display(),
        "--valid",
        test.display(),
        "--test",
        test.display(),
        "--out",
        out.display(),
        "--batch 4 --json --force",
        more,
    ])
}

fn predictions(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_tuned_head_goes_on_unless_a_new_one_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("classify", folder.path());
    let sets = [files.train.as_path(), files.test.as_path()];
    let first = folder.path().join("first");
    run(
        "classify",
        &model_of("classify"),
        sets,
        &first,
        "--method head --steps 30",
    )
    .ok();
    let tuned = first.join("model");
    let card = fs::read_to_string(tuned.join("README.md")).unwrap();
    assert!(card.contains("pipeline(\"text-classification\""), "{card}");
    // A step that changes nothing shows what the run began with.
    let standing = "--method head --steps 1 --warmup 0 --lr 1e-12";
    let loss = |more: &str, name: &str| {
        let ended = run(
            "classify",
            &tuned,
            sets,
            &folder.path().join(name),
            &format!("{standing} {more}"),
        );
        ended.ok().json()["test"]["loss"].as_f64().unwrap()
    };
    let (goes_on, anew) = (loss("", "second"), loss("--new-head", "third"));
    assert!(goes_on < 0.8 * anew, "{goes_on} {anew}");
    let other = folder.path().join("other.csv");
    fs::write(&other, "text,label\nthe tea,drink\nthe texts,paper\n".repeat(4)).unwrap();
    let sets = [other.as_path(), other.as_path()];
    let refused = run("classify", &tuned, sets, &folder.path().join("fourth"), standing);
    refused.refused(&["has a head for other labels", "vector", "paper"]);
    let anew = format!("{standing} --new-head");
    run("classify", &tuned, sets, &folder.path().join("fifth"), &anew).ok();
}

#[test]
fn a_language_model_becomes_a_classifier_and_a_reranker() {
    let folder = tempfile::tempdir().unwrap();
    let llama = model("decoder/llama");
    let files = data::write("classify", folder.path());
    let sets = [files.train.as_path(), files.test.as_path()];
    for method in ["full", "last:1", "head", "lora", "dora", "ia3", "adapter"] {
        let out = folder.path().join(method.replace(':', "-"));
        let more = format!("--method {method} --steps 3 --max-tokens 48");
        let json = run("classify", &llama, sets, &out, &more).ok().json();
        assert!(json["test"]["accuracy"].is_number(), "{json}");
        assert!(json["predicted_peak_bytes"].is_number(), "{json}");
        let rates: serde_json::Value =
            serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
        let head = rates["settings"]["head learning rate"].as_f64().unwrap();
        let expected = 0.3 / 32.0;
        assert!(
            (head - expected).abs() < 1e-9 || method == "ia3",
            "{method}: {head}"
        );
        let loaded = SequenceClassifier::load(out.join("model"), &device::cpu()).unwrap();
        assert_eq!(loaded.pooling(), HeadPooling::LastToken);
        if matches!(method, "lora" | "dora" | "ia3") {
            let config = fs::read_to_string(out.join("adapter/adapter_config.json")).unwrap();
            let config: Value = serde_json::from_str(&config).unwrap();
            assert_eq!(config["task_type"], "SEQ_CLS");
            assert_eq!(config["modules_to_save"], serde_json::json!(["score"]));
        }
    }
    // Its tuned head goes on, and a prompt has no place before it.
    let tuned = folder.path().join("head/model");
    run(
        "classify",
        &tuned,
        sets,
        &folder.path().join("on"),
        "--method head --steps 1 --warmup 0",
    )
    .ok();
    run(
        "classify",
        &llama,
        sets,
        &folder.path().join("prompt"),
        "--method prompt --steps 1",
    )
    .refused(&["a prompt before texts"]);
    let files = data::write("rerank", folder.path());
    let sets = [files.train.as_path(), files.test.as_path()];
    let out = folder.path().join("rerank");
    run(
        "rerank",
        &llama,
        sets,
        &out,
        "--method lora --steps 2 --max-tokens 48",
    )
    .ok();
    CrossEncoder::load(out.join("model"), &device::cpu()).unwrap();
}

#[test]
fn every_word_of_a_long_sentence_has_its_tag() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("tag", folder.path());
    let long = folder.path().join("long.conll");
    let words = |count: usize| {
        (0..count)
            .map(|number| format!("{} O\n", data::word(number)))
            .collect::<String>()
    };
    fs::write(
        &long,
        format!("{}\n{}vector B-THING\n\n{}", words(3), words(60), words(2)),
    )
    .unwrap();
    let shown = folder.path().join("shown.jsonl");
    let more = format!(
        "--steps 1 --warmup 0 --max-tokens 24 --predictions {}",
        shown.display()
    );
    let sets = [files.train.as_path(), long.as_path()];
    run("tag", &model_of("tag"), sets, &folder.path().join("run"), &more).ok();
    let shown = predictions(&shown);
    let counts: Vec<usize> = shown
        .iter()
        .map(|one| one["predicted"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [3, 61, 2]);
    assert!(
        shown
            .iter()
            .all(|one| one["tags"].as_array().unwrap().len() == one["predicted"].as_array().unwrap().len())
    );
    assert_eq!(shown[1]["tags"][60], "B-THING");
    assert_eq!(shown[1]["line"], 5);
}

#[test]
fn where_every_question_has_an_answer_one_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("qa", folder.path());
    let shown = folder.path().join("shown.jsonl");
    let more = format!(
        "--steps 1 --warmup 0 --max-tokens 48 --predictions {}",
        shown.display()
    );
    let sets = [files.train.as_path(), files.test.as_path()];
    run("qa", &model_of("qa"), sets, &folder.path().join("run"), &more).ok();
    let shown = predictions(&shown);
    assert_eq!(shown.len(), 8);
    assert!(shown.iter().all(|one| one["predicted"] != ""), "{shown:?}");
    let config = fs::read_to_string(folder.path().join("run/model/config.json")).unwrap();
    assert!(config.contains("\"handle_impossible_answer\": false"), "{config}");
}
