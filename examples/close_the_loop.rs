//! Documents to training data to a tuned encoder, which takes the old one's place if questions say so; `docs/training-data.md`
//! tells how.

use std::process::ExitCode;

use clap::Parser;
use ragtune_examples::close_the_loop::{Args, close_the_loop};
use ragtune_examples::output;

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| close_the_loop(&args))
}
