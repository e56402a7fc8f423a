//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};
use ragtune::core::adapters::Targets;
use ragtune::core::device::DeviceSpec;
use ragtune::train::encode::Overflow;
use ragtune::train::optimiser::{AdamWOptions, Decay};
use ragtune::train::search::SearchSpace;
use ragtune::train::trainer::{Duration, TrainOptions};
use ragtune::train::tuning::{Adapter, Lora, Prompt, Selection, Tuning};

use crate::{Outcome, output};

/// Fine-tune a model on your own data.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "finetune",
    after_help = "Examples:
  finetune --model models/smollm2-135m-instruct --task sft --data alpaca.json --method lora --out runs/style
  finetune --model models/stories260K --task pretrain --data shakespeare.txt --method full --epochs 3 --out runs/will
  finetune --model models/all-minilm-l6-v2 --task classify --data train.csv --test test.csv --method full --out runs/intents
  finetune --model models/all-minilm-l6-v2 --task embed --data pairs.jsonl --method full --out runs/search
  finetune ... --plan          how much memory the run takes, without running
  finetune ... --resume        go on where a run ended, however it ended"
)]
pub struct Args {
    /// The model: a folder in Hugging Face or sentence-transformers layout, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    pub model: String,
    /// What is learned
    #[arg(long, value_enum)]
    pub task: Task,
    /// The examples to learn from: JSON, JSON lines, CSV, TSV, text; docs/training.md lists the forms
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// The examples to choose the best weights by [default: a tenth of --data, held out]
    #[arg(long, value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// Learns from all of --data: nothing is held out, and the last weights are the result
    #[arg(long, conflicts_with = "valid")]
    pub no_valid: bool,
    /// The examples to measure the result on
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    /// Writes what the result says of each example of --test: JSON lines; for classify, tag and qa
    #[arg(long, value_name = "FILE", requires = "test")]
    pub predictions: Option<PathBuf>,
    /// qa: windows without its answer that are learned of each question [default: all]
    #[arg(long, value_name = "N")]
    pub empty_windows: Option<usize>,
    /// embed: texts for each question that are near to it and not its answer, found by the model among the other texts
    #[arg(long, value_name = "N")]
    pub hard_negatives: Option<usize>,
    /// embed: shorter vectors that are trained beside the whole ones (Matryoshka), such as 192,96
    #[arg(long, value_delimiter = ',', value_name = "SIZES")]
    pub dims: Vec<usize>,
    /// classify: the column of the text [default: found by its name]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// classify: the column of the label [default: found by its name]
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// What of the model trains: full, last:N, head, lora, dora, ia3, adapter, prompt
    #[arg(long, default_value = "lora")]
    pub method: Method,
    /// Where the result goes
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// LoRA: rank of the updates
    #[arg(long, default_value_t = 8)]
    pub rank: usize,
    /// LoRA: scale of the updates [default: twice the rank]
    #[arg(long)]
    pub alpha: Option<f64>,
    /// LoRA, adapter: share of inputs, or of outputs, that are left out in training
    #[arg(long, default_value_t = 0.0)]
    pub dropout: f64,
    /// LoRA and IA3: modules by name, or all-linear [default: queries and values]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub targets: Vec<String>,
    /// adapter: hidden width over width of the bottlenecks
    #[arg(long, default_value_t = 16.0)]
    pub reduction: f64,
    /// adapter: bottlenecks behind attention too
    #[arg(long)]
    pub behind_attention: bool,
    /// prompt: rows before each text
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub virtual_tokens: usize,
    /// prompt: a text that the rows begin as [default: words drawn at random]
    #[arg(long, value_name = "TEXT")]
    pub prompt_text: Option<String>,
    /// Its tokens, once the model is loaded.
    #[arg(skip)]
    pub prompt_ids: Vec<u32>,
    /// Times through the examples
    #[arg(long, default_value_t = 3.0, conflicts_with = "steps")]
    pub epochs: f64,
    /// Steps, instead of --epochs
    #[arg(long)]
    pub steps: Option<usize>,
    /// Examples of a batch
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
    /// Batches of a step
    #[arg(long, default_value_t = 1)]
    pub accumulate: usize,
    /// Tokens of an example at most [default: what the model reads, at most 1024]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// What is done with longer examples: error, truncate, drop
    #[arg(long, default_value = "truncate", value_parser = overflow)]
    pub overflow: Overflow,
    /// Highest learning rate [default: by method]
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// Highest learning rate of the head that the task adds [default: 1e-2 for classes, else as --lr]
    #[arg(long, value_name = "RATE")]
    pub head_lr: Option<f64>,
    /// Share of the steps in which the rate rises
    #[arg(long, default_value_t = 0.05)]
    pub warmup: f64,
    /// How the rate falls: constant, linear, cosine
    #[arg(long, default_value = "linear")]
    pub schedule: Decay,
    /// Weight decay
    #[arg(long, default_value_t = 0.0)]
    pub weight_decay: f64,
    /// Evaluations without a better score after which the run ends
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
    /// Steps between evaluations [default: at the end of every epoch]
    #[arg(long, value_name = "N")]
    pub evaluate_every: Option<usize>,
    /// Steps between saved states [default: at the end of every epoch]
    #[arg(long, value_name = "N")]
    pub save_every: Option<usize>,
    /// Takes duplicates, contradictions and missing values out of the examples, and says what went
    #[arg(long)]
    pub clean: bool,
    /// Leaves the model's own dropout out, which `config.json` names
    #[arg(long)]
    pub no_model_dropout: bool,
    /// Computes layers again on the way back: less memory, a third more time
    #[arg(long)]
    pub checkpointing: bool,
    /// Megabytes that the run may take: batch, accumulation and --checkpointing are chosen to hold it
    #[arg(long, value_name = "MB")]
    pub memory: Option<u64>,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Where it runs: cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: DeviceSpec,
    /// Tries other settings first and trains with the best: a number of points by chance, or `grid` for all combinations
    /// (`grid:N` with N values of each range)
    #[arg(long, value_name = "N|grid", conflicts_with = "memory")]
    pub search: Option<SearchSize>,
    /// What is searched, such as "lr=1e-5..1e-3 rank=4,8,16" [default: the learning rate around the method's own, and LoRA's
    /// rank]
    #[arg(long, value_name = "SPACE", requires = "search")]
    pub search_space: Option<SearchSpace>,
    /// Gives bad settings up early: one of ETA goes on, for ETA times as long
    #[arg(long, value_name = "ETA", requires = "search", num_args = 0..=1, default_missing_value = "3")]
    pub search_halving: Option<usize>,
    /// Only says what would train and how much memory it would take
    #[arg(long)]
    pub plan: bool,
    /// Goes on from the state in --out
    #[arg(long)]
    pub resume: bool,
    /// Trains although the doctor found errors in the data or the settings
    #[arg(long)]
    pub force: bool,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// How many settings are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchSize {
    /// So many by chance.
    Random(usize),
    /// All combinations, with so many values of each range.
    Grid(usize),
}

impl FromStr for SearchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const POINTS: usize = 3;
        let size = match text.split_once(':') {
            _ if text == "grid" => Some(Self::Grid(POINTS)),
            Some(("grid", points)) => points.parse().ok().map(Self::Grid),
            _ => text.parse().ok().map(Self::Random),
        };
        size.ok_or_else(|| format!("{text:?}; write a number, grid, or grid:N"))
    }
}

/// What is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// A language model: answers to instructions
    Sft,
    /// A language model: plain text
    Pretrain,
    /// A language model: better answers over worse ones
    Dpo,
    /// An encoder: the class or classes of a text
    Classify,
    /// An encoder: tags of words, such as names
    Tag,
    /// An encoder: the answer to a question in a given text
    Qa,
    /// A sentence encoder: texts that belong together
    Embed,
    /// An encoder: how well a passage answers a question
    Rerank,
}

/// What of the model trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Full,
    Last(usize),
    Head,
    Lora,
    Dora,
    Ia3,
    Adapter,
    Prompt,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "head" => Ok(Self::Head),
            "lora" => Ok(Self::Lora),
            "dora" => Ok(Self::Dora),
            "ia3" => Ok(Self::Ia3),
            "adapter" => Ok(Self::Adapter),
            "prompt" => Ok(Self::Prompt),
            other => other
                .strip_prefix("last:")
                .and_then(|n| n.parse().ok())
                .map(Self::Last)
                .ok_or_else(|| {
                    format!(
                        "no method {other:?}; there are full, last:N, head, lora, dora, ia3, adapter, prompt"
                    )
                }),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Last(n) => write!(f, "last:{n}"),
            Self::Head => f.write_str("head"),
            Self::Lora => f.write_str("lora"),
            Self::Dora => f.write_str("dora"),
            Self::Ia3 => f.write_str("ia3"),
            Self::Adapter => f.write_str("adapter"),
            Self::Prompt => f.write_str("prompt"),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sft => "sft",
            Self::Pretrain => "pretrain",
            Self::Dpo => "dpo",
            Self::Classify => "classify",
            Self::Tag => "tag",
            Self::Qa => "qa",
            Self::Embed => "embed",
            Self::Rerank => "rerank",
        })
    }
}

fn overflow(text: &str) -> Result<Overflow, String> {
    match text {
        "error" => Ok(Overflow::Error),
        "truncate" => Ok(Overflow::Truncate),
        "drop" => Ok(Overflow::Drop),
        other => Err(format!("no policy {other:?}; there are error, truncate, drop")),
    }
}

impl Args {
    /// Refuses what no run can be.
    ///
    /// # Errors
    /// Options that contradict each other.
    pub fn check(&self) -> Outcome {
        if self.resume && self.plan {
            return Err("--plan runs nothing that --resume could go on with".into());
        }
        if let Some(file) = &self.predictions {
            if !matches!(self.task, Task::Classify | Task::Tag | Task::Qa) {
                return Err(
                    format!("--predictions: {} has none; classify, tag and qa have", self.task).into(),
                );
            }
            if file.exists() {
                return Err(format!("--predictions: {} exists; name another file", file.display()).into());
            }
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                return Err(format!("--predictions: there is no folder {}", folder.display()).into());
            }
        }
        Ok(())
    }

    /// A line for people; with --json there is one object only.
    ///
    /// # Errors
    /// As [`output::line()`].
    pub fn say(&self, text: &str) -> Outcome {
        match self.json {
            true => Ok(()),
            false => output::line(output::printable(text)),
        }
    }

    /// What of the model trains.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        let targets = match self.targets.as_slice() {
            [] => None,
            [all] if all == "all-linear" => Some(Targets::AllLinear),
            names => Some(Targets::Names(names.to_vec())),
        };
        let lora = || {
            let alpha = self.alpha.unwrap_or(2.0 * self.rank as f64);
            let lora = Lora::default()
                .with_rank(self.rank, alpha)
                .with_dropout(self.dropout);
            match targets.clone() {
                Some(targets) => lora.with_targets(targets),
                None => lora,
            }
        };
        match self.method {
            Method::Full => Tuning::Full,
            Method::Last(n) => Tuning::Selective(Selection::last_layers(n)),
            Method::Head => Tuning::Head,
            Method::Lora => Tuning::Lora(lora()),
            Method::Dora => Tuning::Lora(lora().with_dora()),
            Method::Ia3 => Tuning::Ia3 { targets },
            Method::Adapter => {
                let adapter = Adapter::default()
                    .with_reduction(self.reduction)
                    .with_dropout(self.dropout);
                Tuning::Bottleneck(match self.behind_attention {
                    true => adapter.behind_attention(),
                    false => adapter,
                })
            }
            Method::Prompt => {
                let prompt = Prompt::default().with_virtual_tokens(self.virtual_tokens);
                Tuning::Prompt(match &self.prompt_text {
                    Some(text) => prompt.from_text(text, self.prompt_ids.clone()),
                    None => prompt,
                })
            }
        }
    }

    /// How much faster the head that the task adds learns.
    #[must_use]
    pub fn head_ratio(&self) -> f64 {
        /// For weights that begin at nothing and read vectors of length 1.
        const NEW_HEAD: f64 = 1e-2;
        let rate = self.lr.unwrap_or_else(|| self.tuning().learning_rate());
        match (self.head_lr, self.task) {
            (Some(head), _) => head / rate,
            // Where the head is all that trains, its rate is --lr.
            (None, Task::Classify) if self.method != Method::Head => (NEW_HEAD / rate).max(1.0),
            (None, _) => 1.0,
        }
    }

    /// The settings of the run.
    #[must_use]
    pub fn options(&self) -> TrainOptions {
        let duration = self.steps.map_or(Duration::Epochs(self.epochs), Duration::Steps);
        let adamw = AdamWOptions {
            weight_decay: self.weight_decay,
            ..AdamWOptions::default()
        };
        let mut options = TrainOptions::default()
            .with_duration(duration)
            .with_batch(self.batch)
            .with_accumulation(self.accumulate)
            .with_group_by_length(true)
            .with_schedule(self.warmup, self.schedule)
            .with_adamw(adamw)
            .with_gradient_checkpointing(self.checkpointing)
            .with_model_dropout(!self.no_model_dropout)
            .with_seed(self.seed);
        options.learning_rate = self.lr;
        options.patience = self.patience;
        options.evaluate_every = self.evaluate_every;
        options.save_every = self.save_every;
        options
    }
}
