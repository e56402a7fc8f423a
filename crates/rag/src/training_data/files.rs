//! The sets as files that `finetune` and `evaluate_retrieval` read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ragtune_retrieve::measure::BeirDataset;
use ragtune_train::data::{Instruction, Judged, Pair, Question};
use serde::Serialize;
use serde_json::{Value, json};

use super::sets::{TrainingPart, TrainingSets};
use crate::error::{Error, Result};

/// Writes all sets beside the folder, then renames.
pub(super) fn write(sets: &TrainingSets, folder: &Path) -> Result<()> {
    let is_taken = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if is_taken || (folder.exists() && !folder.is_dir()) {
        return Err(Error::OutputExists {
            path: folder.to_owned(),
        });
    }
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let partial = folder.with_file_name(format!(".{name}.partial"));
    let _ = fs::remove_dir_all(&partial);
    let written = fill(sets, &partial).and_then(|()| {
        if folder.exists() {
            fs::remove_dir(folder).map_err(|source| Error::io(folder, source))?;
        }
        fs::rename(&partial, folder).map_err(|source| Error::io(folder, source))
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

fn fill(sets: &TrainingSets, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    part(&sets.train, folder, "train")?;
    part(&sets.held_out, folder, "held-out")?;
    if !sets.benchmark.queries.is_empty() {
        benchmark(&sets.benchmark, &folder.join("held-out"))?;
    }
    let report = serde_json::to_string_pretty(&sets.report).map_err(encoding)?;
    file(&folder.join("report.json"), &mut |out| writeln!(out, "{report}"))?;
    file(&folder.join("report.txt"), &mut |out| {
        writeln!(out, "{}", sets.report)
    })
}

fn part(part: &TrainingPart, folder: &Path, name: &str) -> Result<()> {
    let pairs = part.pairs.values().map(
        |pair: &Pair| json!({"query": pair.anchor, "positive": pair.positive, "negatives": pair.negatives}),
    );
    lines(&folder.join(format!("pairs.{name}.jsonl")), pairs)?;
    let judged = part.judged.values().map(
        |judged: &Judged| json!({"query": judged.query, "passage": judged.passage, "label": judged.label}),
    );
    lines(&folder.join(format!("judged.{name}.jsonl")), judged)?;
    let chats = part
        .conversations
        .values()
        .map(|chat: &Instruction| json!({"messages": chat.messages}));
    lines(&folder.join(format!("chat.{name}.jsonl")), chats)?;
    if part.questions.is_empty() {
        return Ok(());
    }
    let squad = serde_json::to_string(&squad(part.questions.values())).map_err(encoding)?;
    let path = folder.join(format!("questions.{name}.json"));
    file(&path, &mut |out| writeln!(out, "{squad}"))
}

/// SQuAD 2.0, a paragraph for each question; offsets are characters.
fn squad<'q>(questions: impl Iterator<Item = &'q Question>) -> Value {
    let articles: Vec<Value> = questions
        .map(|question| {
            let answers = question.answers.iter().map(|answer| {
                let before = question.context.get(..answer.start).unwrap_or_default();
                json!({"text": answer.text, "answer_start": before.chars().count()})
            });
            let qa = json!({
                "id": question.id, "question": question.question, "is_impossible": question.answers.is_empty(),
                "answers": answers.collect::<Vec<_>>(),
            });
            json!({
                "title": question.document,
                "paragraphs": [{"context": question.context, "document_id": question.document, "qas": [qa]}],
            })
        })
        .collect();
    json!({"version": "2.0", "data": articles})
}

fn benchmark(data: &BeirDataset, folder: &Path) -> Result<()> {
    let qrels = folder.join("qrels");
    fs::create_dir_all(&qrels).map_err(|source| Error::io(&qrels, source))?;
    let documents = data
        .documents
        .iter()
        .map(|document| json!({"_id": document.id, "title": document.title, "text": document.text}));
    lines(&folder.join("corpus.jsonl"), documents)?;
    let queries = data
        .queries
        .iter()
        .map(|query| json!({"_id": query.id, "text": query.text}));
    lines(&folder.join("queries.jsonl"), queries)?;
    file(&qrels.join("test.tsv"), &mut |out| {
        writeln!(out, "query-id\tcorpus-id\tscore")?;
        for (query, judged) in &data.qrels {
            for (document, grade) in judged {
                writeln!(out, "{query}\t{document}\t{grade}")?;
            }
        }
        Ok(())
    })
}

/// A JSON value a line; no file for none.
fn lines<T: Serialize>(path: &Path, values: impl Iterator<Item = T>) -> Result<()> {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    file(path, &mut |out| {
        for value in values.by_ref() {
            serde_json::to_writer(&mut *out, &value)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

fn file(path: &Path, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let write = || {
        let mut out = BufWriter::new(File::create_new(path)?);
        fill(&mut out)?;
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()
    };
    let mut write = write;
    write().map_err(|source| Error::io(path, source))
}

fn encoding(source: serde_json::Error) -> Error {
    Error::Core(ragtune_core::Error::external("the report's encoder", source))
}
