//! Records of runs: written whole, read back, listed, and bad ones named.
#![cfg(feature = "train")]

use std::fs;

use ragtune::Error;
use ragtune::experiment::{Experiment, Metric, list};
use serde_json::json;

#[test]
fn a_record_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("questions.jsonl");
    fs::write(&data, "{}\n").unwrap();
    let mut run = Experiment::start("compare", "garden <1>").with_seed(3);
    run.configure(&json!({"systems": ["a", "b"], "top_k": 5}))
        .unwrap();
    run.read_data(&data).unwrap();
    run.set("f1", Metric::new(0.5).with_interval(0.4, 0.6))
        .set("p50_ms", 12.5);
    run.note("no unanswerable question");
    run.finish();
    assert!(run.seconds > 0.0);
    run.seconds = 1.5;
    let place = folder.path().join("runs/first");
    run.save(&place).unwrap();
    let again = Experiment::load(&place).unwrap();
    assert_eq!(again, run);
    assert!(again.started.ends_with('Z'));
    assert!(again.versions.contains_key("rustc") && again.versions.contains_key("burn"));
    let names: Vec<_> = fs::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["experiment.json"], "nothing half written stays");
    let text = fs::read_to_string(place.join("experiment.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        value["metrics"]["f1"],
        json!({"mean": 0.5, "low": 0.4, "high": 0.6})
    );
    assert_eq!(value["metrics"]["p50_ms"], json!({"mean": 12.5}));
}

#[test]
fn what_is_no_number_is_refused_and_leaves_the_old_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Experiment::start("evaluate", "a");
    run.save(folder.path()).unwrap();
    run.set("f1", f64::NAN);
    let error = run.save(folder.path()).unwrap_err();
    assert!(
        matches!(&error, Error::BadExperiment { reason, .. } if reason.contains("\"f1\"")),
        "{error}"
    );
    assert!(Experiment::load(folder.path()).unwrap().metrics.is_empty());
}

#[test]
fn bad_folders_are_named_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (name, started) in [
        ("b", "2026-01-02T00:00:00Z"),
        ("deep/er/a", "2026-01-01T00:00:00Z"),
    ] {
        let mut run = Experiment::start("evaluate", name);
        run.started = started.to_owned();
        run.save(folder.path().join(name)).unwrap();
    }
    let hostile = [
        ("not-json", "{".to_owned()),
        ("missing", "{\"format\": 1}".to_owned()),
        (
            "newer",
            fs::read_to_string(folder.path().join("b/experiment.json"))
                .unwrap()
                .replacen("\"format\": 1", "\"format\": 99", 1),
        ),
        ("nested", "[".repeat(100_000)),
    ];
    for (name, text) in &hostile {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("experiment.json"), text).unwrap();
    }
    fs::create_dir_all(folder.path().join("folder/experiment.json")).unwrap();
    fs::create_dir_all(folder.path().join("empty")).unwrap();
    let found = list(folder.path()).unwrap();
    let names: Vec<_> = found
        .runs
        .iter()
        .map(|run| run.experiment.name.as_str())
        .collect();
    assert_eq!(names, ["deep/er/a", "b"], "by the time when they began");
    let bad: Vec<_> = found
        .bad
        .iter()
        .map(|bad| bad.folder.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(bad, ["folder", "missing", "nested", "newer", "not-json"]);
    let newer = found
        .bad
        .iter()
        .find(|bad| bad.folder.ends_with("newer"))
        .unwrap();
    assert!(newer.error.to_string().contains("format 99"), "{}", newer.error);
    assert!(matches!(list(folder.path().join("none")), Err(Error::Io { .. })));
}
