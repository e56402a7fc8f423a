//! What a run came to: for people, and as the one object of `--json`.

use std::path::PathBuf;

use ragtune::train::objective::Scores;
use serde_json::{Map, Value, json};

use super::memory::megabytes;
use super::spent::Took;
use super::words::count;
use crate::{Outcome, output};

/// How a task ended.
pub enum Ended {
    /// It was only planned; with `refused` because of what the doctor found.
    Planned { object: Value, refused: Option<String> },
    /// It was run.
    Finished(Box<Finished>),
}

/// What a run came to.
pub struct Finished {
    pub task: String,
    pub method: String,
    /// Trained weights, and those of the model.
    pub trainable: usize,
    pub total: usize,
    pub steps: usize,
    pub epochs: f64,
    /// Whether other processes did all of it.
    pub before: bool,
    /// Over all processes.
    pub took: Took,
    pub predicted_peak: Option<u64>,
    /// The step of the best evaluation, and its score.
    pub best: Option<(usize, f64)>,
    pub valid: Option<Scores>,
    pub test: Option<Scores>,
    pub data: Vec<SetNumbers>,
    /// Names and values, in order.
    pub settings: Vec<(String, Value)>,
    pub seed: u64,
    pub base_model: String,
    pub findings: Value,
    pub search: Option<Value>,
    pub curves: PathBuf,
    pub written: Vec<PathBuf>,
    /// The line that loads the result.
    pub loads: String,
}

/// A set of examples in numbers.
#[derive(Clone, Debug)]
pub struct SetNumbers {
    pub set: &'static str,
    /// Its file, or what it is of one.
    pub source: String,
    pub fingerprint: String,
    /// Examples as the task counts them: questions, and not their windows.
    pub examples: usize,
    /// Sequences or windows that they became.
    pub items: usize,
    /// Examples that were cut.
    pub cut: usize,
    /// Examples that were left out.
    pub left_out: usize,
    /// Questions whose answer no window shows as a whole: left out of what is learned, and not found where it is measured.
    pub in_no_window: usize,
}

/// Scores as JSON, which has no number for what is infinite or none; [`unwritable`] says why one is null.
#[must_use]
pub fn numbers(scores: Option<&Scores>) -> Value {
    let Some(scores) = scores else {
        return Value::Null;
    };
    let values = scores.iter().map(|(name, value)| (name.to_owned(), json!(value)));
    Value::Object(values.collect())
}

/// The reasons of scores that are null.
fn unwritable(set: &str, scores: Option<&Scores>) -> Vec<String> {
    let scores = scores.into_iter().flat_map(Scores::iter);
    scores
        .filter(|(_, value)| !value.is_finite())
        .map(|(name, value)| match value.is_nan() {
            true => format!("{set} {name} is no number: the model's outputs are none"),
            false => format!(
                "{set} {name} is larger than numbers go, because the loss is that high; null stands for it"
            ),
        })
        .collect()
}

impl Finished {
    /// The one object of `--json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let data: Vec<Value> = self.data.iter().map(SetNumbers::to_json).collect();
        let settings: Map<String, Value> = self.settings.iter().cloned().collect();
        let mut notes = unwritable("valid", self.valid.as_ref());
        notes.extend(unwritable("test", self.test.as_ref()));
        let mut object = json!({
            "task": self.task,
            "method": self.method,
            "base_model": self.base_model,
            "trainable": self.trainable,
            "total": self.total,
            "steps": self.steps,
            "epochs": self.epochs,
            "seconds": self.took.seconds,
            "peak_bytes": self.took.peak_bytes,
            "predicted_peak_bytes": self.predicted_peak,
            "finished_before": self.before,
            "best": self.best.map(|(step, score)| json!({"step": step, "score": score})),
            "valid": numbers(self.valid.as_ref()),
            "test": numbers(self.test.as_ref()),
            "notes": notes,
            "data": data,
            "settings": settings,
            "seed": self.seed,
            "version": env!("CARGO_PKG_VERSION"),
            "findings": self.findings,
            "out": self.written.first().map(|path| path.to_string_lossy()),
        });
        if let (Some(search), Some(object)) = (&self.search, object.as_object_mut()) {
            object.insert("search".to_owned(), search.clone());
        }
        object
    }

    /// What people read.
    ///
    /// # Errors
    /// As [`output::line()`].
    pub fn print(&self) -> Outcome {
        let peak = self.took.peak_bytes;
        output::line(format_args!(
            "{} in {:.1} s{}{}",
            count(self.steps, "step"),
            self.took.seconds,
            peak.map(|peak| format!(", peak of memory {}", megabytes(peak)))
                .unwrap_or_default(),
            if self.before { ", all of them before" } else { "" },
        ))?;
        if let Some((step, score)) = self.best {
            output::line(format_args!("best validation behind step {step}: {score:.4}"))?;
        }
        for (name, scores) in [("valid", &self.valid), ("test", &self.test)] {
            let Some(scores) = scores else { continue };
            let counts = self.data.iter().find(|set| set.set.starts_with(name));
            output::line(format_args!(
                "{name}: {scores}{}",
                counts.map(SetNumbers::of).unwrap_or_default()
            ))?;
        }
        output::line(format_args!("curves: {}", self.curves.display()))?;
        for result in &self.written {
            output::line(format_args!("result: {}", result.display()))?;
        }
        output::line(format_args!("load it: {}", self.loads))
    }
}

impl SetNumbers {
    fn to_json(&self) -> Value {
        json!({
            "set": self.set,
            "source": self.source,
            "blake3": self.fingerprint,
            "examples": self.examples,
            "items": self.items,
            "cut": self.cut,
            "left_out": self.left_out,
            "answer_in_no_window": self.in_no_window,
        })
    }

    /// What scores of the set are of.
    fn of(&self) -> String {
        let examples = self.examples - self.left_out.min(self.examples);
        let mut of = format!(" (of {}", count(examples, "example"));
        let counts = [
            (self.left_out, "left out"),
            (self.cut, "cut"),
            (
                self.in_no_window,
                "whose answer is in no window and counts as not found",
            ),
        ];
        for (number, what) in counts {
            if number > 0 {
                of += &format!(", {number} {what}");
            }
        }
        of + ")"
    }
}
