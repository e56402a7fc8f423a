//! Options that do something, and options that would do nothing.

use std::fs;

use serde_json::Value;

use crate::data;
use crate::line;
use crate::program::{Ended, finetune, model_of};

/// Two steps of a task, on the task's own little sets.
fn run(folder: &std::path::Path, task: &str, more: &str) -> Ended {
    let files = data::write(task, folder);
    let number = fs::read_dir(folder).unwrap().count();
    finetune(&line![
        "--model",
        model_of(task).display(),
        "--task",
        task,
        "--data",
        files.train.display(),
        "--out",
        folder.join(format!("run-{number}")).display(),
        "--steps 2 --batch 4 --max-tokens 48 --force --json",
        more,
    ])
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (task, more, parts) in [
        ("sft", "--method full --rank 4", ["--rank", "lora, dora"]),
        ("sft", "--method lora --reduction 8", ["--reduction", "adapter"]),
        ("sft", "--virtual-tokens 4", ["--virtual-tokens", "prompt"]),
        (
            "sft",
            "--method ia3 --dropout 0.1",
            ["--dropout", "lora, dora, adapter"],
        ),
        ("sft", "--dims 32,16", ["--dims", "it is for embed"]),
        (
            "sft",
            "--head-lr 0.01",
            ["--head-lr", "classify, tag, qa, rerank"],
        ),
        ("embed", "--beta 0.2", ["--beta", "dpo"]),
        ("tag", "--class-weights balanced", ["--class-weights", "classify"]),
        (
            "classify",
            "--precision int8",
            ["--precision", "sft, pretrain, dpo"],
        ),
        ("embed", "--dims 16,16", ["--dims", "16 is there twice"]),
        ("embed", "--accumulate 2", ["--accumulate", "--batch"]),
        (
            "dpo",
            "--dpo-loss ipo --label-smoothing 0.1",
            ["--label-smoothing", "sigmoid"],
        ),
        ("dpo", "--label-smoothing 0.5", ["--label-smoothing", "0.5"]),
        ("dpo", "--beta 0", ["--beta", "above 0"]),
        ("sft", "--alpha nan", ["--alpha", "above 0"]),
        ("sft", "--no-valid --patience 2", ["--patience", "--no-valid"]),
        ("sft", "--folds 1", ["--folds", "2"]),
    ] {
        let ended = run(folder.path(), task, more);
        ended.refused(&parts);
        assert_eq!(ended.stdout, "", "{more}");
    }
    // A search may try the method that an option is for.
    let space = "--search grid --method full --rank 2 --search-space method=full,lora";
    run(folder.path(), "sft", space).ok();
}

#[test]
fn options_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.json");
    fs::write(&weights, "{\"drink\": 1.0, \"vector\": 2.5}").unwrap();
    let from_file = format!("--class-weights {}", weights.display());
    for (task, more, setting, value) in [
        ("sft", "--rslora --rank 4", "rslora", "true"),
        ("sft", "--lora-plus 16", "b_rate", "16.0"),
        (
            "sft",
            "--targets re:.*(q|k)_proj",
            "targets",
            "\"\\\".*(q|k)_proj\\\"\"",
        ),
        ("sft", "--method dora --targets all-linear", "dora", "true"),
        ("sft", "--method last:1+norms", "last_layers", "1"),
        ("sft", "--clip 0", "clip", "0.0"),
        ("dpo", "--dpo-loss ipo --beta 0.2", "dpo loss", "\"ipo\""),
        ("dpo", "--dpo-loss ipo --beta 0.2", "beta", "0.2"),
        ("dpo", "--label-smoothing 0.2", "label smoothing", "0.2"),
        ("dpo", "--label-smoothing 0.2", "dpo loss", "\"sigmoid\""),
        (
            "classify",
            "--class-weights balanced",
            "class weights",
            "\"balanced\"",
        ),
        ("classify", &from_file, "class weights", ""),
        ("embed", "--dims 16,8", "dims", "[16,8]"),
    ] {
        let json = run(folder.path(), task, more).ok().json();
        let found = &json["settings"][setting];
        assert!(!found.is_null(), "{more}: {}", json["settings"]);
        if !value.is_empty() {
            assert_eq!(found.to_string(), value, "{more}");
        }
    }
    fs::write(&weights, "{\"drink\": 1.0}").unwrap();
    run(folder.path(), "classify", &from_file).refused(&["weights.json", "no weight for \"vector\""]);
    fs::write(&weights, "{\"drink\": 1.0, \"vector\": 1.0, \"tea\": 1.0}").unwrap();
    run(folder.path(), "classify", &from_file).refused(&["weights.json", "\"tea\"", "drink, vector"]);
    run(folder.path(), "classify", "--class-weights none.json").refused(&["none.json", "balanced"]);
    run(folder.path(), "sft", "--targets re:*(").refused(&["*("]);
}

#[test]
fn an_adapter_is_trained_beside_a_quantised_base() {
    let folder = tempfile::tempdir().unwrap();
    for precision in ["int8", "int4"] {
        let json = run(folder.path(), "sft", &format!("--precision {precision}"))
            .ok()
            .json();
        assert_eq!(json["settings"]["precision"], precision);
        assert!(json["valid"]["loss"].is_number(), "{json}");
    }
    // Whole weights are not trained in so few bits.
    run(folder.path(), "sft", "--precision int8 --method full").refused(&[
        "--precision int8",
        "--method full",
        "lora",
    ]);
}

#[test]
fn a_single_step_needs_no_warm_up() {
    let folder = tempfile::tempdir().unwrap();
    let json = run(folder.path(), "sft", "--no-valid").ok().json();
    assert_eq!(json["settings"]["warm-up steps"], 1);
    assert!(
        !faults(&json).contains(&"selection-without-evaluation".to_owned()),
        "{json}"
    );
    let files = data::write("sft", folder.path());
    let one = finetune(&line![
        "--model",
        model_of("sft").display(),
        "--task sft --data",
        files.train.display(),
        "--out",
        folder.path().join("one").display(),
        "--steps 1 --batch 4 --json --force",
    ]);
    let json = one.ok().json();
    assert_eq!(
        (json["steps"].as_u64(), json["settings"]["warm-up steps"].as_u64()),
        (Some(1), Some(0))
    );
    // What is asked for is taken as it is, and the doctor sees it.
    let asked = run(folder.path(), "sft", "--warmup 1.0").ok().json();
    assert!(
        faults(&asked).contains(&"warmup-longer-than-run".to_owned()),
        "{asked}"
    );
}

fn faults(json: &Value) -> Vec<String> {
    let findings = json["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["fault"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn examples_of_one_author_are_on_one_side() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "text,label,author\n".to_owned();
    for number in 0..40 {
        let label = if number % 2 == 0 { "drink" } else { "vector" };
        table += &format!(
            "the {} is near,{label},author {}\n",
            data::word(number),
            number / 10
        );
    }
    let train = folder.path().join("train.csv");
    fs::write(&train, table).unwrap();
    let run = |field: &str| {
        finetune(&line![
            "--model",
            model_of("classify").display(),
            "--task classify --method head --text-column text --label-column label --data",
            train.display(),
            "--out",
            folder.path().join(field).display(),
            "--steps 2 --batch 4 --force --json --split-by",
            field,
        ])
    };
    let json = run("author").ok().json();
    // Whole authors of ten examples each, and not a tenth of 40.
    let held_out = json["data"][1]["examples"].as_u64().unwrap();
    assert_eq!(held_out % 10, 0, "{json}");
    run("writer").refused(&["train.csv", "text, label, author", "--split-by"]);
    // In cross-validation whole authors are tested.
    let folds = |more: &str| {
        finetune(&line![
            "--model",
            model_of("classify").display(),
            "--task classify --method head --text-column text --label-column label --data",
            train.display(),
            "--out",
            folder.path().join("folds").display(),
            "--steps 2 --batch 4 --force --json --split-by author",
            more,
        ])
    };
    let json = folds("--folds 4 --no-valid").ok().json();
    for fold in json["folds"].as_array().unwrap() {
        let sets = fold["data"].as_array().unwrap();
        let test = sets.iter().find(|set| set["set"] == "test").unwrap();
        assert_eq!(test["examples"], 10, "{fold}");
    }
    folds("--folds 5").refused(&["5 parts of 4 groups"]);
    folds("--no-valid").refused(&["--split-by", "--no-valid", "--folds"]);
}

#[test]
fn the_doctor_knows_how_large_the_model_is() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("classify", folder.path());
    let planned = |rate: &str| {
        let json = finetune(&line![
            "--model",
            model_of("classify").display(),
            "--task classify --method full --data",
            files.train.display(),
            "--out",
            folder.path().join("run").display(),
            "--plan --json --lr",
            rate,
        ]);
        faults(&json.ok().json())
    };
    // A tiny model bears what would be too much for one of a hundred million weights.
    let rate_faults = |rate: &str| -> Vec<String> {
        let of_rate = |fault: &String| fault.to_lowercase().contains("rate");
        planned(rate).into_iter().filter(of_rate).collect()
    };
    assert_eq!(rate_faults("1e-3"), Vec::<String>::new());
    assert_eq!(rate_faults("2e-2").len(), 1);
}
