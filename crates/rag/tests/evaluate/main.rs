//! Evaluation of answers: question sets, measures, failing systems, judges, reports.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod intervals;
mod judges;
mod question_sets;
mod reference;
mod reports;
mod systems;
