//! How good answers are: a set of questions is asked, and what comes back is measured.
//!
//! A question goes [`AnswerSet`] → [`System`] → [`Response`] → [`Record`] with its measures → [`Evaluation`] with means,
//! intervals and a report. `docs/evaluation.md` defines every measure.

mod abstention;
mod aggregate;
mod answers;
mod beir;
mod evaluation;
mod evaluator;
mod judge;
mod latency;
mod measure;
mod model;
mod page;
mod question;
mod record;
mod sources;
mod support;
mod system;
mod thresholds;

pub(crate) use aggregate::widened;

pub use abstention::{RiskPoint, auroc};
pub use evaluation::{Absent, Counts, Evaluation, Measured};
pub use evaluator::{EvaluateEvent, Evaluator};
pub use judge::JudgeReport;
pub use latency::peak_bytes;
pub use measure::name;
pub use model::PlainModel;
pub use question::{AnswerQuestion, AnswerSet};
pub use record::{CitationRecord, Outcome, Record, SentenceSupport, SourceRecord};
pub use system::{RagSystem, Response, ResponseCitation, ResponseSource, System};
pub use thresholds::{LabelledSentence, SupportCalibration, SupportScore, SupportThresholds};
