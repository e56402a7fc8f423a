//! The peak of memory of training runs: foretold, and measured.
//!
//! `RAGTUNE_SHARED=... cargo bench -p ragtune-benches --bench train_memory`
//!
//! Every configuration is a process of its own, which loads the model, foretells its peak, trains two steps with an
//! evaluation, and reads the peak that the system counted (Linux). `RAGTUNE_SHARED` names a folder with
//! models/all-minilm-l6-v2; without it the encoder is left out.

mod decode_model;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ragtune::train::data::{Origin, Record};
use ragtune::train::encode::{Sequence, TextTuple};
use ragtune::train::memory::{Footprint, MemoryPlan};
use ragtune::train::objective::{EmbeddingRanking, LanguageModelling, Objective};
use ragtune::train::trainer::{Duration, TrainOptions, Trainer};
use ragtune::train::tuning::{Lora, Selection, Trainable, Tuning};
use ragtune_core::adapters::Targets;
use ragtune_core::device;
use ragtune_core::models::{CausalLm, Encoder};

use decode_model::Shape;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Large enough that weights, states and logits all weigh, and small enough to be done in seconds.
const SHAPE: Shape = Shape {
    hidden: 448,
    layers: 12,
    intermediate: 1216,
    heads: 7,
    kv_heads: 7,
    vocabulary: 16_384,
};

/// Model, method, texts of a batch, tokens of each, batches of a step, whether layers run again, whether it is evaluated.
type Configuration = (&'static str, &'static str, usize, usize, usize, bool, bool);

const CONFIGURATIONS: [Configuration; 24] = [
    ("llama", "full", 1, 128, 1, false, false),
    ("llama", "full", 4, 128, 1, false, false),
    ("llama", "full", 4, 256, 1, false, true),
    ("llama", "full", 8, 256, 1, false, false),
    ("llama", "full", 2, 256, 4, false, false),
    ("llama", "full", 8, 256, 1, true, false),
    ("llama", "full", 8, 256, 1, true, true),
    ("llama", "last:2", 4, 256, 1, false, false),
    ("llama", "last:6", 8, 256, 1, false, true),
    ("llama", "lora", 1, 128, 1, false, false),
    ("llama", "lora", 4, 256, 1, false, true),
    ("llama", "lora", 8, 256, 1, false, false),
    ("llama", "lora", 16, 256, 1, false, false),
    ("llama", "lora", 16, 256, 1, true, false),
    ("llama", "lora-all", 4, 256, 1, false, false),
    ("llama", "lora-all", 8, 512, 1, false, false),
    ("llama", "lora-all", 8, 512, 1, true, false),
    ("llama", "dora", 8, 256, 1, false, false),
    ("minilm", "full", 16, 64, 1, false, false),
    ("minilm", "full", 32, 128, 1, false, true),
    ("minilm", "full", 64, 128, 1, true, false),
    ("minilm", "last:2", 32, 128, 1, false, false),
    ("minilm", "lora", 16, 64, 1, false, false),
    ("minilm", "lora", 32, 128, 1, false, true),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(own) = arguments.iter().position(|argument| argument == "--own") {
        return match &arguments[own + 1..] {
            [folder, number, ..] => run(Path::new(folder), CONFIGURATIONS[number.parse::<usize>()?]),
            _ => Err("--own FOLDER NUMBER".into()),
        };
    }
    let temporary = tempfile::tempdir()?;
    let llama = temporary.path().join("llama");
    decode_model::write(&llama, SHAPE)?;
    let minilm =
        std::env::var_os("RAGTUNE_SHARED").map(|shared| Path::new(&shared).join("models/all-minilm-l6-v2"));
    println!(
        "| model | method | texts x tokens | batches | again | evaluated | foretold MB | measured MB | off by |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut worst: f64 = 0.0;
    for (number, configuration) in CONFIGURATIONS.into_iter().enumerate() {
        let (model, method, texts, tokens, batches, again, evaluated) = configuration;
        let folder = match (model, &minilm) {
            ("llama", _) => &llama,
            (_, Some(folder)) => folder,
            (_, None) => continue,
        };
        let output = Command::new(std::env::current_exe()?)
            .arg("--own")
            .arg(folder)
            .arg(number.to_string())
            .env("MALLOC_MMAP_THRESHOLD_", "131072") // as `finetune --memory` has it
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers: Vec<f64> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?;
        let [foretold, measured] = numbers[..] else {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        };
        let off = 100.0 * (foretold / measured - 1.0);
        worst = worst.max(off.abs());
        println!(
            "| {model} | {method} | {texts} x {tokens} | {batches} | {again} | {evaluated} | {:.0} | {:.0} | {off:+.1} % |",
            foretold / 1e6,
            measured / 1e6
        );
    }
    println!("\nfurthest off: {worst:.1} %");
    Ok(())
}

/// Two steps of a configuration; prints the foretold and the measured peak in bytes.
fn run(folder: &Path, configuration: Configuration) -> Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(2).build_global()?;
    let (model, method, texts, tokens, batches, ..) = configuration;
    let lora = |targets: Option<Targets>| {
        let lora = Lora::default().with_rank(8, 16.0);
        targets.map_or(lora.clone(), |targets| lora.with_targets(targets))
    };
    let tuning = match method {
        "full" => Tuning::Full,
        "lora" => Tuning::Lora(lora(None)),
        "lora-all" => Tuning::Lora(lora(Some(Targets::AllLinear))),
        "dora" => Tuning::Lora(lora(None).with_dora()),
        last => Tuning::Selective(Selection::last_layers(last.trim_start_matches("last:").parse()?)),
    };
    let device = device::cpu();
    let examples = 2 * texts * batches;
    if model == "minilm" {
        let text = |number: usize| {
            (0..tokens).map(move |index| 1000 + ((number * tokens + index) * 7919 % 20_000) as u32)
        };
        let pair = |number: usize| TextTuple {
            anchor: text(2 * number).collect(),
            positive: text(2 * number + 1).collect(),
            negatives: Vec::new(),
        };
        let task = EmbeddingRanking::new(Arc::new(Encoder::load(folder, &device)?));
        // A pair is two texts.
        return compare(
            &task,
            &records((0..examples / 2).map(pair)),
            &tuning,
            configuration,
            texts / 2,
        );
    }
    let text = |number: usize| Sequence {
        ids: (0..tokens)
            .map(|index| (((number * tokens + index) * 7919 + 13) % SHAPE.vocabulary) as u32)
            .collect(),
        trained: vec![true; tokens],
    };
    let task = LanguageModelling::new(Arc::new(CausalLm::load(folder, &device)?));
    compare(
        &task,
        &records((0..examples).map(text)),
        &tuning,
        configuration,
        texts,
    )
}

fn records<T>(values: impl Iterator<Item = T>) -> Vec<Record<T>> {
    let record = |(index, value)| Record {
        value,
        origin: Origin::in_memory(index),
    };
    values.enumerate().map(record).collect()
}

fn compare<O: Objective>(
    task: &O,
    examples: &[O::Example],
    tuning: &Tuning,
    (.., batches, again, evaluated): Configuration,
    batch: usize,
) -> Result<()> {
    let mut trainable = Trainable::new(task.base(), tuning, &task.heads(), 1)?;
    let options = TrainOptions::default()
        .with_duration(Duration::Steps(2))
        .with_batch(batch)
        .with_accumulation(batches)
        .with_gradient_checkpointing(again)
        .with_evaluate_every(1)
        .with_learning_rate(1e-5);
    let lengths: Vec<usize> = examples.iter().map(|example| task.tokens(example)).collect();
    let footprint = Footprint::of(task, examples).ok_or("the task does not say its widths")?;
    let resident = status("VmRSS")?;
    let valid = if evaluated { &examples[..batch] } else { &[] };
    let evaluated = &lengths[..valid.len()];
    let plan = MemoryPlan::new(resident, &footprint, &trainable, &options, &lengths, evaluated)?;
    let _ = fs::write("/proc/self/clear_refs", "5"); // the peak counts from here on
    Trainer::new(task, examples, options)
        .with_valid(valid)
        .run(tuning, &mut trainable)?;
    println!("{} {}", plan.peak, status("VmHWM")?);
    if std::env::var_os("RAGTUNE_PARTS").is_some() {
        eprintln!("{plan:?}");
    }
    Ok(())
}

/// A number of bytes out of /proc/self/status.
fn status(field: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .ok_or("no such field")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kilobytes * 1024)
}
