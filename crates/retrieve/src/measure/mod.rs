//! How good a ranking is, measured as trec_eval does, on data sets in BEIR layout and on questions of one's own.

pub mod beir;
mod comparison;
mod measures;
mod qrels;
mod questions;
mod ranking;
mod trec_run;

pub use beir::BeirDataset;
pub use comparison::{Comparison, compare, p_value_text};
pub use measures::{Evaluation, Measure, evaluate};
pub use qrels::{Judgements, Qrels, Ranking, Run, trec_order};
pub use questions::{Question, QuestionSet, UnknownDocument};
pub(crate) use ranking::best_passages;
pub use ranking::{RunOptions, run};
pub use trec_run::{read_run, write_run};
