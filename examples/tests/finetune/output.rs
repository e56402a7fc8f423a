//! What the program prints and leaves behind: results, cards, colours, progress, statuses.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::data;
use crate::line;
use crate::program::{finetune, model_of, start_piped};

fn arguments(task: &str, data: &Path, out: &Path, more: &str) -> Vec<String> {
    line![
        "--model",
        model_of(task).display(),
        "--task",
        task,
        "--data",
        data.display(),
        "--out",
        out.display(),
        "--steps 3 --batch 4 --max-tokens 48",
        more,
    ]
}

#[test]
fn the_card_and_the_object_say_how_the_result_came_about() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("qa", folder.path());
    let out = folder.path().join("run");
    let more = format!(
        "--lr 2e-4 --seed 7 --force --json --test {}",
        files.test.display()
    );
    let ended = finetune(&arguments("qa", &files.train, &out, &more)).ok();
    let json = ended.json();
    // Questions, not their windows.
    let sets = json["data"].as_array().unwrap();
    let counts: Vec<u64> = sets.iter().map(|set| set["examples"].as_u64().unwrap()).collect();
    assert_eq!((counts[0] + counts[1], counts[2]), (24, 8), "{json}");
    let sum = blake3::hash(&fs::read(&files.train).unwrap())
        .to_hex()
        .to_string();
    assert_eq!(json["data"][0]["blake3"], sum.as_str());
    for setting in [
        "learning rate",
        "head learning rate",
        "batch",
        "accumulate",
        "schedule",
        "warm-up steps",
        "steps",
    ] {
        assert!(!json["settings"][setting].is_null(), "no {setting}: {json}");
    }
    assert_eq!(json["settings"]["learning rate"], 2e-4);
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(kept, json);
    let card = fs::read_to_string(out.join("model/README.md")).unwrap();
    let trained = format!("| trained weights | {} of {}", json["trainable"], json["total"]);
    for part in [
        format!("`blake3:{sum}`"),
        trained,
        "| learning rate | 0.0002 |".to_owned(),
        "| seed | 7 |".to_owned(),
        "| batch | 4 |".to_owned(),
        "pipeline_tag: \"question-answering\"".to_owned(),
        "ragtune version".to_owned(),
    ] {
        assert!(card.contains(&part), "no {part:?} in {card}");
    }
    assert_eq!(card.matches("| method |").count(), 1, "{card}");
    // What the doctor found is in the object, and for people on standard error.
    assert!(!json["findings"].as_array().unwrap().is_empty(), "{json}");
    assert!(
        ended.stderr.contains("kinds of fault looked for"),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_is_no_terminal_gets_no_colours_and_lines_for_a_bar() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("sft", folder.path());
    let ended = finetune(&arguments(
        "sft",
        &files.train,
        &folder.path().join("run"),
        "--force",
    ))
    .ok();
    assert!(
        !ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains('⟦'), "{}", ended.stdout);
    for part in ["step 1 of 3: loss ", "step 3 of 3: loss ", "tokens/s", " left"] {
        assert!(ended.stderr.contains(part), "no {part:?} in {}", ended.stderr);
    }
    // One text is not too few examples, where its tokens are what is measured.
    let text = data::write("pretrain", folder.path());
    let plain = finetune(&arguments(
        "pretrain",
        &text.train,
        &folder.path().join("text"),
        "--json --force",
    ))
    .ok()
    .json();
    let found = plain["findings"].to_string();
    assert!(!found.contains("evaluation-too-small"), "{found}");
}

#[cfg(unix)]
#[test]
fn files_of_a_result_have_the_modes_of_new_files() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    let new = folder.path().join("new");
    fs::write(&new, "").unwrap();
    for task in ["classify", "embed", "sft"] {
        let files = data::write(task, folder.path());
        let out = folder.path().join(task);
        finetune(&arguments(task, &files.train, &out, "--force --json")).ok();
        for result in ["adapter", "model"]
            .map(|name| out.join(name))
            .iter()
            .filter(|result| result.exists())
        {
            for file in below(result) {
                assert_eq!(mode(&file), mode(&new), "{}", file.display());
            }
        }
    }
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => below(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn an_output_that_nobody_reads_is_told_from_a_finished_run() {
    let folder = tempfile::tempdir().unwrap();
    let files = data::write("sft", folder.path());
    let mut child = start_piped(&arguments(
        "sft",
        &files.train,
        &folder.path().join("run"),
        "--force",
    ));
    // The reader goes away behind the line of the test that the process also is.
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "running 1 test\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "no line of the test");
    }
    drop(reader);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(141), "{said}");
    assert!(!said.contains("error") && !said.contains("panicked"), "{said}");
}

#[test]
fn help_names_the_forms_of_data_and_ends_well() {
    let help = finetune(&line!["--help"]).ok();
    assert!(help.stdout.contains("docs/training-data.md"), "{}", help.stdout);
    assert_eq!(finetune(&line!["--no-such-option"]).status, Some(2));
}
