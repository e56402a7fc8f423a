//! What an evaluation found out.

use std::collections::BTreeMap;
use std::path::Path;

use ragtune_core::statistics::{Bootstrap, Difference};
use ragtune_retrieve::measure::UnknownDocument;
use serde::Serialize;

use super::abstention::RiskPoint;
use super::judge::JudgeReport;
use super::measure::{about, name};
use super::page;
use super::record::{Outcome, Record};
use crate::error::{Error, Result};
use crate::experiment::{Experiment, Metric};
use crate::html::{Page, Table};

/// What an evaluation found out about one system.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// What the system is called.
    pub name: String,
    /// How many questions of each kind.
    pub counts: Counts,
    /// What was measured, with 95 % intervals unless the evaluator was told otherwise.
    pub metrics: Vec<Measured>,
    /// What could not be measured, and why.
    pub absent: Vec<Absent>,
    /// What a reader of the numbers must know.
    pub notes: Vec<String>,
    /// Right sources that do not exist, with their questions.
    #[serde(serialize_with = "unknown")]
    pub unknown_sources: Vec<UnknownDocument>,
    /// What the judge did.
    pub judge: Option<JudgeReport>,
    /// The measure whose complement is the risk.
    pub risk: String,
    /// How wrong the answers are at each coverage; empty where no confidence is known.
    pub risk_coverage: Vec<RiskPoint>,
    /// The most memory that the process had up to the end of the evaluation, where the system tells.
    pub peak_bytes: Option<u64>,
    /// Every question with its answer and measures.
    #[serde(skip)]
    pub records: Vec<Record>,
}

/// Questions of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// All questions.
    pub questions: usize,
    /// Those that have an answer.
    pub answerable: usize,
    /// Those that have none.
    pub unanswerable: usize,
    /// Those that were answered.
    pub answered: usize,
    /// Those on which the system abstained.
    pub abstained: usize,
    /// Those on which the system broke.
    pub failed: usize,
}

/// A number with its interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measured {
    /// What was measured; see [`super::name`].
    pub name: String,
    /// The number.
    pub value: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
    /// On how many questions.
    pub questions: usize,
}

/// What could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Absent {
    /// What.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Counts {
    pub(super) fn of(records: &[Record]) -> Self {
        let count = |is: &dyn Fn(&Record) -> bool| records.iter().filter(|record| is(record)).count();
        Self {
            questions: records.len(),
            answerable: count(&|record| record.answerable),
            unanswerable: count(&|record| !record.answerable),
            answered: count(&Record::is_answered),
            abstained: count(&|record| matches!(record.outcome, Outcome::Abstained(_))),
            failed: count(&Record::is_failed),
        }
    }
}

impl From<&Measured> for Metric {
    fn from(measured: &Measured) -> Self {
        Self::new(measured.value).with_interval(measured.low, measured.high)
    }
}

impl Evaluation {
    /// A measure of the set, by its name.
    pub fn get(&self, name: &str) -> Option<&Measured> {
        self.metrics.iter().find(|measured| measured.name == name)
    }

    /// Why a measure is absent; `None` for one that is there and for one that is unknown.
    pub fn why_absent(&self, name: &str) -> Option<&str> {
        let absent = self.absent.iter().find(|absent| absent.name == name);
        absent.map(|absent| absent.reason.as_str())
    }

    /// The values of a measure by question, for the questions that have it.
    pub fn values(&self, name: &str) -> BTreeMap<&str, f64> {
        let value = |record: &'_ Record| record.measures.get(name).copied();
        self.records
            .iter()
            .filter_map(|record| Some((record.id.as_str(), value(record)?)))
            .collect()
    }

    /// The difference to another system on the same questions, this one minus the other, over the questions for which both
    /// have the measure.
    ///
    /// # Errors
    /// [`ragtune_core::Error::InvalidArgument`] where they share no question that has it.
    pub fn difference(&self, other: &Self, name: &str, bootstrap: &Bootstrap) -> Result<Difference> {
        let others = other.values(name);
        let pairs: Vec<(f64, f64)> = self
            .values(name)
            .into_iter()
            .filter_map(|(id, value)| Some((value, *others.get(id)?)))
            .collect();
        if pairs.is_empty() {
            return Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "measure",
                reason: format!(
                    "{} and {} have {name} for no common question",
                    self.name, other.name
                ),
            }));
        }
        let (first, second): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        Ok(bootstrap.difference(&first, &second)?)
    }

    /// Every measure with its interval, for a terminal or a page.
    pub fn table(&self) -> Table {
        let mut table = Table::new(["measure", "value", "low", "high", "questions", "what it says"]);
        for measured in &self.metrics {
            table.row([
                measured.name.clone(),
                number(&measured.name, measured.value),
                number(&measured.name, measured.low),
                number(&measured.name, measured.high),
                measured.questions.to_string(),
                about(&measured.name).to_owned(),
            ]);
        }
        table
    }

    /// What could not be measured, and why, for a terminal or a page.
    pub fn absent_table(&self) -> Table {
        let mut table = Table::new(["measure", "absent because"]);
        for absent in &self.absent {
            table.row([absent.name.as_str(), absent.reason.as_str()]);
        }
        table
    }

    /// Notes every measure, absence and remark in the record of a run.
    pub fn note_in(&self, experiment: &mut Experiment) {
        for measured in &self.metrics {
            experiment.set(&measured.name, measured);
        }
        if let Some(bytes) = self.peak_bytes {
            experiment.set("peak_bytes", bytes as f64);
        }
        for absent in &self.absent {
            experiment.note(format!("{} is absent: {}", absent.name, absent.reason));
        }
        for note in self.notes.iter().cloned().chain(self.about_unknown()) {
            experiment.note(note);
        }
    }

    /// Writes a JSON object for each question, one in a line; the file is whole or not there.
    ///
    /// # Errors
    /// [`Error::Train`] with the path where it cannot be written.
    pub fn write_records(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut text = String::new();
        for record in &self.records {
            let line = serde_json::to_string(record).map_err(|error| Error::BadExperiment {
                path: path.as_ref().to_owned(),
                reason: error.to_string(),
            })?;
            text += &line;
            text.push('\n');
        }
        Ok(ragtune_train::report::write(path.as_ref(), &text)?)
    }

    /// The report for people: tables, plots, and the questions that went worst.
    pub fn page(&self) -> Page {
        page::page(self)
    }

    /// Writes the report as one file that needs nothing beside it.
    ///
    /// # Errors
    /// [`Error::Train`] with the path where it cannot be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> Result<()> {
        self.page().write(path)
    }

    /// What is to be said of right sources that do not exist.
    pub(super) fn about_unknown(&self) -> Option<String> {
        let first = self.unknown_sources.first()?;
        Some(format!(
            "{} of the right sources do not exist, so they cannot be found and count as missed; the first is {:?} of \
             question {:?}.",
            self.unknown_sources.len(),
            first.document,
            first.question
        ))
    }
}

/// A number as its measure is shown.
pub(super) fn number(measure: &str, value: f64) -> String {
    match measure {
        name::BLEU => format!("{value:.1}"),
        name::LATENCY_P50 | name::LATENCY_P95 => format!("{value:.1}"),
        name::PROMPT_TOKENS | name::COMPLETION_TOKENS | name::MODEL_CALLS => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn unknown<S: serde::Serializer>(unknown: &[UnknownDocument], serializer: S) -> Result<S::Ok, S::Error> {
    let object = |unknown: &UnknownDocument| {
        BTreeMap::from([
            ("question", unknown.question.clone()),
            ("source", unknown.document.clone()),
        ])
    };
    serializer.collect_seq(unknown.iter().map(object))
}
