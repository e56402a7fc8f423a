//! What a run prints: answers, or one JSON object, on standard output; everything else on standard error.
//!
//! Nothing here panics where `println!` does: when the reader of a pipe goes away, as `head` does, the program ends
//! quietly.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::Outcome;

/// Runs an example; an error is printed with all its causes and ends the program with status 1. That nobody reads the
/// output any more is no error.
pub fn run(main: impl FnOnce() -> Outcome) -> ExitCode {
    match main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            note!("error: {}", printable(&chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

/// Nobody reads standard output any more.
#[derive(Debug)]
struct ClosedPipe;

impl fmt::Display for ClosedPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output")
    }
}

impl Error for ClosedPipe {}

/// Whether an error says that nobody reads standard output any more.
pub fn is_closed(error: &(dyn Error + 'static)) -> bool {
    error.is::<ClosedPipe>()
}

/// Prints a text and a line break.
///
/// # Errors
/// Standard output cannot be written; [`run`] ends quietly where nobody reads it.
pub fn line(text: impl fmt::Display) -> Outcome {
    print(&mut io::stdout().lock(), format_args!("{text}\n"))
}

/// Prints a piece of a text that is being written, at once.
///
/// # Errors
/// As [`line()`].
pub fn piece(text: impl fmt::Display) -> Outcome {
    print(&mut io::stdout().lock(), format_args!("{text}"))
}

/// Prints a line on standard error, in the form of `println!`; a standard error that is closed is no reason to stop.
#[macro_export]
macro_rules! note {
    ($($text:tt)*) => {
        $crate::output::write_note(format_args!($($text)*))
    };
}
pub use crate::note;

/// What [`note!`] does.
pub fn write_note(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn print(out: &mut impl Write, text: fmt::Arguments<'_>) -> Outcome {
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Box::new(ClosedPipe)),
        written => Ok(written?),
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

/// A name or a reason on one line of a terminal: control characters, line breaks and what turns the direction of writing are
/// shown escaped.
pub fn on_one_line(text: &str) -> String {
    let show = |c: char| match c {
        c if c.is_control() => c.escape_default().to_string(),
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(show).collect()
}

/// Prints the one object of a run with `--json`.
pub fn json(object: &impl Serialize) -> Outcome {
    line(serde_json::to_string_pretty(object)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose reader is gone, or a disk that is full.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
        let to = |kind| print(&mut Broken(kind), format_args!("text"));
        let end = |outcome: Outcome| format!("{:?}", run(|| outcome));
        let status = |code: ExitCode| format!("{code:?}");
        assert_eq!(end(to(io::ErrorKind::BrokenPipe)), status(ExitCode::SUCCESS));
        assert_eq!(end(to(io::ErrorKind::StorageFull)), status(ExitCode::FAILURE));
        // A server that hangs up is an error of the run.
        let server: Outcome = Err(Box::new(io::Error::from(io::ErrorKind::BrokenPipe)));
        assert_eq!(end(server), status(ExitCode::FAILURE));
    }

    #[test]
    fn documents_cannot_steer_the_terminal() {
        assert_eq!(
            printable("a\x1b[2J\x07b\r\nc\td\re"),
            "a\\u{1b}[2J\\u{7}b\nc\td\ne"
        );
        assert_eq!(
            on_one_line("a\n.md\t\u{202e}fdp.é\x1b"),
            "a\\n.md\\t\\u{202e}fdp.é\\u{1b}"
        );
    }
}
