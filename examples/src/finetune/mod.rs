//! The parts of the program `finetune`: its command line, the tasks, the run.

mod args;
mod data;
mod encoders;
mod language;
mod memory;
mod run;
mod search;

pub use args::Args;
pub use memory::give_back_freed;

use args::Task;

use crate::Outcome;

/// Does what the command line says.
///
/// # Errors
/// Those of data, models and training, with file and line where there is one.
pub fn finetune(args: &Args) -> Outcome {
    args.check()?;
    match args.task {
        Task::Sft => language::instructions(args),
        Task::Pretrain => language::texts(args),
        Task::Dpo => language::preferences(args),
        Task::Classify => encoders::classify(args),
        Task::Tag => encoders::tag(args),
        Task::Qa => encoders::questions(args),
        Task::Embed => encoders::embed(args),
        Task::Rerank => encoders::rerank(args),
    }
}
