//! One JSON object on standard output, everything else on standard error.

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;

use crate::Outcome;

/// Runs an example; an error is printed with all its causes and ends the program with status 1.
pub fn run(main: impl FnOnce() -> Outcome) -> ExitCode {
    match main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Prints the one object of a run with `--json`.
pub fn json(object: &impl Serialize) -> Outcome {
    println!("{}", serde_json::to_string_pretty(object)?);
    Ok(())
}
