//! The questions, and what is right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use ragtune_retrieve::measure::{QuestionSet, UnknownDocument};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Bytes of a line at most.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Fields that a line may have.
const FIELDS: [&str; 7] = [
    "id",
    "question",
    "answers",
    "sources",
    "relevant",
    "answerable",
    "metadata",
];

/// A question with what is known about its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AnswerQuestion {
    /// Its id, unique in its set.
    pub id: String,
    /// The question.
    pub question: String,
    /// Right answers, any of them; none where they are not known or where there is none.
    pub answers: Vec<String>,
    /// Where the answer is: ids or paths of documents, or ids of passages; none where that is not known.
    pub sources: Vec<String>,
    /// How relevant a source is, where that is more than 1; it counts in nDCG.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub grades: BTreeMap<String, i32>,
    /// Whether the documents hold an answer; where not, the right thing is to abstain.
    pub answerable: bool,
}

impl AnswerQuestion {
    /// A question that has an answer, of which nothing is known yet.
    pub fn new(id: impl Into<String>, question: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            question: question.into(),
            answers: Vec::new(),
            sources: Vec::new(),
            grades: BTreeMap::new(),
            answerable: true,
        }
    }

    /// A question to which the right thing is to abstain.
    pub fn unanswerable(id: impl Into<String>, question: impl Into<String>) -> Self {
        Self {
            answerable: false,
            ..Self::new(id, question)
        }
    }

    /// Names right answers.
    #[must_use]
    pub fn with_answers(mut self, answers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.answers = answers.into_iter().map(Into::into).collect();
        self
    }

    /// Names the documents that hold the answer.
    #[must_use]
    pub fn with_sources(mut self, sources: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.sources = sources.into_iter().map(Into::into).collect();
        self.grades.clear();
        self
    }

    /// Names the documents that hold the answer with how relevant they are; those of 0 or less do not hold it.
    #[must_use]
    pub fn with_graded_sources(
        mut self,
        sources: impl IntoIterator<Item = (impl Into<String>, i32)>,
    ) -> Self {
        self.sources.clear();
        self.grades.clear();
        for (source, grade) in sources.into_iter().filter(|(_, grade)| *grade > 0) {
            let source = source.into();
            if grade > 1 {
                self.grades.insert(source.clone(), grade);
            }
            self.sources.push(source);
        }
        self
    }
}

/// Questions with their answers.
///
/// A file has one JSON object in a line: `{"question": "..", "answers": [".."], "sources": ["path"], "answerable": true}`,
/// with an `id` if it likes. `answerable` is true where it does not stand, and `relevant` is another name for `sources`. It is
/// the one form of questions: answers are measured by `answers`, retrieval by `sources`.
///
/// ```
/// use ragtune::evaluate::{AnswerQuestion, AnswerSet};
///
/// let set = AnswerSet::new([
///     AnswerQuestion::new("tea", "How hot is green tea steeped?").with_answers(["80 degrees"]).with_sources(["tea.md"]),
///     AnswerQuestion::unanswerable("coffee", "How hot is coffee brewed?"),
/// ])?;
/// assert_eq!((set.len(), set.questions().iter().filter(|question| question.answerable).count()), (2, 1));
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerSet {
    questions: Vec<AnswerQuestion>,
}

impl AnswerSet {
    /// A set of questions.
    ///
    /// # Errors
    /// [`Error::BadQuestion`] for no question, an empty one, an id that two have, and an unanswerable question with
    /// answers or sources; `line` is its place in the set, counted from 1.
    pub fn new(questions: impl IntoIterator<Item = AnswerQuestion>) -> Result<Self> {
        let set = Self {
            questions: questions.into_iter().collect(),
        };
        set.check(Path::new("questions"), 0)?;
        let mut ids = BTreeSet::new();
        for (number, question) in (1..).zip(&set.questions) {
            check(question, &mut ids).map_err(|fault| fault.at(Path::new("questions"), number))?;
        }
        Ok(set)
    }

    /// Reads a file: JSON lines, or by its ending `.tsv` the lines `question<TAB>document` or
    /// `question<TAB>document<TAB>grade` that [`QuestionSet::load`] reads, which know sources alone.
    ///
    /// # Errors
    /// [`Error::Retrieve`] with the line for a `.tsv` file that is not so. For JSON lines:
    /// [`Error::Io`]; [`Error::BadQuestion`] with file, line and field for what [`AnswerSet::new`] refuses, for what is no
    /// JSON object, a field of another kind or of an unknown name, and a question of which neither an answer nor a
    /// source is known and which is not said to be unanswerable.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("tsv")) {
            return Self::try_from(&QuestionSet::load(path)?);
        }
        let mut reader = BufReader::new(File::open(path).map_err(|source| Error::io(path, source))?);
        let mut questions = Vec::new();
        let mut ids = BTreeSet::new();
        for number in 1.. {
            let mut line = Vec::new();
            let limited = &mut (&mut reader).take(MAX_LINE_BYTES);
            let read = limited.read_until(b'\n', &mut line);
            if read.map_err(|source| Error::io(path, source))? == 0 {
                break;
            }
            let question = match std::str::from_utf8(&line) {
                Ok(_) if line.len() as u64 == MAX_LINE_BYTES => {
                    Err(Fault::new("", format!("it has {MAX_LINE_BYTES} bytes or more")))
                }
                Ok(text) if text.trim_start_matches('\u{feff}').trim().is_empty() => continue,
                Ok(text) => parse(text.trim_start_matches('\u{feff}'), number),
                Err(_) => Err(Fault::new("", "it is not UTF-8; save the file as UTF-8")),
            };
            let question = question
                .and_then(|question| check(&question, &mut ids).map(|()| question))
                .map_err(|fault| fault.at(path, number))?;
            questions.push(question);
        }
        let set = Self { questions };
        set.check(path, 0)?;
        Ok(set)
    }

    /// The questions of both sets.
    ///
    /// # Errors
    /// As [`AnswerSet::new`], for an id that both have.
    pub fn join(self, other: Self) -> Result<Self> {
        Self::new(self.questions.into_iter().chain(other.questions))
    }

    /// The questions in their order.
    pub fn questions(&self) -> &[AnswerQuestion] {
        &self.questions
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.questions.len()
    }

    /// Whether there is none, which a set never has.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    /// The questions whose sources are known, to measure retrieval by; the others, and those without an answer, are left
    /// out.
    pub fn retrieval(&self) -> QuestionSet {
        let known = self
            .questions
            .iter()
            .filter(|question| !question.sources.is_empty());
        let mut set = QuestionSet::default();
        for question in known {
            let judged = question.sources.iter().map(|source| {
                let grade = question.grades.get(source).copied().unwrap_or(1);
                (source.clone(), grade)
            });
            set.qrels.insert(question.id.clone(), judged.collect());
            set.questions.push(ragtune_retrieve::measure::Question {
                id: question.id.clone(),
                text: question.question.clone(),
            });
        }
        set
    }

    /// The sources that do not exist, with their questions; `exists` is asked for each. They cannot be found, so a system
    /// is measured too low with them.
    pub fn unknown_sources(&self, exists: impl Fn(&str) -> bool) -> Vec<UnknownDocument> {
        let of = |question: &AnswerQuestion| {
            let id = question.id.clone();
            let unknown = question.sources.iter().filter(|source| !exists(source)).cloned();
            unknown
                .map(|document| UnknownDocument {
                    question: id.clone(),
                    document,
                })
                .collect::<Vec<_>>()
        };
        self.questions.iter().flat_map(of).collect()
    }

    fn check(&self, path: &Path, line: usize) -> Result<()> {
        if self.questions.is_empty() {
            return Err(Fault::new("", "there is no question").at(path, line));
        }
        Ok(())
    }
}

/// Questions of which the sources are known alone.
impl TryFrom<&QuestionSet> for AnswerSet {
    type Error = Error;

    fn try_from(set: &QuestionSet) -> Result<Self> {
        Self::new(set.questions.iter().map(|question| {
            let judged = set.qrels.get(&question.id).into_iter().flatten();
            AnswerQuestion::new(&question.id, &question.text)
                .with_graded_sources(judged.map(|(document, grade)| (document.as_str(), *grade)))
        }))
    }
}

/// What is wrong with a question.
struct Fault {
    field: String,
    reason: String,
}

impl Fault {
    fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
        }
    }

    fn at(self, path: &Path, line: usize) -> Error {
        Error::BadQuestion {
            path: path.to_owned(),
            line,
            field: self.field,
            reason: self.reason,
        }
    }
}

fn check(question: &AnswerQuestion, ids: &mut BTreeSet<String>) -> Result<(), Fault> {
    if question.question.trim().is_empty() {
        return Err(Fault::new("question", "it is empty"));
    }
    if !ids.insert(question.id.clone()) {
        return Err(Fault::new(
            "id",
            format!("{:?} stands at another question too", question.id),
        ));
    }
    for (field, texts) in [("answers", &question.answers), ("sources", &question.sources)] {
        if texts.iter().any(|text| text.trim().is_empty()) {
            return Err(Fault::new(field, "one is empty; leave it out"));
        }
        if !question.answerable && !texts.is_empty() {
            return Err(Fault::new(
                field,
                "there are some, although \"answerable\" is false",
            ));
        }
    }
    let distinct: BTreeSet<&String> = question.sources.iter().collect();
    if distinct.len() < question.sources.len() {
        return Err(Fault::new("sources", "one is named twice"));
    }
    Ok(())
}

fn parse(line: &str, number: usize) -> Result<AnswerQuestion, Fault> {
    let value: Value =
        serde_json::from_str(line).map_err(|error| Fault::new("", format!("no JSON: {error}")))?;
    let Value::Object(fields) = value else {
        return Err(Fault::new(
            "",
            "no JSON object; a line is {\"question\": \"..\", \"answers\": [\"..\"]}",
        ));
    };
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let reason = format!("no such field is known; the fields are {}", FIELDS.join(", "));
        return Err(Fault::new(unknown.as_str(), reason));
    }
    let id = match fields.get("id") {
        None | Some(Value::Null) => number.to_string(),
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        Some(_) => return Err(Fault::new("id", "neither a text nor a number")),
    };
    let question = match fields.get("question") {
        Some(Value::String(question)) => question.clone(),
        Some(_) => return Err(Fault::new("question", "no text")),
        None => return Err(Fault::new("question", "it is missing")),
    };
    let answerable = match fields.get("answerable") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(answerable)) => Some(*answerable),
        Some(_) => return Err(Fault::new("answerable", "neither true nor false")),
    };
    let (answers, sources) = (texts(&fields, "answers")?, sources(&fields)?);
    if answerable.is_none() && answers.is_empty() && sources.is_empty() {
        let reason = "missing, and so is \"sources\": give one of them, or \"answerable\": false";
        return Err(Fault::new("answers", reason));
    }
    Ok(AnswerQuestion {
        answerable: answerable.unwrap_or(true),
        ..AnswerQuestion::new(id, question)
            .with_answers(answers)
            .with_graded_sources(sources)
    })
}

/// The sources under either of their names, with their grades.
fn sources(fields: &Map<String, Value>) -> Result<Vec<(String, i32)>, Fault> {
    let given = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
    let name = match (given("sources"), given("relevant")) {
        (true, true) => {
            return Err(Fault::new(
                "relevant",
                "\"sources\" stands there too, and they are two names of one thing",
            ));
        }
        (_, true) => "relevant",
        _ => "sources",
    };
    let Some(Value::Object(graded)) = fields.get(name) else {
        let listed = texts(fields, name).map_err(|_| {
            Fault::new(
                name,
                "neither a text, nor a list of texts, nor an object with a grade for each",
            )
        })?;
        return Ok(listed.into_iter().map(|source| (source, 1)).collect());
    };
    let grade = |(source, grade): (&String, &Value)| {
        let whole = grade.as_i64().and_then(|grade| i32::try_from(grade).ok());
        let fault = || Fault::new(name, format!("the grade of {source:?} is no whole number"));
        whole.map(|grade| (source.clone(), grade)).ok_or_else(fault)
    };
    let graded: Vec<(String, i32)> = graded.iter().map(grade).collect::<Result<_, _>>()?;
    Ok(graded.into_iter().filter(|(_, grade)| *grade > 0).collect())
}

/// A text or a list of texts.
fn texts(fields: &Map<String, Value>, name: &str) -> Result<Vec<String>, Fault> {
    let wrong = || Fault::new(name, "neither a text nor a list of texts");
    match fields.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(values)) => {
            let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
            values.iter().map(text).collect()
        }
        Some(_) => Err(wrong()),
    }
}
