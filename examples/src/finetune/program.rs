//! The program from its command line to its status.

use std::error::Error;
use std::ffi::OsString;

use super::args::Args;
use super::choices::Task;
use super::interrupt::{self, Interrupted};
use super::memory::give_back_freed;
use super::result::Ended;
use super::{encoders, files, folds, language, words};
use crate::{Outcome, output};

/// The status of a program whose output nobody read to the end, as shells have it for SIGPIPE.
const UNREAD: u8 = 141;

/// Runs the program with a command line, whose first word is the program, and gives its status.
#[must_use]
pub fn main(line: impl IntoIterator<Item = OsString>) -> u8 {
    let args = match Args::read(line) {
        Ok(args) => args,
        Err(error) => {
            // What cannot be printed has nobody who would read that.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(1);
        }
    };
    if args.memory.is_some() {
        give_back_freed();
    }
    match finetune(&args) {
        Ok(()) => 0,
        Err(error) if output::is_closed(error.as_ref()) => UNREAD,
        Err(error) => {
            let stopped = error.is::<Interrupted>();
            let error = words::of_error(error.as_ref());
            match stopped {
                true => output::note!("{error}"),
                false => output::note!("error: {error}"),
            }
            if stopped { interrupt::STATUS } else { 1 }
        }
    }
}

/// Does what the command line says.
fn finetune(args: &Args) -> Outcome {
    args.check()?;
    let args = &files::of_beir(args)?;
    if let Some(folds) = args.folds {
        return folds::run(args, folds, task);
    }
    let printed = match task(args)? {
        Ended::Planned { object, refused } => {
            let printed = match args.json {
                true => output::json(&object),
                false => Ok(()),
            };
            if let Some(refused) = refused {
                return Err(refused.into());
            }
            printed
        }
        Ended::Finished(finished) if args.json => output::json(&finished.to_json()),
        Ended::Finished(finished) => finished.print(),
    };
    match printed {
        // What was to be done is done, and lies in its folder.
        Err(error) if output::is_closed(error.as_ref()) => Ok(()),
        printed => printed,
    }
}

fn task(args: &Args) -> Result<Ended, Box<dyn Error>> {
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
