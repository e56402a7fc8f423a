//! Fine-tunes a model on data of one's own; `docs/training.md` tells how.

use std::process::ExitCode;

use ragtune_examples::finetune;

fn main() -> ExitCode {
    ExitCode::from(finetune::main(std::env::args_os()))
}
