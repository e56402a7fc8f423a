//! `--folds`: every example is tested once, and the table is the mean of the runs.

use std::fs;

use crate::data;
use crate::line;
use crate::program::{finetune, model_of};

#[test]
fn every_example_is_in_one_test_set() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("classify", folder.path());
    let out = folder.path().join("folds");
    let line = |more: &str| {
        line![
            "--model",
            model_of("classify").display(),
            "--task classify --method head --data",
            files.train.display(),
            "--out",
            out.display(),
            "--folds 3 --steps 3 --batch 4 --force",
            more,
        ]
    };
    let json = finetune(&line("--json")).ok().json();
    let folds = json["folds"].as_array().unwrap();
    assert_eq!(folds.len(), 3);
    let set = |fold: &serde_json::Value, name: &str| {
        let sets = fold["data"].as_array().unwrap();
        let set = sets.iter().find(|set| set["set"] == name).unwrap();
        set["examples"].as_u64().unwrap()
    };
    assert_eq!(folds.iter().map(|fold| set(fold, "test")).sum::<u64>(), 24);
    assert!(
        folds
            .iter()
            .all(|fold| set(fold, "train") + set(fold, "validation") == 16),
        "{json}"
    );
    let accuracy = &json["test"]["accuracy"];
    let values: Vec<f64> = accuracy["values"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|value| value.as_f64())
        .collect();
    let mean = values.iter().sum::<f64>() / 3.0;
    assert!(
        (accuracy["mean"].as_f64().unwrap() - mean).abs() < 1e-12,
        "{accuracy}"
    );
    assert!(accuracy["low"].as_f64().unwrap() <= mean && accuracy["high"].as_f64().unwrap() >= mean);
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(out.join("folds.json")).unwrap()).unwrap();
    assert_eq!(kept, json);
    // What was done goes on as what it is; what was not begins.
    finetune(&line("")).refused(&["fold-1", "name another --out"]);
    fs::remove_dir_all(out.join("fold-3")).unwrap();
    let ended = finetune(&line("--resume")).ok();
    for part in [
        "fold 3 of 3",
        "is finished",
        "accuracy: ",
        "95 % interval over 3 folds",
    ] {
        assert!(ended.stdout.contains(part), "no {part:?} in {}", ended.stdout);
    }
    let again: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("folds.json")).unwrap()).unwrap();
    assert_eq!(again["test"], json["test"]);
    finetune(&line("--test x.csv")).refused(&["--folds", "--test"]);
}
