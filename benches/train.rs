//! Steps of training beside PyTorch: a llama of 135 million random weights in full and with LoRA, and MiniLM in full.
//!
//! `RAGTUNE_PYTHON=... RAGTUNE_MKL_PRELOAD=... RAGTUNE_SHARED=... cargo bench -p ragtune-benches --bench train`
//!
//! `RAGTUNE_PYTHON` names a Python with torch, transformers and peft; without it ragtune runs alone. `RAGTUNE_MKL_PRELOAD`
//! names a library that lets MKL take its fast path on processors that are not Intel's (benches/record says how it is
//! made). `RAGTUNE_SHARED` names a folder with models/all-minilm-l6-v2; without it MiniLM is left out. `RAGTUNE_WORKS`
//! (`full,lora-qv,lora-all,minilm`), `RAGTUNE_ROUNDS` (5), `RAGTUNE_DECODE_MODELS` (a folder in which the llama is kept).
//! Each engine is a process of its own; they take turns step by step. A step is forward, backward, clipping and AdamW.

mod decode_model;
mod peer;

use std::cell::Cell;
use std::error::Error;
use std::io::{BufRead, stdin};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use ragtune::train::data::{Origin, Record};
use ragtune::train::encode::{Sequence, TextTuple};
use ragtune::train::objective::{EmbeddingRanking, LanguageModelling, Objective};
use ragtune::train::trainer::{Control, Duration, TrainEvent, TrainOptions, Trainer};
use ragtune::train::tuning::{Lora, Trainable, Tuning};
use ragtune_core::adapters::Targets;
use ragtune_core::device;
use ragtune_core::models::{CausalLm, Encoder};

use peer::Peer;
use ragtune_benches::measure::{median, processor_seconds, setting, status};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
/// Seconds and processor seconds of a round.
type Round = (f64, f64);

/// Texts of a batch of the llama, and tokens of each.
const LLAMA: (usize, usize) = (4, 256);
/// Pairs of a batch of MiniLM, and tokens of each text.
const MINILM: (usize, usize) = (16, 128);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(own) = arguments.iter().position(|argument| argument == "--own") {
        return match &arguments[own + 1..] {
            [folder, threads, work, ..] => own_process(Path::new(folder), threads.parse()?, work),
            _ => Err("--own FOLDER THREADS WORK".into()),
        };
    }
    let threads = setting("RAGTUNE_THREADS").unwrap_or(2);
    let rounds = setting("RAGTUNE_ROUNDS").unwrap_or(5);
    let works = std::env::var("RAGTUNE_WORKS").unwrap_or_else(|_| "full,lora-qv,lora-all,minilm".to_owned());
    let temporary = tempfile::tempdir()?;
    let kept = std::env::var_os("RAGTUNE_DECODE_MODELS").map(PathBuf::from);
    let llama = kept.as_deref().unwrap_or(temporary.path()).join("f32");
    let minilm =
        std::env::var_os("RAGTUNE_SHARED").map(|shared| Path::new(&shared).join("models/all-minilm-l6-v2"));
    println!(
        "{threads} threads; seconds of a step, median of {rounds} alternating rounds, (best), [processor time]"
    );
    for work in works.split(',') {
        let folder = match (work, &minilm) {
            ("minilm", None) => {
                println!("minilm is left out: RAGTUNE_SHARED is not set");
                continue;
            }
            ("minilm", Some(folder)) => folder,
            _ => {
                decode_model::write(&llama, decode_model::Shape::SMOLLM2_135M)?;
                &llama
            }
        };
        let mut own = Command::new(std::env::current_exe()?);
        own.arg("--own").arg(folder).args([&threads.to_string(), work]);
        let mut engines = vec![Peer::start("ragtune", own)?];
        engines.extend(Peer::all("train_peer.py", folder, threads, &[work])?);
        let mut times: Vec<Vec<Round>> = vec![Vec::new(); engines.len()];
        for round in 0..=rounds {
            for (engine, times) in engines.iter_mut().zip(&mut times) {
                let measured = engine.run("step", 1)?;
                if round > 0 {
                    times.push(measured); // the first warms all up
                }
            }
        }
        println!("\n## {work}\n");
        for engine in &engines {
            println!("{}: {}", engine.name, engine.version);
        }
        println!("\n| engine | s a step | speed, the last = 1 | peak MB | of it before the model |");
        println!("|---|---|---|---|---|");
        let reference = times
            .last()
            .map_or(f64::NAN, |times| median(times.iter().map(|round| round.0)));
        for (engine, times) in engines.iter_mut().zip(&times) {
            let (peak, before) = engine.run("peak", 0)?;
            let wall = || times.iter().map(|round| round.0);
            println!(
                "| {} | {:.3} ({:.3}) [{:.3}] | {:.2} | {peak:.0} | {before:.0} |",
                engine.name,
                median(wall()),
                wall().fold(f64::INFINITY, f64::min),
                median(times.iter().map(|round| round.1)),
                reference / median(wall()),
            );
        }
    }
    Ok(())
}

/// Does as a peer does: a step for every line, then its time.
fn own_process(folder: &Path, threads: usize, work: &str) -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let before = status("VmRSS").unwrap_or(0);
    let device = device::cpu();
    let lora = |targets: Targets| Tuning::Lora(Lora::default().with_rank(8, 16.0).with_targets(targets));
    let names = |names: &[&str]| Targets::Names(names.iter().map(|name| (*name).to_owned()).collect());
    let tuning = match work {
        "full" | "minilm" => Tuning::Full,
        "lora-qv" => lora(names(&["q_proj", "v_proj"])),
        "lora-all" => lora(Targets::AllLinear),
        other => return Err(format!("no work {other}").into()),
    };
    println!("{}", env!("CARGO_PKG_VERSION"));
    if work == "minilm" {
        let (pairs, tokens) = MINILM;
        let text = |number: usize| {
            (0..tokens).map(move |index| 1000 + ((number * tokens + index) * 7919 % 20_000) as u32)
        };
        let pair = |number: usize| TextTuple {
            anchor: text(2 * number).collect(),
            positive: text(2 * number + 1).collect(),
            negatives: Vec::new(),
        };
        let task = EmbeddingRanking::new(Arc::new(Encoder::load(folder, &device)?));
        return answer(&task, &records((0..pairs).map(pair)), &tuning, before);
    }
    let (texts, tokens) = LLAMA;
    let text = |number: usize| Sequence {
        ids: (0..tokens)
            .map(|index| (((number * tokens + index) * 7919 + 13) % decode_model::VOCABULARY) as u32)
            .collect(),
        trained: vec![true; tokens],
    };
    let task = LanguageModelling::new(Arc::new(CausalLm::load(folder, &device)?));
    answer(&task, &records((0..texts).map(text)), &tuning, before)
}

fn records<T>(values: impl Iterator<Item = T>) -> Vec<Record<T>> {
    let record = |(index, value)| Record {
        value,
        origin: Origin::in_memory(index),
    };
    values.enumerate().map(record).collect()
}

/// Trains for ever on one batch; between two steps it waits for the next line.
fn answer<O: Objective>(task: &O, examples: &[O::Example], tuning: &Tuning, before: u64) -> Result<()> {
    let mut trainable = Trainable::new(task.base(), tuning, &task.heads(), 1)?;
    let options = TrainOptions::default()
        .with_duration(Duration::Steps(1_000_000))
        .with_batch(examples.len())
        .with_learning_rate(1e-5);
    let control = Control::new();
    let elsewhere = control.clone();
    let since = Cell::new((Instant::now(), 0.0));
    // Answers lines that ask for no step; whether a step is wanted.
    let wait = move || {
        for line in stdin().lock().lines().map_while(std::io::Result::ok) {
            if line.contains("\"step\"") {
                return true;
            }
            println!(
                "{} {}",
                status("VmHWM").unwrap_or(0) as f64 / 1e3,
                before as f64 / 1e3
            );
        }
        elsewhere.cancel();
        false
    };
    let observer = |event: &TrainEvent<'_>| {
        if let TrainEvent::Stepped { .. } = event {
            let (start, processor) = since.get();
            println!(
                "{} {}",
                start.elapsed().as_secs_f64(),
                processor_seconds() - processor
            );
        }
        if matches!(event, TrainEvent::Started { .. } | TrainEvent::Stepped { .. }) && wait() {
            since.set((Instant::now(), processor_seconds()));
        }
    };
    Trainer::new(task, examples, options)
        .with_control(control)
        .with_observer(observer)
        .run(tuning, &mut trainable)?;
    Ok(())
}
