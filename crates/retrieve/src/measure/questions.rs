//! Questions of one's own, with the documents that answer them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::beir::{BeirDataset, for_each_line};
use super::qrels::{Judgements, Qrels};
use crate::error::{Error, Result};

/// A question to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its id.
    pub id: String,
    /// The question.
    pub text: String,
}

/// Questions, and which documents are relevant to them.
///
/// ```
/// use ragtune_retrieve::measure::QuestionSet;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("questions.tsv");
/// std::fs::write(&path, "How hot is green tea?\ttea/green.md\nHow hot is green tea?\ttea/all.md\n")?;
/// let questions = QuestionSet::load(&path)?;
/// assert_eq!(questions.questions[0].text, "How hot is green tea?");
/// assert_eq!(questions.qrels["1"].len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuestionSet {
    /// The questions in the order of the file.
    pub questions: Vec<Question>,
    /// What is relevant to each.
    pub qrels: Qrels,
}

/// A judgement of a document that does not exist: it could never be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDocument {
    /// The question's id.
    pub question: String,
    /// The document's id.
    pub document: String,
}

impl QuestionSet {
    /// Questions with the ids of their relevant documents; the questions' own ids are 1, 2, and so on.
    pub fn new<Q: Into<String>, D: Into<String>>(
        questions: impl IntoIterator<Item = (Q, impl IntoIterator<Item = D>)>,
    ) -> Self {
        let mut set = Self::default();
        for (number, (text, documents)) in (1..).zip(questions) {
            let id = number.to_string();
            let judgements = documents.into_iter().map(|document| (document.into(), 1));
            set.qrels.insert(id.clone(), judgements.collect());
            set.questions.push(Question {
                id,
                text: text.into(),
            });
        }
        set
    }

    /// Reads questions from a file, by the ending of its name:
    ///
    /// - `.jsonl`: `{"question": "..", "relevant": ["document", ..]}` a line, or `{"document": grade, ..}` in place of the
    ///   list; `"id"` where the question has one.
    /// - `.tsv`: `question<TAB>document`, or `question<TAB>document<TAB>grade`; a question with several documents has
    ///   several lines. A first line that says `question` and `document` is a heading.
    ///
    /// A question without an id has the number of its (first) line. Grades are whole numbers; 0 or less is not relevant.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] with file and line for a line that is not as it should be, a repeated id or
    /// judgement, a question without a relevant document, and a file of another ending.
    pub fn load(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let set = match ending.map(str::to_lowercase).as_deref() {
            Some("jsonl" | "ndjson") => read_jsonl(path)?,
            Some("tsv") => read_tsv(path)?,
            _ => {
                return Err(malformed(
                    path,
                    0,
                    "questions are read from .jsonl and .tsv files".to_owned(),
                ));
            }
        };
        if set.questions.is_empty() {
            return Err(malformed(path, 0, "the file holds no question".to_owned()));
        }
        for question in &set.questions {
            let judged = set.qrels.get(&question.id);
            if !judged.is_some_and(|judged| judged.values().any(|grade| *grade > 0)) {
                let reason = format!(
                    "nothing is relevant to {:?}, so no ranking could be right",
                    question.text
                );
                return Err(malformed(path, 0, reason));
            }
        }
        Ok(set)
    }

    /// Relevant documents that `exists` does not know, which are mostly misspelt; measures would count them as never
    /// found.
    pub fn unknown_documents(&self, exists: impl Fn(&str) -> bool) -> Vec<UnknownDocument> {
        let mut unknown = Vec::new();
        for question in &self.questions {
            let judged = self.qrels.get(&question.id).into_iter().flatten();
            for (document, _) in judged.filter(|(document, grade)| **grade > 0 && !exists(document)) {
                unknown.push(UnknownDocument {
                    question: question.id.clone(),
                    document: document.clone(),
                });
            }
        }
        unknown
    }

    /// Number of questions.
    pub fn len(&self) -> usize {
        self.questions.len()
    }

    /// Whether there is no question.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }
}

impl From<&BeirDataset> for QuestionSet {
    fn from(data: &BeirDataset) -> Self {
        let question = |query: &super::beir::BeirQuery| Question {
            id: query.id.clone(),
            text: query.text.clone(),
        };
        Self {
            questions: data.queries.iter().map(question).collect(),
            qrels: data.qrels.clone(),
        }
    }
}

/// A line of a `.jsonl` file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(default)]
    id: Option<super::beir::Id>,
    question: String,
    relevant: Relevant,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Relevant {
    One(String),
    List(Vec<String>),
    Graded(BTreeMap<String, i32>),
}

fn read_jsonl(path: &Path) -> Result<QuestionSet> {
    let mut set = QuestionSet::default();
    for_each_line(path, |number, line| {
        let record: Record = serde_json::from_str(line).map_err(|error| {
            format!("{error}; a line is {{\"question\": \"..\", \"relevant\": [\"document\", ..]}}")
        })?;
        let id = record.id.map_or_else(|| number.to_string(), String::from);
        if record.question.trim().is_empty() {
            return Err("the question is empty".to_owned());
        }
        let mut judgements = Judgements::new();
        let relevant: Vec<(String, i32)> = match record.relevant {
            Relevant::One(document) => vec![(document, 1)],
            Relevant::List(documents) => documents.into_iter().map(|document| (document, 1)).collect(),
            Relevant::Graded(graded) => graded.into_iter().collect(),
        };
        for (document, grade) in relevant {
            if judgements.insert(document.clone(), grade).is_some() {
                return Err(format!("{document:?} is named twice"));
            }
        }
        if set.qrels.insert(id.clone(), judgements).is_some() {
            return Err(format!("the id {id:?} was already on a line before"));
        }
        set.questions.push(Question {
            id,
            text: record.question,
        });
        Ok(())
    })?;
    Ok(set)
}

fn read_tsv(path: &Path) -> Result<QuestionSet> {
    let mut set = QuestionSet::default();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for_each_line(path, |number, line| {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let (text, document, grade) = match fields.as_slice() {
            [text, document] => (*text, *document, 1),
            [text, document, grade]
                if number == 1 && is_heading(text, document) && grade.parse::<i32>().is_err() =>
            {
                return Ok(());
            }
            [text, document, grade] => {
                let grade = grade
                    .parse()
                    .map_err(|_| format!("the grade {grade:?} is not a whole number"))?;
                (*text, *document, grade)
            }
            others => {
                return Err(format!(
                    "{} fields where a question, a document and perhaps a grade are expected, divided by tabs",
                    others.len()
                ));
            }
        };
        if number == 1 && fields.len() == 2 && is_heading(text, document) {
            return Ok(());
        }
        if text.is_empty() || document.is_empty() {
            return Err("the question or the document is empty".to_owned());
        }
        let id = match ids.get(text) {
            Some(id) => id.clone(),
            None => {
                let id = number.to_string();
                ids.insert(text.to_owned(), id.clone());
                set.questions.push(Question {
                    id: id.clone(),
                    text: text.to_owned(),
                });
                id
            }
        };
        match set
            .qrels
            .entry(id)
            .or_default()
            .insert(document.to_owned(), grade)
        {
            None => Ok(()),
            Some(_) => Err(format!("{document:?} was already judged for {text:?}")),
        }
    })?;
    Ok(set)
}

fn is_heading(first: &str, second: &str) -> bool {
    first.eq_ignore_ascii_case("question") && second.eq_ignore_ascii_case("document")
}

fn malformed(path: &Path, line: usize, reason: String) -> Error {
    Error::Malformed {
        path: PathBuf::from(path),
        line,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str, text: &str) -> Result<QuestionSet> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        QuestionSet::load(&path)
    }

    #[test]
    fn both_forms_say_the_same() {
        let tsv = load(
            "q.tsv",
            "question\tdocument\tgrade\r\nHow hot?\ta.md\t2\nWho?\tb c.md\t1\nHow hot?\td.md\t0\n",
        )
        .unwrap();
        let jsonl = load(
            "q.jsonl",
            "{\"id\": 2, \"question\": \"How hot?\", \"relevant\": {\"a.md\": 2, \"d.md\": 0}}\n\n\
             {\"question\": \"Who?\", \"relevant\": [\"b c.md\"]}\n",
        )
        .unwrap();
        assert_eq!(tsv, jsonl);
        assert_eq!(tsv.len(), 2);
        let unknown = tsv.unknown_documents(|id| id == "a.md");
        assert_eq!((unknown.len(), unknown[0].document.as_str()), (1, "b c.md"));
        let one = load("q.jsonl", "{\"question\": \"Who?\", \"relevant\": \"a\"}").unwrap();
        assert_eq!(one, QuestionSet::new([("Who?", ["a"])]));
    }

    #[test]
    fn damage_names_the_line() {
        for (name, text, at, says) in [
            ("q.csv", "a,b", 0, ".tsv"),
            ("q.tsv", "", 0, "no question"),
            ("q.tsv", "q\ta\nq only\n", 2, "1 fields"),
            ("q.tsv", "q\ta\thigh\n", 1, "whole number"),
            ("q.tsv", "q\ta\nq\ta\n", 2, "already"),
            ("q.tsv", "q\t\n", 1, "empty"),
            ("q.tsv", "q\ta\t0\n", 0, "nothing is relevant"),
            ("q.jsonl", "{\"question\": \"q\"}\n", 1, "relevant"),
            (
                "q.jsonl",
                "{\"question\": \"q\", \"relevant\": [\"a\", \"a\"]}",
                1,
                "twice",
            ),
            (
                "q.jsonl",
                "{\"question\": \" \", \"relevant\": [\"a\"]}",
                1,
                "empty",
            ),
            (
                "q.jsonl",
                "{\"question\": \"q\", \"relevant\": [], \"x\": 1}",
                1,
                "unknown field",
            ),
            (
                "q.jsonl",
                "{\"id\": 1, \"question\": \"q\", \"relevant\": [\"a\"]}\n{\"id\": 1, \"question\": \"r\", \"relevant\": [\"a\"]}",
                2,
                "already",
            ),
        ] {
            match load(name, text) {
                Err(Error::Malformed { line, reason, .. }) => {
                    assert!(line == at && reason.contains(says), "{text:?}: {line} {reason}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }
}
