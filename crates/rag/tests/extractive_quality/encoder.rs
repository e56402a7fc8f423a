//! An encoder in another process: a JSON list of texts a line in, a JSON list of vectors a line out.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use ragtune::core::text::{Embeddings, Role};
use ragtune::{Embedder, core};

pub struct Process {
    child: Mutex<Child>,
    pipes: Mutex<(Option<ChildStdin>, BufReader<ChildStdout>)>,
}

impl Process {
    pub fn start(command: &str) -> Self {
        let mut words = command.split_whitespace();
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pipes = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self {
            child: Mutex::new(child),
            pipes: Mutex::new(pipes),
        }
    }
}

impl Embedder for Process {
    fn id(&self) -> &str {
        "all-minilm-l6-v2"
    }
    fn dim(&self) -> usize {
        384
    }
    fn max_tokens(&self) -> usize {
        256
    }
    fn embed(&self, texts: &[&str], _: Role) -> core::Result<Embeddings> {
        let mut pipes = self.pipes.lock().unwrap();
        let input = pipes.0.as_mut().unwrap();
        writeln!(input, "{}", serde_json::to_string(texts).unwrap()).unwrap();
        input.flush().unwrap();
        let mut line = String::new();
        pipes.1.read_line(&mut line).unwrap();
        let rows: Vec<Vec<f32>> = serde_json::from_str(&line).unwrap();
        Embeddings::from_rows(self.dim(), rows)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.pipes.lock().unwrap().0 = None;
        self.child.lock().unwrap().wait().unwrap();
    }
}
