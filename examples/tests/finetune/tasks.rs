//! Every task with several methods: what is printed, and what lies in the folder afterwards.

use std::collections::BTreeSet;
use std::path::Path;

use ragtune::core::adapters::AdapterSet;
use ragtune::core::device;
use ragtune::core::models::{
    CausalLm, CrossEncoder, Encoder, SequenceClassifier, SpanReader, TokenClassifier,
};
use serde_json::Value;

use crate::data::{self, TASKS};
use crate::line;
use crate::program::{finetune, model_of};

const KEYS: [&str; 11] = [
    "task",
    "method",
    "trainable",
    "total",
    "steps",
    "seconds",
    "peak_bytes",
    "predicted_peak_bytes",
    "valid",
    "test",
    "out",
];

/// The methods that a task is tried with; together they are all that there are.
fn methods(task: &str) -> &'static [&'static str] {
    match task {
        "sft" => &["lora", "full", "prompt"],
        "pretrain" => &["last:1", "norms", "dora", "adapter"],
        "dpo" => &["lora", "ia3", "prompt"],
        "classify" => &["head", "lora", "adapter"],
        "tag" => &["full", "biases", "dora"],
        "qa" => &["last:1+norms", "ia3"],
        "embed" => &["full", "lora", "adapter"],
        _ => &["lora", "full", "patterns:*.query,*.value"],
    }
}

#[test]
fn every_task_trains_and_reports() {
    for task in TASKS {
        let folder = tempfile::tempdir().unwrap();
        let files = data::write(task, folder.path());
        for &method in methods(task) {
            let out = folder.path().join(method.replace([':', '*', ',', '+', '.'], "-"));
            let line = line![
                "--model",
                model_of(task).display(),
                "--task",
                task,
                "--data",
                files.train.display(),
                "--valid",
                files.valid.display(),
                "--test",
                files.test.display(),
                "--out",
                out.display(),
                "--method",
                method,
                match method {
                    "prompt" => "--virtual-tokens 4 --prompt-text now",
                    _ => "",
                },
                "--steps 3 --batch 4 --max-tokens 48 --json --force",
            ];
            let json = finetune(&line).ok().json();
            let keys: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(
                keys.is_superset(&KEYS.into_iter().collect()),
                "{task} {method}: {keys:?}"
            );
            assert_eq!(
                (&json["task"], &json["method"], &json["steps"]),
                (&task.into(), &method.into(), &3.into())
            );
            let number = |name: &str| json[name].as_f64().unwrap();
            assert!(
                number("trainable") > 0.0 && number("trainable") <= number("total"),
                "{json}"
            );
            for set in ["valid", "test"] {
                let scores = json[set].as_object().unwrap();
                assert!(
                    !scores.is_empty() && scores.values().all(Value::is_number),
                    "{task} {method}: {json}"
                );
            }
            check_folder(task, method, &out, Path::new(json["out"].as_str().unwrap()));
        }
    }
}

/// The result loads again, and the card and the curves are there.
fn check_folder(task: &str, method: &str, out: &Path, result: &Path) {
    let device = device::cpu();
    let is_adapter = matches!(method, "lora" | "dora" | "ia3" | "adapter" | "prompt");
    assert_eq!(result, out.join(if is_adapter { "adapter" } else { "model" }));
    let card = std::fs::read_to_string(result.join("README.md")).unwrap();
    assert!(card.contains("seed") && card.contains(task), "{card}");
    for file in ["loss.svg", "learning-rate.svg", "steps.csv"] {
        assert!(out.join("curves").join(file).exists(), "{file}");
    }
    let model = out.join("model");
    match task {
        "sft" | "pretrain" | "dpo" => {
            let base = if is_adapter { model_of(task) } else { model };
            let lm = CausalLm::load(base, &device).unwrap();
            if is_adapter {
                AdapterSet::load(result, &lm).unwrap();
            }
        }
        "classify" => {
            let loaded = SequenceClassifier::load(model, &device).unwrap();
            if method == "adapter" {
                let adapter = AdapterSet::load(result, &loaded).unwrap();
                assert!(adapter.bottlenecks().len() > 0);
            }
            let labels = [0, 1].map(|number| loaded.labels().name(number));
            assert_eq!(labels, [Some("drink"), Some("vector")]);
        }
        "tag" => drop(TokenClassifier::load(model, &device).unwrap()),
        "qa" => drop(SpanReader::load(model, &device).unwrap()),
        "embed" => drop(Encoder::load(model, &device).unwrap()),
        _ => drop(CrossEncoder::load(model, &device).unwrap()),
    }
}

#[test]
fn what_is_printed_for_people_ends_with_the_line_that_loads() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("rerank", folder.path());
    let out = folder.path().join("run");
    let line = line![
        "--model",
        model_of("rerank").display(),
        "--task rerank --data",
        files.train.display(),
        "--out",
        out.display(),
        "--steps 2 --batch 4 --force",
    ];
    let ended = finetune(&line).ok();
    let last = ended.stdout.trim_end().lines().last().unwrap();
    assert!(
        last.starts_with("load it: let rag = Rag::builder().reranker(CrossEncoder::load("),
        "{last}"
    );
    for part in [
        "held out for validation",
        "lora: ",
        "result: ",
        "curves: ",
        "memory: peak",
        "errors",
    ] {
        assert!(ended.stdout.contains(part), "no {part:?} in {}", ended.stdout);
    }
}

#[test]
fn a_plan_trains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("sft", folder.path());
    let out = folder.path().join("run");
    let line = line![
        "--model",
        model_of("sft").display(),
        "--task sft --data",
        files.train.display(),
        "--out",
        out.display(),
        "--plan --json --force",
    ];
    let json = finetune(&line).ok().json();
    assert!(json["trainable"].as_u64().unwrap() > 0);
    assert!(!out.exists());
}
