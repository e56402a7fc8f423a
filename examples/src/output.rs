//! One JSON object on standard output, everything else on standard error.

use std::error::Error;
use std::io::Write as _;
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

/// Text of documents for a terminal: control characters, which could move the cursor or recolour the screen, are shown
/// escaped; line breaks and tabs stay.
pub fn printable(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let show = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(show).collect()
}

/// Prints the one object of a run with `--json`.
pub fn json(object: &impl Serialize) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string_pretty(object)?)?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_cannot_steer_the_terminal() {
        assert_eq!(
            printable("a\x1b[2J\x07b\r\nc\td\re"),
            "a\\u{1b}[2J\\u{7}b\nc\td\ne"
        );
    }
}
