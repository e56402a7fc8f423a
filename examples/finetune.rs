//! Fine-tunes a model on data of one's own; `docs/training.md` tells how.

use std::process::ExitCode;

use clap::Parser;
use ragtune_examples::finetune::{self, Args};
use ragtune_examples::output;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.memory.is_some() {
        finetune::give_back_freed();
    }
    output::run(|| finetune::finetune(&args))
}
