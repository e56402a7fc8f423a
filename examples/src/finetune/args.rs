//! The command line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use ragtune::core::device::DeviceSpec;
use ragtune::core::weights::Precision;
use ragtune::train::encode::Overflow;
use ragtune::train::optimiser::Decay;
use ragtune::train::search::SearchSpace;

use super::choices::{ClassWeighting, DpoLoss, Method, SearchSize, TargetNames, Task, overflow};

/// Fine-tune a model on your own data.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "finetune",
    allow_negative_numbers = true,
    after_help = "Examples:
  finetune --model models/smollm2-135m-instruct --task sft --data alpaca.json --method lora --out runs/style
  finetune --model models/stories260K --task pretrain --data shakespeare.txt --method full --epochs 3 --out runs/will
  finetune --model models/all-minilm-l6-v2 --task classify --data train.csv --test test.csv --method full --out runs/intents
  finetune --model models/smollm2-135m --task classify --data train.csv --method lora --out runs/intents-by-decoder
  finetune --model models/all-minilm-l6-v2 --task embed --data pairs.jsonl --method full --out runs/search
  finetune ... --plan          how much memory the run takes, without running
  finetune ... --resume        go on where a run ended, however it ended
  finetune ... --folds 5       cross-validation: five runs, and the mean of their scores

The forms of the data of each task are in docs/training-data.md, methods, results and searches in docs/training.md.
Ctrl-C finishes the step and saves the state; once more ends at once. Status: 0 done, 1 an error, 2 the command line,
130 stopped by Ctrl-C, 141 nobody read the output."
)]
pub struct Args {
    /// The model: a folder in Hugging Face or sentence-transformers layout, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    pub model: String,
    /// classify, tag, qa, rerank: a new head also where the model has a tuned one, which goes on otherwise
    #[arg(long)]
    pub new_head: bool,
    /// What is learned
    #[arg(long, value_enum)]
    pub task: Task,
    /// The examples to learn from: JSON, JSON lines, CSV, TSV, text; folders of text; BEIR folders (embed, rerank).
    /// docs/training-data.md lists the forms
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// The examples to choose the best weights by [default: a tenth of --data, held out]
    #[arg(long, value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// Learns from all of --data: nothing is held out, and the last weights are the result
    #[arg(long, conflicts_with = "valid")]
    pub no_valid: bool,
    /// Examples with the same value of this column, such as an author or a day, are on one side where a part of --data is
    /// held out, and in one part of --folds
    #[arg(long, value_name = "FIELD")]
    pub split_by: Option<String>,
    /// The examples to measure the result on
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    /// Writes what the result says of each example of --test: JSON lines; for classify, tag and qa
    #[arg(long, value_name = "FILE", requires = "test")]
    pub predictions: Option<PathBuf>,
    /// qa: windows without its answer that are learned of each question [default: all]
    #[arg(long, value_name = "N")]
    pub empty_windows: Option<usize>,
    /// qa: tokens that neighbouring windows of a context share; at least those of the longest answer
    /// [default: 128, at most a third of a window]
    #[arg(long, value_name = "N")]
    pub overlap_tokens: Option<usize>,
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
    /// classify: what stands between the labels of a cell, where a text has several, such as |
    #[arg(long, value_name = "TEXT")]
    pub label_separator: Option<String>,
    /// classify: how much an example of each class counts: `balanced`, which evens out rare and frequent ones, or a JSON
    /// file {"LABEL": WEIGHT, ...}
    #[arg(long, value_name = "balanced|FILE")]
    pub class_weights: Option<ClassWeighting>,
    /// dpo: how strongly the model is held to what it was, the smaller the less [default: 0.1]
    #[arg(long, value_name = "X")]
    pub beta: Option<f64>,
    /// dpo: how preferences become a loss [default: sigmoid]
    #[arg(long, value_enum)]
    pub dpo_loss: Option<DpoLoss>,
    /// dpo: the share of preferences that are taken to be the wrong way round [default: 0]
    #[arg(long, value_name = "SHARE")]
    pub label_smoothing: Option<f64>,
    /// What of the model trains: full, last:N, norms, biases, patterns:NAMES, head, lora, dora, ia3, adapter, prompt. Names
    /// have commas between them and * for anything; last, norms, biases and patterns go together, as in last:2+norms
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
    /// LoRA: the scale over the square root of the rank, not over the rank (rsLoRA)
    #[arg(long)]
    pub rslora: bool,
    /// LoRA: second matrices learn so many times as fast (LoRA+); 16 is usual
    #[arg(long, value_name = "RATIO")]
    pub lora_plus: Option<f64>,
    /// LoRA, adapter: share of inputs, or of outputs, that are left out in training
    #[arg(long, default_value_t = 0.0)]
    pub dropout: f64,
    /// LoRA and IA3: modules by name with commas between them, re:PATTERN for a regular expression of their whole names, or
    /// all-linear [default: queries and values; for IA3 keys, values and the feed-forward layer]
    #[arg(long, value_name = "NAMES")]
    pub targets: Option<TargetNames>,
    /// adapter: hidden width over width of the bottlenecks
    #[arg(long, default_value_t = 16.0)]
    pub reduction: f64,
    /// adapter: bottlenecks behind attention too
    #[arg(long)]
    pub behind_attention: bool,
    /// The hidden width of the language model under the head that the task adds, once it is loaded.
    #[arg(skip)]
    pub decoder_width: Option<usize>,
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
    /// Highest learning rate of the head that the task adds [default: 1e-2 for classes on an encoder, 0.3 over the hidden width
    /// on a language model, else as --lr]
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
    /// Length beyond which all gradients together are cut; 0 for never
    #[arg(long, default_value_t = 1.0, value_name = "NORM")]
    pub clip: f64,
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
    /// Keep the frozen weights of a language model in f32, bf16, f16, int8 or int4, rounded while they are loaded; with int8
    /// and int4 an adapter beside them is trained (QLoRA) [default: as the files have them]
    #[arg(long)]
    pub precision: Option<Precision>,
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
    /// Cross-validation: --data in K parts, each of which is the test set of a run that learns from the others
    #[arg(long, value_name = "K", conflicts_with_all = ["test", "search", "plan"])]
    pub folds: Option<usize>,
    /// The part that is the test set, from 0.
    #[arg(skip)]
    pub fold: Option<usize>,
    /// Only says what would train and how much memory it would take
    #[arg(long)]
    pub plan: bool,
    /// Goes on from the state in --out
    #[arg(long)]
    pub resume: bool,
    /// Trains although the doctor found errors in the data or the settings
    #[arg(long)]
    pub force: bool,
    /// Print exactly one JSON object on standard output; what the doctor finds is in it, and on standard error
    #[arg(long)]
    pub json: bool,
    /// The options that the command line names, without their dashes.
    #[arg(skip)]
    pub given: BTreeSet<String>,
}

impl Args {
    /// Reads a command line, whose first word is the program.
    ///
    /// # Errors
    /// What is no command line of the program, as clap says it; also the texts of --help.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(line)?;
        let mut args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        let own = command.get_arguments().filter(|argument| {
            let id = argument.get_id().as_str();
            matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
        });
        args.given = own
            .filter_map(|argument| argument.get_long().map(str::to_owned))
            .collect();
        Ok(args)
    }
}
