//! The encoder on the pairs.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ragtune::Encoder;
use ragtune::core::adapters::AdapterStack;
use ragtune::core::device;
use ragtune::core::weights::FloatType;
use ragtune::train::data::{Dataset, Pair};
use ragtune::train::encode::{self, Overflow};
use ragtune::train::objective::{EmbeddingRanking, Objective};
use ragtune::train::optimiser::Decay;
use ragtune::train::trainer::{Duration, TrainEvent, TrainOptions, Trainer};
use ragtune::train::tuning::Trainable;
use serde::{Deserialize, Serialize};

use super::args::Args;
use crate::finetune::Progress;
use crate::{kept, output};

/// Share of the steps in which the rate rises.
const WARMUP: f64 = 0.1;
/// Steps between two states from which a killed run goes on.
const SAVE_EVERY: usize = 50;

/// A tuned encoder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tuned {
    pub folder: PathBuf,
    pub steps: usize,
    pub seconds: f64,
    pub trainable: usize,
    /// The loss of the first and of the last tenth of the steps.
    pub loss: (f64, f64),
}

/// The file that says that the encoder is tuned.
pub fn file(args: &Args) -> PathBuf {
    args.out.join("training.json")
}

/// Tunes the encoder of a folder, and writes it into another; goes on where a process before was killed.
///
/// # Errors
/// Those of training.
pub fn train(args: &Args, encoder: &Path, pairs: &Dataset<Pair>) -> Result<Tuned, Box<dyn Error>> {
    let folder = args.out.join("model");
    let mut model = Encoder::load(encoder, &device::cpu())?;
    if let Some(max_tokens) = args.max_tokens {
        model = model.with_max_seq_length(max_tokens)?;
    }
    let model = Arc::new(model);
    let encoded = encode::pairs(&model, pairs, Overflow::Truncate)?;
    output::note!("{}", encoded.report);
    let task = EmbeddingRanking::new(Arc::clone(&model));
    let (tuning, rate) = args.tuning();
    let mut trainable = Trainable::new(task.base(), &tuning, &task.heads(), args.seed)?;
    output::note!("{trainable}");
    let options = TrainOptions::default()
        .with_duration(Duration::Epochs(args.epochs))
        .with_batch(args.batch)
        .with_schedule(WARMUP, Decay::Linear)
        .with_learning_rate(rate)
        .with_save_every(SAVE_EVERY)
        .with_seed(args.seed);
    let (state, spent) = (args.out.join("state"), args.out.join("training-seconds.json"));
    let before: f64 = kept::find(&spent)?.unwrap_or_default();
    let started = Instant::now();
    let seconds = || before + started.elapsed().as_secs_f64();
    let bar = Progress::new(args.json);
    let mut kept = Ok(());
    let report = Trainer::new(&task, &encoded.items, options)
        .with_folder(&state)
        .with_resume(true)
        .with_observer(|event| {
            bar.show(event);
            if matches!(event, TrainEvent::Saved { .. }) && kept.is_ok() {
                kept = kept::write(&spent, &seconds());
            }
        })
        .run(&tuning, &mut trainable)?;
    bar.finish();
    kept?;
    let seconds = seconds();
    let set = trainable.adapters(task.base())?;
    let stack = AdapterStack::base().with(Arc::new(set.mergeable()), 1.0);
    // What was cut in training is no limit of the result.
    let whole = args
        .max_tokens
        .map(|_| Encoder::load(encoder, &device::cpu()))
        .transpose()?;
    let whole = whole.as_ref().unwrap_or(&model);
    let partial = folder.with_extension("partial");
    for leftover in [&partial, &folder] {
        if leftover.exists() {
            fs::remove_dir_all(leftover)?;
        }
    }
    whole.save(&partial, &stack, FloatType::F32)?;
    fs::rename(&partial, &folder)?;
    let losses: Vec<f64> = report.history.steps.iter().map(|step| step.loss).collect();
    let part = losses.len().div_ceil(10).max(1);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let tuned = Tuned {
        folder,
        steps: report.steps,
        seconds,
        trainable: trainable.count(),
        loss: (
            mean(&losses[..part.min(losses.len())]),
            mean(&losses[losses.len().saturating_sub(part)..]),
        ),
    };
    kept::write(&file(args), &tuned)?;
    // The state has served: the model is there.
    fs::remove_dir_all(&state)?;
    fs::remove_file(&spent)?;
    Ok(tuned)
}
