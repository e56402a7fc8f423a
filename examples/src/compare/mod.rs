//! The parts of the program `compare`: its command line, the tasks, one process for each system, the report.

mod answer;
mod args;
mod classify;
mod process;
mod rank;
mod report;
mod said;
mod update;

pub use args::{Again, Args};

use args::Task;

use crate::Outcome;

/// Does what the command line says.
///
/// # Errors
/// Those of data, models and training.
pub fn compare(args: &Args) -> Outcome {
    if args.only.is_some() {
        process::end_with_parent();
    }
    match args.task {
        Task::Answer => answer::answer(args),
        Task::Classify => classify::classify(args),
        Task::Rank => rank::rank(args),
    }
}
