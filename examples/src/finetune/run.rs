//! The run itself, whatever the task.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ragtune::core::adapters::{AdapterSet, AdapterStack};
use ragtune::train::doctor::Diagnosis;
use ragtune::train::encode::EncodeReport;
use ragtune::train::objective::{Objective, Scores};
use ragtune::train::report::Curves;
use ragtune::train::trainer::{Control, Outcome as RunOutcome, TrainEvent, TrainReport, Trainer};
use ragtune::train::tuning::{Trainable, Tuning};
use serde_json::{Value, json};

use super::args::Args;
use super::card::{card, in_python, settings};
use super::data::{Sources, refusal};
use super::files;
use super::interrupt::{self, Interrupted, while_training};
use super::memory;
use super::progress::Progress;
use super::record;
use super::result::{Ended, Finished};
use super::search::search;
use super::spent::Spent;
use super::words::count;
use crate::{Outcome, claim};

/// Everything that a task brings to its run.
pub struct Prepared<O: Objective> {
    pub objective: O,
    pub train: Part<O::Example>,
    pub valid: Part<O::Example>,
    pub test: Part<O::Example>,
    pub sources: Sources,
    pub diagnosis: Diagnosis,
    /// Writes the tuned model into a folder that does not exist yet.
    pub save: Save<O>,
    /// The line that loads the result, where OUT stands for its folder.
    pub loads: fn(&Args) -> String,
    /// Whether the model with an adapter in it is written as well: it is small, and has the head and its labels.
    pub merges: bool,
}

/// A set, ready to be computed.
pub struct Part<E> {
    pub examples: Vec<E>,
    /// What became of the records on the way.
    pub report: EncodeReport,
}

impl<E> Default for Part<E> {
    fn default() -> Self {
        Self {
            examples: Vec::new(),
            report: EncodeReport::default(),
        }
    }
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
pub fn run<O: Objective>(args: &Args, prepared: Prepared<O>) -> Result<Ended, Box<dyn Error>> {
    let Prepared {
        objective,
        train,
        valid,
        test,
        sources,
        diagnosis,
        save,
        loads,
        merges,
    } = prepared;
    let data = sources.numbers([&train.report, &valid.report, &test.report]);
    let (train, valid, test) = (train.examples, valid.examples, test.examples);
    if !args.plan {
        // A run leaves one of these before anything else.
        let is_run = || {
            ["spent.json", "state", "search"]
                .iter()
                .any(|name| args.out.join(name).exists())
        };
        claim::holds_only(&args.out, "a fine-tuning", is_run)?;
    }
    let spent = Spent::begin(&args.out, args.resume);
    let record = record::start(args);
    let searched = match args.search {
        Some(size) if !args.plan => Some(search(args, size, &objective, &train, &valid, &spent)?),
        _ => None,
    };
    let goes_on = args.resume;
    // The best settings are the settings from here on, and its run goes on from the state that the search left.
    let args = searched.as_ref().map_or(args, |searched| &searched.args);
    let tuning = &args.tuning();
    let heads = objective.heads();
    let mut trainable = Trainable::new(objective.base(), tuning, &heads, args.seed)?
        .with_head_rate(&heads, args.head_ratio())?;
    args.say(&trainable.to_string())?;
    let (options, plan) = memory::plan(args, &objective, &trainable, &train, &valid)?;
    if let Some(plan) = &plan {
        args.say(&format!("memory: {plan}"))?;
    }
    let predicted_peak = plan.map(|plan| plan.peak);
    if args.plan {
        let object = json!({
            "task": args.task.to_string(), "method": args.method.to_string(),
            "trainable": trainable.count(), "total": trainable.total(),
            "predicted_peak_bytes": predicted_peak,
            "findings": &diagnosis.findings,
        });
        let refused = refusal(args, &diagnosis);
        return Ok(Ended::Planned { object, refused });
    }
    let forms: &[Form] = match (is_adapter(tuning), merges) {
        (true, true) => &[Form::Adapter, Form::Model],
        (true, false) => &[Form::Adapter],
        (false, _) => &[Form::Model],
    };
    let state = match &searched {
        Some(searched) => searched.state.clone(),
        None => args.out.join("state"),
    };
    let before = stands(args, goes_on, forms, &state)?;
    if before {
        spent.is_over();
    }
    // 1. The run.
    let progress = Progress::new(args.json);
    let control = Control::new();
    let trainer = Trainer::new(&objective, &train, options.clone())
        .with_valid(&valid)
        .with_folder(&state)
        .with_resume(args.resume)
        .with_control(control.clone())
        .with_observer(|event| {
            progress.show(event);
            interrupt::heed(&control);
            if matches!(event, TrainEvent::Saved { .. }) {
                spent.keep();
            }
        });
    let report = while_training(|| trainer.run(tuning, &mut trainable));
    progress.finish();
    let report: TrainReport = report?;
    // Said only now that the trainer has found the settings to be those of the run.
    if before {
        args.say(&format!(
            "the run in {} is finished; this is its result",
            args.out.display()
        ))?;
    }
    if report.outcome == RunOutcome::Cancelled {
        spent.keep();
        let done = count(report.steps, "step");
        return Err(Box::new(Interrupted { done, state }));
    }
    // 2. The scores.
    let set = trainable.adapters(objective.base())?;
    let adapters = AdapterStack::base().with(Arc::new(set.clone()), 1.0);
    let scores = |examples: &[O::Example]| -> Result<Option<Scores>, Box<dyn Error>> {
        match examples.is_empty() {
            true => Ok(None),
            false => Ok(Some(objective.evaluate(examples, &adapters)?)),
        }
    };
    let valid_scores = scores(&valid)?;
    let test_scores = match &args.predictions {
        // Only where the run went on.
        Some(file) if file.exists() => {
            args.say(&format!(
                "{} is there already, and stays as it is",
                file.display()
            ))?;
            scores(&test)?
        }
        Some(file) if !test.is_empty() => {
            let (scores, predictions) = objective.evaluate_and_predict(&test, &adapters)?;
            write_predictions(file, &with_origins(&objective, &test, predictions))?;
            Some(scores)
        }
        _ => scores(&test)?,
    };
    // 3. The files.
    fs::create_dir_all(&args.out)?;
    let folders: Vec<PathBuf> = forms.iter().map(|form| form.folder(args)).collect();
    // The last is the model, where there is one.
    let shown = folders
        .last()
        .map_or_else(String::new, |folder| folder.display().to_string());
    let mut loads = loads(args).replace("OUT", &shown);
    if merges && !set.is_mergeable() {
        // The model has the head and its labels; the bottlenecks stand beside it.
        let adapter = Form::Adapter.folder(args).display().to_string();
        loads += &format!(" // and beside it AdapterSet::load({adapter:?}, &model)?");
    }
    let curves = args.out.join("curves");
    Curves::new(&report.history).write(&curves)?;
    let mut found = Finished {
        task: args.task.to_string(),
        method: args.method.to_string(),
        trainable: trainable.count(),
        total: trainable.total(),
        steps: report.steps,
        epochs: report.history.steps.last().map_or(0.0, |step| step.epoch),
        before,
        took: spent.now(),
        predicted_peak,
        best: report.best.filter(|_| options.keep_best),
        valid: valid_scores,
        test: test_scores,
        data,
        settings: settings(args, tuning, &options, report.steps),
        seed: args.seed,
        base_model: base_model(args),
        findings: serde_json::to_value(&diagnosis.findings)?,
        search: searched.as_ref().map(|searched| searched.report.to_json()),
        curves,
        written: folders,
        loads,
    };
    let notes: Vec<String> = diagnosis
        .findings
        .iter()
        .map(|finding| finding.to_string())
        .collect();
    // Under another name until it is whole, the last one first: a run that ends here writes all of it again.
    for form in forms.iter().rev().filter(|_| !before) {
        let result = form.folder(args);
        let partial = result.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        save(args, &objective, &set, *form, &partial)?;
        found.took = spent.now();
        let readme = in_python(card(args, &found, &notes), args, tuning, &partial).write(&partial)?;
        files::follow_umask(&partial, &readme)?;
        // A run that ended between two results wrote this one.
        if !result.exists() {
            fs::rename(&partial, &result)?;
        } else {
            fs::remove_dir_all(&partial)?;
        }
    }
    if !before {
        spent.keep_as(found.took);
        fs::write(
            args.out.join("run.json"),
            serde_json::to_vec_pretty(&found.to_json())?,
        )?;
        record::save(record, args, &found)?;
    }
    Ok(Ended::Finished(Box::new(found)))
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

/// The model that is tuned, by its name on the hub where it is from there.
fn base_model(args: &Args) -> String {
    args.model.strip_prefix("hub:").unwrap_or(&args.model).to_owned()
}

/// How the folder of the run stands to what is asked for; whether the run was finished before. `goes_on` is what the command
/// line says, also where a search has begun the run.
fn stands(args: &Args, goes_on: bool, forms: &[Form], state: &Path) -> Result<bool, Box<dyn Error>> {
    let results: Vec<PathBuf> = forms.iter().map(|form| form.folder(args)).collect();
    if let Some(result) = results.iter().find(|result| !goes_on && result.exists()) {
        return Err(format!("{} exists; name another --out, or remove it", result.display()).into());
    }
    let is_state = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("state-") && !name.ends_with(".partial")
    };
    let saved = fs::read_dir(state).map(|entries| entries.flatten().any(is_state));
    match (args.resume, saved) {
        (true, Err(_)) => Err(format!(
            "--resume: {} is not there, so that nothing can go on; name the --out of the run, or leave --resume out to \
             begin one",
            state.display()
        )
        .into()),
        (true, Ok(false)) => {
            args.say(&format!("{}: no state was saved yet, the run begins anew", state.display()))?;
            Ok(false)
        }
        (true, Ok(true)) => Ok(results.iter().all(|result| result.exists())),
        (false, Ok(true)) => Err(format!(
            "{} has the state of a run; go on with it by --resume, or name another --out",
            state.display()
        )
        .into()),
        (false, _) => Ok(false),
    }
}

/// What the result says of each example, with its line.
fn with_origins<O: Objective>(objective: &O, test: &[O::Example], mut shown: Vec<Value>) -> Vec<Value> {
    let of_each = shown.len() == test.len();
    let origin = |index: usize| test.get(index).and_then(|example| objective.origin(example));
    for (index, one) in shown.iter_mut().enumerate() {
        let Some(one) = one.as_object_mut() else { continue };
        // Where several examples are one prediction, as windows are, the task names the line itself.
        if let Some(origin) = origin(index).filter(|_| of_each) {
            one.insert("line".to_owned(), json!(origin.line));
        }
        // A set is one file.
        let file = origin(0).and_then(|origin| origin.file.as_ref());
        one.insert("file".to_owned(), json!(file.map(|file| file.to_string_lossy())));
    }
    shown
}

/// Writes what was predicted, a JSON line each; never over a file.
fn write_predictions(file: &Path, predictions: &[Value]) -> Outcome {
    let lines: String = predictions.iter().map(|one| format!("{one}\n")).collect();
    let written = fs::File::create_new(file).and_then(|mut file| file.write_all(lines.as_bytes()));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()).into())
}
