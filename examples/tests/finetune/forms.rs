//! Forms of data that other tools write.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::data::word;
use crate::line;
use crate::program::{finetune, model_of};

fn run(task: &str, data: &Path, out: &Path, more: &str) -> crate::program::Ended {
    finetune(&line![
        "--model",
        model_of(task).display(),
        "--task",
        task,
        "--data",
        data.display(),
        "--out",
        out.display(),
        "--steps 2 --batch 4 --max-tokens 48 --force --json",
        more,
    ])
}

/// A collection with judgements of these names, each on queries of its own.
fn write_beir(folder: &Path, splits: &[&str]) {
    fs::create_dir_all(folder.join("qrels")).unwrap();
    let (mut corpus, mut queries) = (String::new(), String::new());
    for (at, split) in splits.iter().enumerate() {
        let mut qrels = "query-id\tcorpus-id\tscore\n".to_owned();
        for number in 20 * at..20 * at + 16 {
            corpus += &format!(
                "{}\n",
                json!({"_id": format!("d{number}"), "title": "", "text": format!("texts near {}", word(number))})
            );
            queries += &format!(
                "{}\n",
                json!({"_id": format!("q{number}"), "text": format!("is it {}", word(number))})
            );
            qrels += &format!("q{number}\td{number}\t1\n");
        }
        fs::write(folder.join("qrels").join(format!("{split}.tsv")), qrels).unwrap();
    }
    fs::write(folder.join("corpus.jsonl"), corpus).unwrap();
    fs::write(folder.join("queries.jsonl"), queries).unwrap();
}

#[test]
fn a_beir_folder_is_read_with_its_own_sets() {
    let folder = tempfile::tempdir().unwrap();
    let beir = folder.path().join("beir");
    write_beir(&beir, &["train", "dev", "test"]);
    for task in ["embed", "rerank"] {
        let json = run(task, &beir, &folder.path().join(task), "").ok().json();
        let sets: Vec<(&str, u64)> = json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|set| (set["set"].as_str().unwrap(), set["examples"].as_u64().unwrap()))
            .collect();
        assert_eq!(sets, [("train", 16), ("validation", 16), ("test", 16)]);
        assert!(json["data"][2]["source"].as_str().unwrap().ends_with("test.tsv"));
        assert!(json["test"].is_object(), "{json}");
    }
    // Judgements can be named themselves; what has no usual name has to be.
    let named = run(
        "embed",
        &beir.join("qrels/dev.tsv"),
        &folder.path().join("named"),
        "",
    )
    .ok()
    .json();
    assert_eq!(named["data"][0]["blake3"].as_str().unwrap().len(), 64);
    let other = folder.path().join("other");
    write_beir(&other, &["first", "second"]);
    run("embed", &other, &folder.path().join("none"), "").refused(&["train.tsv", "second.tsv"]);
}

#[test]
fn squad_as_the_library_datasets_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..24)
        .map(|number| {
            let answer = word(number);
            let row = json!({
                "id": number.to_string(), "title": format!("T{}", number % 6),
                "context": format!("the vector {answer} is near the texts"),
                "question": format!("is it {answer}"),
                "answers": {"text": [answer], "answer_start": [11]},
            });
            format!("{row}\n")
        })
        .collect();
    let data = folder.path().join("train.jsonl");
    fs::write(&data, rows).unwrap();
    let json = run("qa", &data, &folder.path().join("run"), "").ok().json();
    assert!(json["valid"]["f1"].is_number(), "{json}");
}

#[test]
fn several_labels_of_a_cell_have_a_separator() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "text,label\n".to_owned();
    for number in 0..24 {
        let label = ["drink", "vector", "drink|vector"][number % 3];
        table += &format!("the {} is near,{label}\n", word(number));
    }
    let data = folder.path().join("train.csv");
    fs::write(&data, table).unwrap();
    let out = folder.path().join("run");
    let weights = "--label-separator | --class-weights balanced";
    run("classify", &data, &out, weights).ok();
    let model =
        ragtune::core::models::SequenceClassifier::load(out.join("model"), &ragtune::core::device::cpu());
    assert_eq!(model.unwrap().labels().len(), 2);
}
