//! The command line.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use clap::{Parser, ValueEnum};

use crate::reader::ReaderArgs;
use crate::{Outcome, output};

/// Compare retrieval with fine-tuning, on your own questions.
///
/// Every system runs in a process of its own, so that its peak of memory is its own; what was measured is kept in --out, and
/// a comparison that was interrupted goes on where it was.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "compare",
    after_help = "Examples:
  compare --task classify --model models/all-minilm-l6-v2 --data train.csv --test test.csv --out runs/intents
  compare --task classify ... --per-class 5,10,20,all       where does tuning overtake retrieval?
  compare --task classify ... --f1 spam --systems nearest,lora
  compare --task answer --model models/all-minilm-l6-v2 --data notes --test questions.jsonl --out runs/answers \
          --generator models/qwen3-0.6b --adapter runs/style/adapter --reader runs/reader/model --train-aware
  compare --task rank --model models/all-minilm-l6-v2 --tuned runs/search/model --reranker models/ms-marco-minilm \\
          --data data/scifact --out runs/ranking"
)]
pub struct Args {
    /// What is compared
    #[arg(long, value_enum)]
    pub task: Task,
    /// The sentence encoder that is compared with what can be made of it
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// classify: the labelled examples, CSV, TSV or JSON lines; answer: a folder of documents; rank: a folder in BEIR layout
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// classify: the labelled questions; answer: the questions with their answers, as the example `evaluate` reads them
    #[arg(long, value_name = "FILE", required_if_eq_any([("task", "classify"), ("task", "answer")]))]
    pub test: Option<PathBuf>,
    /// Where results go
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The systems [default: all that the other options allow]. classify: labels, nearest, few-shot, head, lora, full,
    /// full+nearest; answer: model, tuned, quotes, reader, model+retrieval, tuned+retrieval, aware+retrieval; rank: lexical, base, hybrid, tuned, tuned-hybrid, reranked
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub systems: Vec<String>,
    /// classify: examples of each class that are learned from, several numbers with commas; `all` for all
    #[arg(long, value_delimiter = ',', default_value = "all", value_name = "N,...")]
    pub per_class: Vec<Budget>,
    /// classify: quality is F1 of this class [default: accuracy]
    #[arg(long, value_name = "LABEL")]
    pub f1: Option<String>,
    /// classify: the column of the text [default: found by its name]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// classify: the column of the label [default: found by its name]
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// classify: a language model for few-shot prompts; answer: the language model
    #[arg(long, value_name = "DIR")]
    pub generator: Option<PathBuf>,
    /// answer: what the language model was tuned to, a PEFT adapter
    #[arg(long, value_name = "DIR", requires = "generator")]
    pub adapter: Option<PathBuf>,
    /// answer: what the language model was tuned to for passages with and without the answer (retrieval-aware), a PEFT adapter
    /// such as `finetune --task sft` makes of chat.train.jsonl of `close_the_loop`
    #[arg(long, value_name = "DIR", requires = "generator")]
    pub aware: Option<PathBuf>,
    /// answer: make that data of the documents, and train that adapter (LoRA, one epoch)
    #[arg(long, requires = "generator", conflicts_with = "aware")]
    pub train_aware: bool,
    #[command(flatten)]
    pub reader: ReaderArgs,
    /// rank: the tuned encoder
    #[arg(long, value_name = "DIR")]
    pub tuned: Option<PathBuf>,
    /// rank: a cross-encoder
    #[arg(long, value_name = "DIR")]
    pub reranker: Option<PathBuf>,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// The one system that this process is for; of the program's own use
    #[arg(long, hide = true)]
    pub only: Option<String>,
    /// The number of examples that this process is for; of the program's own use
    #[arg(long, hide = true, requires = "only")]
    pub budget: Option<Budget>,
    /// Whether this process trains it or asks it; of the program's own use
    #[arg(long, hide = true, requires = "only")]
    pub train: bool,
    /// How this program is started again.
    #[arg(skip)]
    pub again: Again,
}

/// How this program is started again, for one system.
#[derive(Clone, Debug)]
pub struct Again {
    /// The command line of this process, without the program's name.
    pub line: Vec<OsString>,
    /// The program with a command line.
    pub program: fn(&[OsString]) -> io::Result<Command>,
}

impl Default for Again {
    fn default() -> Self {
        Self {
            line: std::env::args_os().skip(1).collect(),
            program: |line| {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(line);
                Ok(command)
            },
        }
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// The class of a text: nearest labelled examples, prompts, and trained classifiers
    Classify,
    /// Answers out of documents, out of a language model, out of both
    Answer,
    /// Which documents answer a question: encoders as they came, tuned ones, rerankers
    Rank,
}

/// How many examples of each class are learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many.
    Examples(usize),
    /// All that there are.
    All,
}

impl std::str::FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("all", _) => Ok(Self::All),
            (_, Ok(examples)) if examples > 0 => Ok(Self::Examples(examples)),
            _ => Err(format!("{text:?}; write a number of examples, or all")),
        }
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Examples(examples) => examples.fmt(f),
            Self::All => f.write_str("all"),
        }
    }
}

impl Args {
    /// Says something on standard error; standard output is for the result.
    pub fn say(&self, text: &str) {
        output::note!("{text}");
    }

    /// The systems out of `known` that run, in their order; `possible` says of each what it lacks.
    ///
    /// # Errors
    /// A name that is none, and a system that was asked for and lacks something.
    pub fn chosen<'k>(
        &self,
        known: &[&'k str],
        lacks: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<Vec<&'k str>, Box<dyn std::error::Error>> {
        if let Some(unknown) = self.systems.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!(
                "--systems: there is no {unknown:?}; there are {}",
                known.join(", ")
            )
            .into());
        }
        let mut chosen = Vec::new();
        for &name in known {
            let is_asked = self.systems.iter().any(|asked| asked == name);
            match lacks(name) {
                Some(option) if is_asked => {
                    return Err(format!("--systems: {name} needs {option}").into());
                }
                None if is_asked || self.systems.is_empty() => chosen.push(name),
                _ => {}
            }
        }
        Ok(chosen)
    }

    /// Refuses what no comparison can be.
    ///
    /// # Errors
    /// Files that do not exist.
    pub fn check(&self) -> Outcome {
        let named = [
            ("--model", Some(&self.model)),
            ("--data", Some(&self.data)),
            ("--test", self.test.as_ref()),
            ("--generator", self.generator.as_ref()),
            ("--adapter", self.adapter.as_ref()),
            ("--aware", self.aware.as_ref()),
            ("--reader", self.reader.reader.as_ref()),
            ("--calibrate", self.reader.calibrate.as_ref()),
            ("--tuned", self.tuned.as_ref()),
            ("--reranker", self.reranker.as_ref()),
        ];
        for (option, path) in named {
            if let Some(path) = path.filter(|path| !path.exists()) {
                return Err(format!("{option}: there is no {}", path.display()).into());
            }
        }
        Ok(())
    }
}
