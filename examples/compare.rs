//! Compares retrieval with fine-tuning on questions of one's own; `docs/which-one.md` tells how to read the result.

use std::process::ExitCode;

use clap::Parser;
use ragtune_examples::compare::{self, Args};
use ragtune_examples::output;

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| compare::compare(&args))
}
