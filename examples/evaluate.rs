//! Evaluates the answers to a set of questions, and leaves a folder with everything that was found out; `docs/evaluation.md`
//! tells how to read it.

use std::process::ExitCode;

use clap::Parser;
use ragtune_examples::evaluate::{Args, evaluate};
use ragtune_examples::output;

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| evaluate(&args))
}
