//! What the command lines of the examples share: choosing models, filters, progress, output; and what has tests.

pub mod close_the_loop;
pub mod compare;
pub mod embedder;
pub mod filter;
pub mod finetune;
pub mod hub;
pub mod inspect;
pub mod language_model;
pub mod openai;
pub mod output;
pub mod progress;
pub mod side_files;
pub mod table;
pub mod whole;

/// How an example ends: any error, shown with its causes by [`output::run`].
pub type Outcome = Result<(), Box<dyn std::error::Error>>;
