//! Data sets in BEIR layout: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`.
//!
//! N. Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval Models"
//! (NeurIPS 2021).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::qrels::Qrels;
use crate::error::{Error, Result};

/// A document of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeirDocument {
    /// Its id.
    pub id: String,
    /// Its title; empty where it has none.
    pub title: String,
    /// Its text.
    pub text: String,
}

impl BeirDocument {
    /// Title and text, as the benchmark's models see them.
    pub fn content(&self) -> String {
        if self.title.is_empty() {
            self.text.clone()
        } else {
            format!("{} {}", self.title, self.text)
        }
    }
}

/// A question with judgements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeirQuery {
    /// Its id.
    pub id: String,
    /// The question.
    pub text: String,
}

/// A corpus, questions, and what is relevant to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BeirDataset {
    /// The corpus in the order of the file.
    pub documents: Vec<BeirDocument>,
    /// The questions that have judgements, in the order of the file.
    pub queries: Vec<BeirQuery>,
    /// The judgements.
    pub qrels: Qrels,
}

impl BeirDataset {
    /// Reads a folder with the judgements of the split `test`, or of the only split that there is.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read; [`Error::Malformed`] with file and line for a line that is not as
    /// it should be, a repeated id, or a judgement of an unknown question.
    pub fn load(dir: &Path) -> Result<Self> {
        let folder = dir.join("qrels");
        let test = folder.join("test.tsv");
        if test.exists() {
            return Self::load_qrels(dir, &test);
        }
        let entries = fs::read_dir(&folder).map_err(|source| Error::io(&folder, source))?;
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "tsv"))
            .collect();
        files.sort();
        match files.as_slice() {
            [only] => Self::load_qrels(dir, only),
            others => Err(Error::Malformed {
                path: folder,
                line: 0,
                reason: format!(
                    "there are {} .tsv files and none is test.tsv: name the split",
                    others.len()
                ),
            }),
        }
    }

    /// Reads a folder with the judgements of a split such as `dev`.
    ///
    /// # Errors
    /// As [`BeirDataset::load`].
    pub fn load_split(dir: &Path, split: &str) -> Result<Self> {
        Self::load_qrels(dir, &dir.join("qrels").join(format!("{split}.tsv")))
    }

    fn load_qrels(dir: &Path, qrels_path: &Path) -> Result<Self> {
        let documents = read_corpus(&dir.join("corpus.jsonl"))?;
        let mut queries = read_queries(&dir.join("queries.jsonl"))?;
        let known: BTreeSet<&str> = queries.iter().map(|query| query.id.as_str()).collect();
        let qrels = read_qrels(qrels_path, &known)?;
        queries.retain(|query| qrels.contains_key(&query.id));
        Ok(Self {
            documents,
            queries,
            qrels,
        })
    }
}

/// An id: the layout says text, some data sets have numbers.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Id {
    Text(String),
    Number(i64),
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        match id {
            Id::Text(text) => text,
            Id::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "_id")]
    id: Id,
    #[serde(default)]
    title: Option<String>,
    text: String,
}

fn read_corpus(path: &Path) -> Result<Vec<BeirDocument>> {
    read_records(path, |record| BeirDocument {
        id: record.id.into(),
        title: record.title.unwrap_or_default(),
        text: record.text,
    })
}

fn read_queries(path: &Path) -> Result<Vec<BeirQuery>> {
    read_records(path, |record| BeirQuery {
        id: record.id.into(),
        text: record.text,
    })
}

trait HasId {
    fn id(&self) -> &str;
}

impl HasId for BeirDocument {
    fn id(&self) -> &str {
        &self.id
    }
}

impl HasId for BeirQuery {
    fn id(&self) -> &str {
        &self.id
    }
}

fn read_records<T: HasId>(path: &Path, make: impl Fn(Record) -> T) -> Result<Vec<T>> {
    let mut records = Vec::new();
    let mut first_seen: BTreeMap<String, usize> = BTreeMap::new();
    for_each_line(path, |number, line| {
        let record = make(serde_json::from_str(line).map_err(|error| error.to_string())?);
        if let Some(first) = first_seen.insert(record.id().to_owned(), number) {
            return Err(format!("the id {:?} was already on line {first}", record.id()));
        }
        records.push(record);
        Ok(())
    })?;
    Ok(records)
}

fn read_qrels(path: &Path, queries: &BTreeSet<&str>) -> Result<Qrels> {
    let mut qrels = Qrels::new();
    for_each_line(path, |number, line| {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [query, document, score] = fields.as_slice() else {
            return Err(format!(
                "{} fields where query-id, corpus-id and score are expected",
                fields.len()
            ));
        };
        let score: i32 = match score.parse() {
            Ok(score) => score,
            Err(_) if number == 1 => return Ok(()),
            Err(_) => return Err(format!("the score {score:?} is not a whole number")),
        };
        if !queries.contains(query) {
            return Err(format!("no question has the id {query:?}"));
        }
        let judgements = qrels.entry((*query).to_owned()).or_default();
        match judgements.insert((*document).to_owned(), score) {
            None => Ok(()),
            Some(_) => Err(format!("{document:?} was already judged for {query:?}")),
        }
    })?;
    Ok(qrels)
}

/// Calls `read` with the number and content of every line that is not blank.
pub(super) fn for_each_line(
    path: &Path,
    mut read: impl FnMut(usize, &str) -> Result<(), String>,
) -> Result<()> {
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let malformed = |line, reason| Error::Malformed {
        path: path.to_owned(),
        line,
        reason,
    };
    for (i, line) in BufReader::new(file).split(b'\n').enumerate() {
        let line = line.map_err(|source| Error::io(path, source))?;
        let line =
            String::from_utf8(line).map_err(|_| malformed(i + 1, "the line is not UTF-8".to_owned()))?;
        let line = if i == 0 {
            line.trim_start_matches('\u{FEFF}')
        } else {
            &line
        };
        if !line.trim().is_empty() {
            read(i + 1, line.trim_end_matches('\r')).map_err(|reason| malformed(i + 1, reason))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(corpus: &str, queries: &str, qrels: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("corpus.jsonl"), corpus).unwrap();
        fs::write(dir.path().join("queries.jsonl"), queries).unwrap();
        fs::create_dir(dir.path().join("qrels")).unwrap();
        for (name, content) in qrels {
            fs::write(dir.path().join("qrels").join(name), content).unwrap();
        }
        dir
    }

    const CORPUS: &str = "{\"_id\": \"a\", \"title\": \"Tea\", \"text\": \"green\", \"metadata\": {}}\r\n\n{\"_id\": 7, \"text\": \"x\"}\n";
    const QUERIES: &str = "{\"_id\": \"1\", \"text\": \"q\"}\n{\"_id\": \"2\", \"text\": \"unjudged\"}";

    #[test]
    fn a_data_set_is_read() {
        let dir = dataset(
            CORPUS,
            QUERIES,
            &[("dev.tsv", "query-id\tcorpus-id\tscore\r\n1\ta\t2\n1\t7\t0\n")],
        );
        let data = BeirDataset::load(dir.path()).unwrap();
        assert_eq!(data, BeirDataset::load_split(dir.path(), "dev").unwrap());
        assert_eq!(
            data.documents
                .iter()
                .map(BeirDocument::content)
                .collect::<Vec<_>>(),
            ["Tea green", "x"]
        );
        assert_eq!(data.documents[1].id, "7");
        assert_eq!(data.queries.len(), 1);
        assert_eq!(data.qrels["1"]["a"], 2);
    }

    #[test]
    fn damage_names_file_and_line() {
        let good = "1\ta\t1\n";
        for (corpus, queries, qrels, file, number, says) in [
            ("{\"_id\": \"a\"}\n", QUERIES, good, "corpus.jsonl", 1, "text"),
            (
                "{\"_id\":\"a\",\"text\":\"\"}\n{\"_id\":\"a\",\"text\":\"\"}",
                QUERIES,
                good,
                "corpus.jsonl",
                2,
                "line 1",
            ),
            (CORPUS, "[1]", good, "queries.jsonl", 1, ""),
            (CORPUS, QUERIES, "1\ta\t1\n1\ta\n", "test.tsv", 2, "2 fields"),
            (
                CORPUS,
                QUERIES,
                "1\ta\t1\n1\t7\thigh\n",
                "test.tsv",
                2,
                "whole number",
            ),
            (CORPUS, QUERIES, "9\ta\t1\n", "test.tsv", 1, "no question"),
            (CORPUS, QUERIES, "1\ta\t1\n1\ta\t0\n", "test.tsv", 2, "already"),
        ] {
            let dir = dataset(corpus, queries, &[("test.tsv", qrels)]);
            match BeirDataset::load(dir.path()) {
                Err(Error::Malformed { path, line, reason }) => {
                    assert!(
                        path.ends_with(file) && line == number && reason.contains(says),
                        "{path:?} {line} {reason}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn missing_and_ambiguous_files_are_named() {
        let dir = dataset(CORPUS, QUERIES, &[("dev.tsv", ""), ("train.tsv", "")]);
        assert!(
            matches!(BeirDataset::load(dir.path()), Err(Error::Malformed { path, .. }) if path.ends_with("qrels"))
        );
        fs::remove_file(dir.path().join("corpus.jsonl")).unwrap();
        assert!(
            matches!(BeirDataset::load_split(dir.path(), "dev"), Err(Error::Io { path, .. }) if path.ends_with("corpus.jsonl"))
        );
    }
}
