//! What the command lines of the examples share: choosing models, filters, progress, output; and what has tests.

pub mod claim;
pub mod close_the_loop;
pub mod compare;
pub mod embedder;
pub mod evaluate;
pub mod filter;
pub mod finetune;
pub mod hub;
pub mod inspect;
pub mod kept;
pub mod language_model;
pub mod listing;
pub mod number;
pub mod openai;
pub mod output;
pub mod progress;
pub mod questions;
pub mod reader;
pub mod side_files;
pub mod sync_report;
pub mod table;
pub mod whole;

/// How an example ends: any error, shown with its causes by [`output::run`].
pub type Outcome = Result<(), Box<dyn std::error::Error>>;
