//! Small sets for every task, in words that the tiny models know the letters of.

use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::json;

pub const TASKS: [&str; 8] = [
    "sft", "pretrain", "dpo", "classify", "tag", "qa", "embed", "rerank",
];

/// The files of a task.
pub struct Files {
    pub train: PathBuf,
    pub valid: PathBuf,
    pub test: PathBuf,
}

/// Writes the three sets of a task.
pub fn write(task: &str, folder: &Path) -> Files {
    let ending = match task {
        "classify" => "csv",
        "tag" => "conll",
        "qa" => "json",
        "pretrain" => "txt",
        _ => "jsonl",
    };
    let file = |name: &str, range: Range<usize>| {
        let path = folder.join(format!("{name}.{ending}"));
        fs::write(&path, text(task, range)).unwrap();
        path
    };
    Files {
        train: file("train", 0..24),
        valid: file("valid", 24..32),
        test: file("test", 32..40),
    }
}

/// A word for a number, of letters that all tiny models know.
pub fn word(number: usize) -> String {
    let letters = ["a", "e", "o", "t", "s", "r", "h", "i", "n", "d"];
    let digits = format!("{:03}", number * 37 % 1000);
    digits
        .chars()
        .map(|digit| letters[digit.to_digit(10).unwrap() as usize])
        .collect()
}

fn text(task: &str, range: Range<usize>) -> String {
    if task == "qa" {
        let paragraphs: Vec<_> = range
            .map(|number| {
                let (context, answer) = (
                    format!("the vector {} is near the texts", word(number)),
                    word(number),
                );
                json!({"context": context, "qas": [{
                    "id": number.to_string(), "question": format!("is it {answer}"),
                    "answers": [{"text": answer, "answer_start": 11}],
                }]})
            })
            .collect();
        return json!({"version": "2", "data": [{"title": "vectors", "paragraphs": paragraphs}]}).to_string();
    }
    let mut text = String::new();
    if task == "classify" {
        text += "text,label\n";
    }
    for number in range {
        let (word, other) = (word(number), word(number + 400));
        let even = number % 2 == 0;
        let line = match task {
            "classify" if even => format!("drink the {word},drink"),
            "classify" => format!("a vector of {word},vector"),
            "tag" if even => format!("the O\nvector B-THING\n{word} I-THING\nis O\n"),
            "tag" => format!("{word} O\nis O\nnear O\nWho B-NAME\n"),
            "pretrain" => format!("the {word} and the {other} are in a bag, the dog has {word}"),
            "sft" => json!({"prompt": format!("the {word}"), "completion": format!("a {other} dog")}).to_string(),
            "dpo" => json!({"prompt": format!("the {word}"), "chosen": format!("the {other} dog"), "rejected": "no"})
                .to_string(),
            "embed" => json!({"anchor": format!("the vector of {word}"), "positive": format!("texts near {word}")})
                .to_string(),
            _ => json!({"query": format!("is it {word}"), "passage": format!("it is {word}"), "label": number % 2})
                .to_string(),
        };
        writeln!(text, "{line}").unwrap();
    }
    text
}
