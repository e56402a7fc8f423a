//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ragtune::retrieve::Mode;
use ragtune::train::tuning::{Lora, Tuning};

use crate::number;

/// Tune an encoder on a folder of documents, measure it on questions that it never saw, and promote or refuse it.
///
/// FOLDER is a folder of documents, or a data set in BEIR layout. Training data is made of the documents alone; a fifth of
/// them is held out. The tuned encoder is measured beside the one before on the held-out questions, or on your own
/// (--questions; those of a BEIR data set), and takes its place unless it is significantly worse.
///
/// Every stage that is finished is kept in --out: a loop that was interrupted goes on where it was when the same command is given
/// again.
#[derive(Debug, Parser)]
#[command(
    name = "close_the_loop",
    after_help = "Examples:
  close_the_loop notes --embedder models/all-minilm-l6-v2 --out runs/notes
  close_the_loop notes --embedder models/all-minilm-l6-v2 --questions questions.jsonl --require-gain
  close_the_loop data/docs-rag --embedder models/all-minilm-l6-v2 --json

The encoder inside the library is int8 and cannot be tuned: --embedder names a folder with weights in f32, F16 or BF16."
)]
pub struct Args {
    /// Folder of the documents, or of a data set in BEIR layout
    pub folder: PathBuf,
    /// Folder of the encoder to tune, in sentence-transformers or Hugging Face layout, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    pub embedder: Option<String>,
    /// Where data, model and reports go
    #[arg(long, default_value = "loop", value_name = "DIR")]
    pub out: PathBuf,
    /// Knowledge base that the encoder serves [default: OUT/base]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Your own questions with the documents that answer them, to measure by: a .jsonl file with \"question\" and \"sources\" in
    /// each line, as the example `evaluate` reads it, or .tsv with QUESTION, a tab, DOCUMENT
    #[arg(long, value_name = "FILE")]
    pub questions: Option<PathBuf>,
    /// Language model that writes questions too: a folder in Hugging Face layout, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    pub generator: Option<String>,
    /// Share of the documents that is held out
    #[arg(long, default_value_t = 0.2, value_name = "SHARE", value_parser = number::share_below_one)]
    pub held_out: f64,
    /// Hits among which a question must find its passage
    #[arg(long, default_value_t = 10, value_name = "K", value_parser = number::at_least_one)]
    pub round_trip: usize,
    /// Questions at most
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = number::at_least_one)]
    pub max_questions: usize,
    /// Hard negatives of each question
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub negatives: usize,
    /// What trains
    #[arg(long, value_enum, default_value_t = Method::Full)]
    pub method: Method,
    /// Learning rate [default: 2e-5, LoRA 5e-4]
    #[arg(long, value_name = "RATE", value_parser = number::positive)]
    pub lr: Option<f64>,
    /// Times through the pairs
    #[arg(long, default_value_t = 1.0, value_name = "N", value_parser = number::positive)]
    pub epochs: f64,
    /// Pairs of a step; each has the passages of all as negatives
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = number::at_least_one)]
    pub batch: usize,
    /// Tokens after which texts are cut in training [default: what the encoder reads]
    #[arg(long, value_name = "N", value_parser = number::at_least_one)]
    pub max_tokens: Option<usize>,
    /// What decides: vectors alone, or fused with words
    #[arg(long, value_enum, default_value_t = Decider::Dense)]
    pub mode: Decider,
    /// Promote only with a significant gain
    #[arg(long)]
    pub require_gain: bool,
    /// Seed of all choices
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// What trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// Every weight
    Full,
    /// Low-rank updates
    Lora,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Decider {
    /// Vectors alone
    Dense,
    /// Vectors fused with words
    Hybrid,
}

impl Args {
    /// The method with its usual learning rate.
    pub fn tuning(&self) -> (Tuning, f64) {
        let (tuning, usual) = match self.method {
            Method::Full => (Tuning::Full, 2e-5),
            Method::Lora => (Tuning::Lora(Lora::default()), 5e-4),
        };
        (tuning, self.lr.unwrap_or(usual))
    }

    /// The base that the encoder serves.
    pub fn store(&self) -> PathBuf {
        self.store.clone().unwrap_or_else(|| self.out.join("base"))
    }

    /// What the promotion goes by.
    pub fn mode(&self) -> Mode {
        match self.mode {
            Decider::Dense => Mode::Dense,
            Decider::Hybrid => Mode::Hybrid,
        }
    }
}
