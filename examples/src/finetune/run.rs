//! The run itself, whatever the task.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use ragtune::core::adapters::{AdapterSet, AdapterStack};
use ragtune::train::objective::{Objective, Scores};
use ragtune::train::report::{CardMetric, CardRun, Curves, ModelCard};
use ragtune::train::search::SearchReport;
use ragtune::train::trainer::{TrainEvent, TrainReport, Trainer};
use ragtune::train::tuning::{Trainable, Tuning};
use serde_json::{Map, Value, json};

use super::args::Args;
use super::memory;
use super::search::search;
use crate::{Outcome, output};

/// Everything that a task brings to its run.
pub struct Prepared<O: Objective> {
    pub objective: O,
    pub train: Vec<O::Example>,
    pub valid: Vec<O::Example>,
    pub test: Vec<O::Example>,
    /// What became of the data on the way, a line each.
    pub notes: Vec<String>,
    /// Writes the tuned model into a folder that does not exist yet.
    pub save: Save<O>,
    /// The line that loads the result, where OUT stands for its folder.
    pub loads: fn(&Args) -> String,
    /// Whether the model with an adapter in it is written as well: it is small, and has the head and its labels.
    pub merges: bool,
}

/// Writes what was learned into a folder: in PEFT's form where the method is an adapter, or the model with it.
pub type Save<O> = fn(&Args, &O, &AdapterSet, Form, &Path) -> Outcome;

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// PEFT's two files, beside an unchanged base.
    Adapter,
    /// A folder of its own.
    Model,
}

/// Trains, evaluates, saves and reports.
pub fn run<O: Objective>(args: &Args, prepared: Prepared<O>) -> Outcome {
    let Prepared {
        objective,
        train,
        valid,
        test,
        notes,
        save,
        loads,
        merges,
    } = prepared;
    for note in &notes {
        args.say(note)?;
    }
    let started = Instant::now();
    let searched = match args.search {
        Some(size) if !args.plan => Some(search(args, size, &objective, &train, &valid)?),
        _ => None,
    };
    // The best settings are the settings from here on.
    let args = searched.as_ref().map_or(args, |searched| &searched.args);
    let tuning = &args.tuning();
    let heads = objective.heads();
    let mut trainable = Trainable::new(objective.base(), tuning, &heads, args.seed)?
        .with_head_rate(&heads, args.head_ratio())?;
    args.say(&trainable.to_string())?;
    let (options, plan) = memory::plan(args, &objective, &trainable, &train, !valid.is_empty())?;
    if let Some(plan) = &plan {
        args.say(&format!("memory: {plan}"))?;
    }
    let predicted = plan.map(|plan| plan.peak);
    if args.plan {
        return match args.json {
            true => output::json(&json!({
                "task": args.task.to_string(), "method": args.method.to_string(),
                "trainable": trainable.count(), "total": trainable.total(),
                "predicted_peak_bytes": predicted,
            })),
            false => Ok(()),
        };
    }
    let forms: &[Form] = match (is_adapter(tuning), merges) {
        (true, true) => &[Form::Adapter, Form::Model],
        (true, false) => &[Form::Adapter],
        (false, _) => &[Form::Model],
    };
    for result in forms.iter().map(|form| form.folder(args)) {
        if result.exists() {
            return Err(format!("{} exists; name another --out, or remove it", result.display()).into());
        }
    }
    let state = match &searched {
        Some(searched) => searched.state.clone(),
        None => args.out.join("state"),
    };
    if state.exists() && !args.resume {
        return Err(format!(
            "{} has the state of a run; go on with it by --resume, or name another --out",
            state.display()
        )
        .into());
    }
    // 1. The run.
    let bar = Bar::new(args.json);
    let report = Trainer::new(&objective, &train, options)
        .with_valid(&valid)
        .with_folder(&state)
        .with_resume(args.resume)
        .with_observer(|event| bar.show(event))
        .run(tuning, &mut trainable)?;
    bar.finish();
    let seconds = started.elapsed().as_secs_f64();
    // 2. The scores.
    let set = trainable.adapters(objective.base())?;
    let adapters = AdapterStack::base().with(Arc::new(set.clone()), 1.0);
    let scores = |examples: &[O::Example]| -> Result<Option<Scores>, Box<dyn std::error::Error>> {
        match examples.is_empty() {
            true => Ok(None),
            false => Ok(Some(objective.evaluate(examples, &adapters)?)),
        }
    };
    let (valid_scores, test_scores) = (scores(&valid)?, scores(&test)?);
    if let Some(file) = &args.predictions {
        let mut shown = objective.predictions(&test, &adapters)?;
        if shown.len() == test.len() {
            for (one, example) in shown.iter_mut().zip(&test) {
                if let (Some(one), Some(origin)) = (one.as_object_mut(), objective.origin(example)) {
                    one.insert("line".to_owned(), json!(origin.line));
                }
            }
        }
        predictions(file, &shown)?;
    }
    // 3. The files.
    fs::create_dir_all(&args.out)?;
    let loads = match merges && !set.is_mergeable() {
        // The model has the head and its labels; the bottlenecks stand beside it.
        true => format!(
            "{} // and beside it AdapterSet::load({:?}, &model)?",
            loads(args),
            Form::Adapter.folder(args).display().to_string()
        ),
        false => loads(args),
    };
    let curves = args.out.join("curves");
    Curves::new(&report.history).write(&curves)?;
    let peak = memory::peak();
    let found = Found {
        report: &report,
        trainable: &trainable,
        valid: valid_scores.as_ref(),
        test: test_scores.as_ref(),
        seconds,
        peak,
        predicted,
        search: searched.as_ref().map(|searched| &searched.report),
    };
    let card = card(args, tuning, &found, &loads, train.len());
    // Under another name until it is whole, the last one first: a run that ends here writes all of it again.
    for form in forms.iter().rev() {
        let result = form.folder(args);
        let partial = result.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        save(args, &objective, &set, *form, &partial)?;
        card.write(&partial)?;
        fs::rename(&partial, &result)?;
    }
    let written: Vec<_> = forms.iter().map(|form| form.folder(args)).collect();
    print(args, &found, &written, &curves, &loads)
}

impl Form {
    fn folder(self, args: &Args) -> PathBuf {
        args.out.join(match self {
            Self::Adapter => "adapter",
            Self::Model => "model",
        })
    }
}

/// Whether the result is an adapter beside the base, and not a model of its own.
pub fn is_adapter(tuning: &Tuning) -> bool {
    !matches!(tuning, Tuning::Full | Tuning::Selective(_) | Tuning::Head)
}

/// What a run came to.
struct Found<'a> {
    report: &'a TrainReport,
    trainable: &'a Trainable,
    valid: Option<&'a Scores>,
    test: Option<&'a Scores>,
    seconds: f64,
    peak: Option<u64>,
    predicted: Option<u64>,
    search: Option<&'a SearchReport>,
}

fn print(args: &Args, found: &Found<'_>, written: &[PathBuf], curves: &Path, loads: &str) -> Outcome {
    let numbers = |scores: Option<&Scores>| -> Value {
        let values = scores.map(|scores| {
            scores
                .iter()
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect()
        });
        values.map_or(Value::Null, |values: Map<String, Value>| Value::Object(values))
    };
    if args.json {
        let mut object = json!({
            "task": args.task.to_string(),
            "method": args.method.to_string(),
            "trainable": found.trainable.count(),
            "total": found.trainable.total(),
            "steps": found.report.steps,
            "seconds": found.seconds,
            "peak_bytes": found.peak,
            "predicted_peak_bytes": found.predicted,
            "valid": numbers(found.valid),
            "test": numbers(found.test),
            "out": written[0].display().to_string(),
        });
        if let (Some(report), Some(object)) = (found.search, object.as_object_mut()) {
            object.insert("search".to_owned(), report.to_json());
        }
        return output::json(&object);
    }
    output::line(format_args!(
        "{} steps in {:.1} s{}",
        found.report.steps,
        found.seconds,
        found
            .peak
            .map(|peak| format!(", peak of memory {}", memory::megabytes(peak)))
            .unwrap_or_default()
    ))?;
    if let Some((step, score)) = found.report.best {
        output::line(format_args!("best validation behind step {step}: {score:.4}"))?;
    }
    for (name, scores) in [("valid", found.valid), ("test", found.test)] {
        if let Some(scores) = scores {
            output::line(format_args!("{name}: {scores}"))?;
        }
    }
    output::line(format_args!("curves: {}", curves.display()))?;
    for result in written {
        output::line(format_args!("result: {}", result.display()))?;
    }
    // The last is the model, where there is one.
    let result = written
        .last()
        .map_or_else(String::new, |result| result.display().to_string());
    output::line(format_args!("load it: {}", loads.replace("OUT", &result)))
}

/// Writes what was predicted, a JSON line each.
fn predictions(file: &Path, predictions: &[Value]) -> Outcome {
    let lines: String = predictions.iter().map(|one| format!("{one}\n")).collect();
    let written = fs::File::create_new(file).and_then(|mut file| file.write_all(lines.as_bytes()));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(())
}

fn card(args: &Args, tuning: &Tuning, found: &Found<'_>, loads: &str, examples: usize) -> ModelCard {
    let name = args
        .out
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let mut card = ModelCard::new(name.unwrap_or_default(), &args.model, tuning.name())
        .with_seed(args.seed)
        .with_setting("task", args.task)
        .with_setting("examples", examples)
        .with_run(CardRun {
            trainable: found.trainable.count() as u64,
            total: found.trainable.total() as u64,
            steps: found.report.steps,
            epochs: found.report.history.steps.last().map_or(0.0, |step| step.epoch),
            seconds: found.seconds,
            peak_bytes: found.peak,
        })
        .with_snippet("rust", loads.replace("OUT", "."));
    if let Value::Object(settings) = tuning.to_json() {
        // The card names the method itself.
        let shown = |(name, value): &(String, Value)| name != "method" && !value.is_null();
        for (name, value) in settings.into_iter().filter(shown) {
            card = card.with_setting(name, value);
        }
    }
    for (split, scores) in [("validation", found.valid), ("test", found.test)] {
        for (name, value) in scores.into_iter().flat_map(Scores::iter) {
            card = card.with_metric(CardMetric::new(split, name, value));
        }
    }
    card
}

/// A bar with the loss, the speed and the time that is left.
pub struct Bar {
    bar: ProgressBar,
    loss: Cell<Option<f64>>,
    scores: RefCell<Option<String>>,
    since: Cell<Option<Instant>>,
    tokens: Cell<usize>,
}

impl Bar {
    pub fn new(hidden: bool) -> Self {
        let bar = if hidden {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(0)
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} left") {
            bar.set_style(style);
        }
        Self {
            bar,
            loss: Cell::new(None),
            scores: RefCell::new(None),
            since: Cell::new(None),
            tokens: Cell::new(0),
        }
    }

    pub fn show(&self, event: &TrainEvent<'_>) {
        match event {
            TrainEvent::Started { done, steps, .. } => {
                self.bar.set_length(*steps as u64);
                self.bar.set_position(*done as u64);
                self.bar.reset_eta();
                self.since.set(Some(Instant::now()));
            }
            TrainEvent::Stepped { step, .. } => {
                // A mean over about twenty steps: single ones jump.
                let mean = self
                    .loss
                    .get()
                    .map_or(step.loss, |mean| 0.95 * mean + 0.05 * step.loss);
                self.loss.set(Some(mean));
                self.tokens.set(self.tokens.get() + step.tokens);
                let seconds = self
                    .since
                    .get()
                    .map_or(0.0, |since| since.elapsed().as_secs_f64());
                let speed = self.tokens.get() as f64 / seconds.max(1e-9);
                let scores = self.scores.borrow();
                let scores = scores
                    .as_ref()
                    .map(|scores| format!(", {scores}"))
                    .unwrap_or_default();
                self.bar.set_position(step.number as u64);
                self.bar
                    .set_message(format!("loss {mean:.4}{scores}, {speed:.0} tokens/s"));
            }
            TrainEvent::Evaluated { evaluation, .. } => {
                let first = evaluation
                    .scores
                    .iter()
                    .next()
                    .map(|(name, value)| format!("{name} {value:.4}"));
                *self.scores.borrow_mut() = first;
            }
            _ => {}
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
