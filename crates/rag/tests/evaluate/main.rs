//! Evaluation of answers: question sets, measures, failing systems, judges, reports.
#![cfg(feature = "train")]

mod intervals;
mod judges;
mod question_sets;
mod reference;
mod reports;
mod systems;
