//! Asking the questions and measuring what comes back.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Instant;

use ragtune_core::Cancel;
use ragtune_core::statistics::Bootstrap;
use ragtune_core::text::{Embedder, Generator};
use ragtune_retrieve::measure::Measure;

use super::aggregate::aggregate;
use super::evaluation::Evaluation;
use super::measure::name;
use super::question::AnswerSet;
use super::record::Record;
use super::system::System;
use super::thresholds::SupportThresholds;
use super::{answers, judge, sources, support};
use crate::error::Result;

/// Measures of the ranking of sources unless others are wanted.
const SOURCE_MEASURES: [Measure; 6] = [
    Measure::Recall(1),
    Measure::Recall(3),
    Measure::Recall(5),
    Measure::Recall(10),
    Measure::Mrr(10),
    Measure::Ndcg(10),
];

/// How answers are evaluated.
///
/// ```
/// # use ragtune::testing::{HashingEmbedder, OneDocument};
/// use ragtune::Rag;
/// use ragtune::evaluate::{AnswerQuestion, AnswerSet, Evaluator, name};
///
/// let set = AnswerSet::new([
///     AnswerQuestion::new("tea", "How hot is green tea steeped?").with_answers(["80 degrees"]).with_sources(["tea.md"]),
///     AnswerQuestion::unanswerable("moon", "Who walked on the moon first?"),
/// ])?;
/// let rag = Rag::builder().retriever(OneDocument::new("tea.md", "Green tea is steeped at 80 degrees.")).build()?;
/// let evaluation = Evaluator::new().with_encoder(HashingEmbedder::new(256)).run(&rag, &set, &mut |_| {})?;
/// println!("{}", evaluation.table());
/// assert_eq!(evaluation.get("recall@1").map(|measured| measured.value), Some(1.0));
/// assert_eq!(evaluation.records.len(), 2);
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone)]
pub struct Evaluator {
    name: String,
    encoder: Option<Arc<dyn Embedder>>,
    judge: Option<Arc<dyn Generator>>,
    documents: Option<BTreeSet<String>>,
    source_measures: Vec<Measure>,
    risk: String,
    thresholds: SupportThresholds,
    bootstrap: Bootstrap,
    cancel: Cancel,
}

/// How far an evaluation is.
#[derive(Debug)]
#[non_exhaustive]
pub enum EvaluateEvent<'e> {
    /// A question was asked and its answer is there; what needs all answers is not measured yet.
    Answered {
        /// Questions that were asked so far.
        done: usize,
        /// All questions.
        total: usize,
        /// What came back.
        record: &'e Record,
    },
    /// The answers of all questions are measured now.
    Measuring {
        /// By what.
        what: &'static str,
    },
    /// The judge has read an answer.
    Judged {
        /// Answers that it has read so far.
        done: usize,
        /// All answers.
        total: usize,
    },
}

impl Default for Evaluator {
    fn default() -> Self {
        Self {
            name: "system".to_owned(),
            encoder: None,
            judge: None,
            documents: None,
            source_measures: SOURCE_MEASURES.to_vec(),
            risk: name::F1.to_owned(),
            thresholds: SupportThresholds::default(),
            bootstrap: Bootstrap::default(),
            cancel: Cancel::new(),
        }
    }
}

impl Evaluator {
    /// Everything that needs no model is measured.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the system is called in reports.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Measures similarity and support by this encoder too.
    #[must_use]
    pub fn with_encoder(mut self, encoder: impl Embedder + 'static) -> Self {
        self.encoder = Some(Arc::new(encoder));
        self
    }

    /// Asks this model whether cited texts carry what is said.
    #[must_use]
    pub fn with_judge(mut self, judge: impl Generator + 'static) -> Self {
        self.judge = Some(Arc::new(judge));
        self
    }

    /// Names the documents that exist, so that right sources that do not are counted and named.
    #[must_use]
    pub fn with_documents(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.documents = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Other measures of the ranking of sources.
    #[must_use]
    pub fn with_source_measures(mut self, measures: impl IntoIterator<Item = Measure>) -> Self {
        self.source_measures = measures.into_iter().collect();
        self
    }

    /// The measure, 0 to 1, whose complement is the risk of an answer; [`name::F1`] by default.
    #[must_use]
    pub fn with_risk(mut self, measure: impl Into<String>) -> Self {
        self.risk = measure.into();
        self
    }

    /// From which evidence on a sentence counts as carried by what it cites; [`SupportThresholds::calibrate`] sets them by
    /// labelled sentences.
    #[must_use]
    pub fn with_support_thresholds(mut self, thresholds: SupportThresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// How intervals are made.
    #[must_use]
    pub fn with_bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }

    /// Stops with [`ragtune_core::Error::Cancelled`] once this flag is set.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Asks a system every question, one after the other, and measures the answers. A question on which it fails counts as
    /// wrong and is in the records with its error.
    ///
    /// # Errors
    /// [`ragtune_core::Error::Cancelled`], and whatever keeps the encoder from working; an error of the system or of the
    /// judge is none of the evaluation.
    pub fn run(
        &self,
        system: &dyn System,
        set: &AnswerSet,
        on_event: &mut dyn FnMut(EvaluateEvent<'_>),
    ) -> Result<Evaluation> {
        let total = set.len();
        let mut records = Vec::with_capacity(total);
        for question in set.questions() {
            self.cancel.check()?;
            let started = Instant::now();
            let response = system.respond(&question.question, &self.cancel);
            let latency_ms = started.elapsed().as_secs_f64() * 1e3;
            // An error because of the flag is no failure of the system.
            self.cancel.check()?;
            let record = Record::new(question, response.map_err(|error| chain(&error)), latency_ms);
            records.push(record);
            if let Some(record) = records.last() {
                on_event(EvaluateEvent::Answered {
                    done: records.len(),
                    total,
                    record,
                });
            }
        }
        on_event(EvaluateEvent::Measuring {
            what: "words and sources",
        });
        let looks_up = records.iter().any(|record| record.sources.is_some());
        for record in &mut records {
            answers::words(record)?;
            sources::measure(record, &self.source_measures, looks_up);
            support::lexical(record);
        }
        if let Some(encoder) = &self.encoder {
            on_event(EvaluateEvent::Measuring { what: "encoder" });
            answers::similarity(encoder, &mut records, &self.cancel)?;
            support::encoder(encoder, &mut records, &self.cancel)?;
        }
        let mut judged = None;
        if let Some(model) = &self.judge {
            on_event(EvaluateEvent::Measuring { what: "judge" });
            judged = Some(judge::judge(model, &mut records, &self.cancel, |done| {
                on_event(EvaluateEvent::Judged { done, total });
            })?);
        }
        for record in &mut records {
            support::summarise(record, &self.thresholds);
        }
        on_event(EvaluateEvent::Measuring { what: "intervals" });
        self.cancel.check()?;
        let unknown = self
            .documents
            .as_ref()
            .map(|documents| set.unknown_sources(|id| documents.contains(id)));
        let parts = Parts {
            name: self.name.clone(),
            records,
            judge: judged,
            unknown_sources: unknown.unwrap_or_default(),
            source_measures: &self.source_measures,
            risk: &self.risk,
            has_encoder: self.encoder.is_some(),
            looks_up,
        };
        aggregate(parts, &self.bootstrap)
    }
}

/// What is known before the means are taken.
pub(super) struct Parts<'e> {
    pub name: String,
    pub records: Vec<Record>,
    pub judge: Option<super::judge::JudgeReport>,
    pub unknown_sources: Vec<ragtune_retrieve::measure::UnknownDocument>,
    pub source_measures: &'e [Measure],
    pub risk: &'e str,
    pub has_encoder: bool,
    pub looks_up: bool,
}

/// An error with its causes.
fn chain(error: &crate::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator")
            .field("name", &self.name)
            .field("encoder", &self.encoder.as_ref().map(|encoder| encoder.id()))
            .field("judge", &self.judge.as_ref().map(|judge| judge.id()))
            .field("source_measures", &self.source_measures)
            .finish_non_exhaustive()
    }
}
