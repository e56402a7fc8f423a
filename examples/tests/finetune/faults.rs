//! What is wrong is refused with where it is and what to do, and nothing panics.

use std::fs;
use std::path::Path;

use crate::data;
use crate::line;
use crate::program::{Ended, finetune, model_of};

fn run(task: &str, data: &Path, more: &str) -> Ended {
    let out = data.parent().unwrap().join("run");
    finetune(&line![
        "--model",
        model_of(task).display(),
        "--task",
        task,
        "--data",
        data.display(),
        "--out",
        out.display(),
        "--steps 2 --batch 4",
        more,
    ])
}

#[test]
fn files_that_cannot_be_read_are_named_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    run("sft", &folder.path().join("none.jsonl"), "").refused(&["none.jsonl", "No such file"]);
    let broken = file(
        "broken.jsonl",
        "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\",\n",
    );
    run("sft", &broken, "").refused(&["broken.jsonl", "line 2", "column"]);
    let other = file(
        "other.jsonl",
        "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"title\": \"a\"}\n",
    );
    run("sft", &other, "").refused(&["other.jsonl", "line 2"]);
    run("sft", &file("empty.jsonl", ""), "").refused(&["empty.jsonl", "no examples"]);
    let table = file("table.csv", "words,kind\na,b\n");
    run("classify", &table, "").refused(&["table.csv", "words, kind", "column"]);
    let moved = "{\"data\": [{\"paragraphs\": [{\"context\": \"it is near\", \"qas\": [{\"id\": \"1\", \
                 \"question\": \"is it\", \"answers\": [{\"text\": \"far\", \"answer_start\": 3}]}]}]}]}";
    run("qa", &file("moved.json", moved), "").refused(&["moved.json", "question \"1\"", "character 3"]);
}

#[test]
fn a_label_that_training_does_not_know_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("classify", folder.path());
    let valid = folder.path().join("other.csv");
    fs::write(&valid, "text,label\ndrink it,drink\nnear it,neither\n").unwrap();
    let ended = run(
        "classify",
        &files.train,
        &format!("--force --valid {}", valid.display()),
    );
    ended.refused(&["other.csv", "line 3", "neither", "drink, vector"]);
}

#[test]
fn a_folder_of_others_is_not_written_into() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("sft", folder.path());
    let mine = folder.path().join("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("run.json"), "mine").unwrap();
    fs::create_dir(mine.join("model")).unwrap();
    let ended = finetune(&line![
        "--model",
        model_of("sft").display(),
        "--task sft --data",
        files.train.display(),
        "--out",
        mine.display(),
        "--steps 1 --force",
    ]);
    ended.refused(&["mine", "something else than a fine-tuning", "--out"]);
    assert_eq!(fs::read_to_string(mine.join("run.json")).unwrap(), "mine");
    assert_eq!(mine.read_dir().unwrap().count(), 2);
}

#[test]
fn command_lines_that_are_no_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("sft", folder.path());
    let sft = |more: &str| run("sft", &files.train, more);
    sft("--method lara").refused(&[
        "lara",
        "full, last:N, norms, biases, patterns:NAMES, head, lora, dora, ia3, adapter, prompt",
    ]);
    sft("--method last:0 --force").refused(&["last"]);
    sft("--method last:9 --force").refused(&["2 layers"]);
    sft("--method lora --targets qproj --force").refused(&["qproj", "q_proj"]);
    sft("--rank 0 --force").refused(&["--rank"]);
    sft("--method prompt --virtual-tokens 0 --force").refused(&["--virtual-tokens"]);
    sft("--method adapter --reduction 0 --force").refused(&["--reduction"]);
    sft("--batch 0 --force").refused(&["--batch"]);
    sft("--lr -1 --force").refused(&["--lr", "-1"]);
    sft("--lr nan --force").refused(&["--lr"]);
    sft("--dropout 1.5 --force").refused(&["--dropout"]);
    sft("--warmup 3 --force").refused(&["--warmup"]);
    sft("--overflow cut").refused(&["cut", "error, truncate, drop"]);
    sft("--plan --resume").refused(&["--plan"]);
    sft("--search-space lr=1e-5..1e-3").refused(&["--search"]);
    sft("--search 2 --search-space lr=1e-3..1e-5 --force").refused(&["lower"]);
    sft("--search 2 --search-space speed=1,2 --force").refused(&["speed", "lr, head-lr"]);
    sft("--search 2 --search-space rank=four,five --force").refused(&["rank=five", "whole number"]);
    sft("--method prompt --virtual-tokens 100000 --force").refused(&["--virtual-tokens", "reads"]);
    sft("--method head --force").refused(&["--method", "adds none"]);
    sft("--clip -1 --force").refused(&["--clip"]);
    sft("--memory 1 --force").refused(&["bytes of memory do not suffice"]);
    sft("--max-tokens 6 --overflow error --force").refused(&["train.jsonl", "line", "tokens"]);
    let sure = finetune(&line![
        "--model",
        folder.path().join("nowhere").display(),
        "--task sft --data",
        files.train.display(),
        "--out",
        folder.path().join("run").display(),
    ]);
    sure.refused(&["nowhere"]);
    // A prompt needs a model that continues texts.
    let classified = data::write("classify", folder.path());
    run("classify", &classified.train, "--method prompt --force").refused(&["language models"]);
    // An encoder is no language model.
    let encoder = finetune(&line![
        "--model",
        model_of("tag").display(),
        "--task sft --data",
        files.train.display(),
        "--out",
        folder.path().join("run").display(),
    ]);
    encoder.refused(&["bert"]);
    assert!(!folder.path().join("run").exists(), "something was begun");
}

#[test]
fn what_the_doctor_finds_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("classify", folder.path());
    let ended = run(
        "classify",
        &files.train,
        &format!("--test {}", files.train.display()),
    );
    ended.refused(&["the doctor found", "--force"]);
    assert!(ended.stdout.contains("train.csv, line"), "{}", ended.stdout);
    // The plan is shown nevertheless, and the status says so.
    let plan = run(
        "classify",
        &files.train,
        &format!("--test {} --plan --json", files.train.display()),
    );
    plan.refused(&["the doctor found", "another set", "--force"]);
    let json = plan.json();
    assert!(json["predicted_peak_bytes"].is_number(), "{json}");
    let faults: Vec<&str> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["fault"].as_str())
        .collect();
    assert!(faults.contains(&"leakage"), "{faults:?}");
}

#[test]
fn an_empty_label_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let train = folder.path().join("train.csv");
    fs::write(&train, "text,label\ndrink it,drink\nnear it,\nthe texts,vector\n").unwrap();
    run("classify", &train, "--force").refused(&["train.csv, line 3", "label is empty", "--clean"]);
}
