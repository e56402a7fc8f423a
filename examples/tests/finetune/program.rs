//! The program as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use ragtune_examples::finetune;
use serde_json::Value;

/// Where the process finds its command line.
const ARGUMENTS: &str = "RAGTUNE_FINETUNE";
/// Between two arguments.
const SEPARATOR: char = '\u{1f}';

/// What a process ended with.
pub struct Ended {
    pub success: bool,
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// What `main` of the program does, where this process was started as the program.
pub fn be_the_program() {
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        let status = finetune::main(arguments.split(SEPARATOR).map(Into::into));
        // The test that this process also is has nothing to say.
        std::process::exit(i32::from(status));
    }
}

/// A tiny model of the core crate.
pub fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/core/tests/fixtures")
        .join(name)
}

/// The model that a task tunes.
pub fn model_of(task: &str) -> PathBuf {
    model(match task {
        "sft" | "pretrain" | "dpo" => "decoder/llama",
        _ => "encoders/models/bert",
    })
}

fn command(arguments: &[String]) -> Command {
    let mut line = vec!["finetune".to_owned()];
    line.extend_from_slice(arguments);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "program", "--nocapture"])
        .env(ARGUMENTS, line.join(&SEPARATOR.to_string()))
        .stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn finetune(arguments: &[String]) -> Ended {
    let Output {
        status,
        stdout,
        stderr,
    } = command(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(!stderr.contains("panicked"), "{stderr}");
    // What the test prints before it becomes the program.
    let own = "running 1 test\n";
    let stdout = stdout
        .split_once(own)
        .map_or(stdout.clone(), |(_, rest)| rest.to_owned());
    Ended {
        success: status.success(),
        status: status.code(),
        stdout,
        stderr,
    }
}

/// Starts the program.
pub fn start(arguments: &[String]) -> Child {
    command(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Starts the program with both its outputs to be read.
pub fn start_piped(arguments: &[String]) -> Child {
    command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Ended {
    /// Asserts that the program did what it was asked.
    pub fn ok(self) -> Self {
        assert!(self.success, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the program refused, with all of these in its message, and that it printed no result.
    pub fn refused(&self, parts: &[&str]) {
        assert!(!self.success, "{}", self.stdout);
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in: {}", self.stderr);
        }
    }

    /// The one object of `--json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A command line, from words and paths.
#[macro_export]
macro_rules! line {
    ($($part:expr),* $(,)?) => {{
        let mut line: Vec<String> = Vec::new();
        $(line.extend($part.to_string().split_whitespace().map(str::to_owned));)*
        line
    }};
}
