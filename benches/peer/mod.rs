//! A Python process that does a benchmark's work when told to.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::json;

use super::{Result, Round};

pub struct Peer {
    pub name: &'static str,
    pub version: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// The peers that the environment names, run by a script of `peers/`; `more` are its last arguments.
    #[allow(dead_code, reason = "not every benchmark has these peers")]
    pub fn all(script: &str, folder: &Path, threads: usize, more: &[&str]) -> Result<Vec<Self>> {
        let Some(python) = std::env::var_os("RAGTUNE_PYTHON") else {
            return Ok(Vec::new());
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script);
        let command = |kind: &str| {
            let mut command = Command::new(&python);
            command
                .arg(&script)
                .arg(kind)
                .arg(folder)
                .arg(threads.to_string())
                .args(more);
            command
        };
        let mut peers = vec![Self::start("PyTorch", command("torch"))?];
        if let Some(library) = std::env::var_os("RAGTUNE_MKL_PRELOAD") {
            let mut command = command("torch");
            command
                .env("LD_PRELOAD", library)
                .env("MKL_ENABLE_INSTRUCTIONS", "AVX512");
            peers.push(Self::start("PyTorch, MKL unlocked", command)?);
        }
        if let Some(file) = std::env::var_os("RAGTUNE_ONNX") {
            let mut command = command("onnx");
            command.arg(file);
            peers.push(Self::start("ONNX Runtime", command)?);
        }
        Ok(peers)
    }

    /// A process that answers as the peers do.
    pub fn start(name: &'static str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the peer has no pipes".into());
        };
        let mut peer = Self {
            name,
            version: String::new(),
            child,
            input,
            output: BufReader::new(output),
        };
        peer.version = peer.line()?;
        Ok(peer)
    }

    #[allow(dead_code, reason = "not every benchmark has texts")]
    pub fn set(&mut self, texts: &[String]) -> Result<()> {
        Ok(writeln!(self.input, "{}", json!({ "texts": texts }))?)
    }

    #[allow(dead_code, reason = "not every benchmark has passes")]
    pub fn run(&mut self, what: &str, passes: usize) -> Result<Round> {
        writeln!(self.input, "{}", json!({ "what": what, "passes": passes }))?;
        let line = self.line()?;
        let mut numbers = line.split_whitespace().map(str::parse::<f64>);
        match (numbers.next(), numbers.next()) {
            (Some(wall), Some(processor)) => Ok((wall?, processor?)),
            _ => Err(format!("{} answered {line:?}", self.name).into()),
        }
    }

    /// The numbers that the peer answers an order with.
    #[allow(dead_code, reason = "not every benchmark gives orders of its own")]
    pub fn order(&mut self, order: &serde_json::Value) -> Result<Vec<f64>> {
        writeln!(self.input, "{order}")?;
        let line = self.line()?;
        let numbers = line.split_whitespace().map(str::parse::<f64>).collect();
        let numbers: std::result::Result<Vec<f64>, _> = numbers;
        numbers.map_err(|_| format!("{} answered {line:?}", self.name).into())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err(format!("{} ended; run its script by hand to see why", self.name).into()),
            _ => Ok(line.trim().to_owned()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
