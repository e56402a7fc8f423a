//! `--search`: the table, the best run, and going on.

use std::fs;
use std::path::Path;

use crate::data;
use crate::line;
use crate::program::{finetune, model_of};

fn arguments(data: &data::Files, out: &Path, more: &str) -> Vec<String> {
    line![
        "--model",
        model_of("classify").display(),
        "--task classify --data",
        data.train.display(),
        "--valid",
        data.valid.display(),
        "--out",
        out.display(),
        "--steps 9 --batch 4 --force",
        more,
    ]
}

#[test]
fn the_best_of_a_search_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("classify", folder.path());
    let out = folder.path().join("searched");
    let space = "--search-space lr=1e-4..1e-2,method=lora,full";
    // One argument with a space between the settings.
    let line = |more: &str| {
        let mut line = arguments(&files, &out, more);
        let at = line.iter().position(|part| part.contains("lr=1e-4")).unwrap();
        line[at] = line[at].replace(",method", " method");
        line
    };
    let first = line(&format!("--search 6 --search-halving 2 {space}"));
    let ended = finetune(&first).ok();
    for part in [
        "search: 6 trials",
        "best: trial",
        "acc",
        "given up at",
        "result: ",
    ] {
        assert!(ended.stdout.contains(part), "no {part:?} in {}", ended.stdout);
    }
    let table = fs::read_to_string(out.join("search/trials.csv")).unwrap();
    assert_eq!(table.lines().count(), 7, "{table}");
    assert!(out.join("search/trials.md").exists() && out.join("model").exists());
    finetune(&first).refused(&["--resume"]);

    // What was found is found again at once, and the run with the best settings alone comes to the same.
    for result in ["adapter", "model"] {
        let _ = fs::remove_dir_all(out.join(result));
    }
    let json = finetune(&line(&format!(
        "--search 6 --search-halving 2 {space} --resume --json"
    )))
    .ok()
    .json();
    let search = &json["search"];
    let best = search["best"].as_u64().unwrap() as usize;
    let trial = &search["trials"][best - 1];
    assert_eq!(
        (json["steps"].as_u64(), trial["steps"].as_u64()),
        (Some(9), Some(9))
    );
    assert_eq!(json["method"], trial["settings"]["method"]);
    let alone = folder.path().join("alone");
    let settings = format!(
        "--json --lr {} --method {}",
        trial["settings"]["lr"],
        trial["settings"]["method"].as_str().unwrap()
    );
    let alone = finetune(&arguments(&files, &alone, &settings)).ok().json();
    assert_eq!(alone["valid"], json["valid"]);

    // Another space is another search.
    finetune(&arguments(
        &files,
        &out,
        "--search 6 --search-halving 2 --search-space rank=1,2,3,4,5,6 --resume",
    ))
    .refused(&["search.json", "space: "]);
}

#[test]
fn a_search_in_which_all_fails_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("classify", folder.path());
    let line = arguments(
        &files,
        &folder.path().join("run"),
        "--search grid --search-space lr=50,60",
    );
    finetune(&line).refused(&["all 2 trials failed", "--lr", "trials.csv"]);
}
