//! How good a ranking is, measured as trec_eval does, on data sets in BEIR layout.

pub mod beir;
mod measures;
mod qrels;

pub use beir::BeirDataset;
pub use measures::{Evaluation, Measure, evaluate};
pub use qrels::{Judgements, Qrels, Ranking, Run, trec_order};
