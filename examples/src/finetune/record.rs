//! What a run leaves for the example `runs` to list and compare.

use std::error::Error;

use ragtune::experiment::Experiment;
use ragtune::train::objective::Scores;
use serde_json::{Map, Value, json};

use super::args::Args;
use super::result::Finished;
use crate::Outcome;

/// A record that begins now.
#[must_use]
pub fn start(args: &Args) -> Experiment {
    let name = args.out.file_name().unwrap_or_default().to_string_lossy();
    Experiment::start("finetune", name).with_seed(args.seed)
}

/// Writes the record into the folder of the result.
///
/// # Errors
/// Data that cannot be read any more, and a folder that cannot be written.
pub fn save(mut run: Experiment, args: &Args, found: &Finished) -> Outcome {
    let files = [Some(&args.data), args.valid.as_ref(), args.test.as_ref()];
    for file in files.into_iter().flatten() {
        run.read_data(file)?;
    }
    let settings: Map<String, Value> = found.settings.iter().cloned().collect();
    run.configure(&json!({
        "task": found.task,
        "method": found.method,
        "base_model": found.base_model,
        "settings": settings,
    }))?;
    for (set, scores) in [("valid", &found.valid), ("test", &found.test)] {
        for (name, value) in scores.iter().flat_map(Scores::iter) {
            number(&mut run, &format!("{set} {name}"), value);
        }
    }
    number(&mut run, "steps", found.steps as f64);
    number(&mut run, "trainable", found.trainable as f64);
    number(&mut run, "train_seconds", found.took.seconds);
    if let Some(bytes) = found.took.peak_bytes {
        number(&mut run, "peak_bytes", bytes as f64);
    }
    run.finish().save(&args.out).map_err(Box::<dyn Error>::from)
}

/// JSON has no number for what is infinite or none.
fn number(run: &mut Experiment, name: &str, value: f64) {
    if value.is_finite() {
        run.set(name, value);
    } else {
        run.note(format!("{name} is {value}"));
    }
}
