//! Question sets in BEIR layout.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ragtune_retrieve::measure::BeirDataset;
use serde_json::Value;

use super::question::{AnswerQuestion, AnswerSet};
use crate::error::{Error, Result};

impl AnswerSet {
    /// The judged questions of a folder in BEIR layout: sources are the documents with a grade above 0, with their grades, answers what
    /// `queries.jsonl` has as `metadata.answer` or `metadata.answers`, a text or a list. A question without a relevant
    /// document and without an answer is not answerable.
    ///
    /// # Errors
    /// [`Error::Retrieve`] for what [`BeirDataset::load`] refuses, [`Error::BadQuestion`] for an answer that is no text.
    pub fn load_beir(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let data = BeirDataset::load(folder)?;
        let mut answers = read_answers(&folder.join("queries.jsonl"))?;
        Self::new(data.queries.iter().map(|query| {
            let judged = data.qrels.get(&query.id).into_iter().flatten();
            let question = AnswerQuestion::new(&query.id, &query.text)
                .with_answers(answers.remove(&query.id).unwrap_or_default())
                .with_graded_sources(judged.map(|(document, grade)| (document.as_str(), *grade)));
            AnswerQuestion {
                answerable: !(question.sources.is_empty() && question.answers.is_empty()),
                ..question
            }
        }))
    }
}

/// The answers of each question; the lines are whole JSON objects, because the data set was read before.
fn read_answers(path: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
    let mut all = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let bad = |reason: &str| Error::BadQuestion {
            path: path.to_owned(),
            line: number,
            field: "metadata.answer".to_owned(),
            reason: reason.to_owned(),
        };
        if line.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(line).map_err(|_| bad("the line is no JSON"))?;
        let id = match value.get("_id") {
            Some(Value::String(id)) => id.clone(),
            Some(id) => id.to_string(),
            None => continue,
        };
        let metadata = |name| value.get("metadata").and_then(|metadata| metadata.get(name));
        let answers = match metadata("answer").or_else(|| metadata("answers")) {
            None | Some(Value::Null) => continue,
            Some(Value::String(answer)) => vec![answer.clone()],
            Some(Value::Array(answers)) => {
                let text = |answer: &Value| answer.as_str().map(str::to_owned);
                let texts: Option<Vec<String>> = answers.iter().map(text).collect();
                texts.ok_or_else(|| bad("an answer is no text"))?
            }
            Some(_) => return Err(bad("neither a text nor a list of texts")),
        };
        all.insert(id, answers);
    }
    Ok(all)
}
