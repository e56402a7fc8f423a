//! The sets of a run: read, cleaned, divided, looked over.

use std::error::Error;
use std::path::Path;

use ragtune::core::adapters::AdapterBase;
use ragtune::train::data::{Cleaning, Dataset, Dialect, Record, Sample, fields};
use ragtune::train::doctor::{Diagnosis, Encoding, Inputs, Settings, Subject};
use ragtune::train::encode::{EncodeReport, EncodedSet, Limits};
use ragtune::train::tuning::{Trainable, Tuning};

use super::args::Args;
use super::files;
use super::result::SetNumbers;
use super::run::Part;
use super::words::{self, count};
use crate::{Outcome, output};

/// The share of the examples that is held out where no validation set is given.
pub const HELD_OUT: f64 = 0.1;

/// The three sets of a run.
pub struct Sets<R> {
    pub train: Dataset<R>,
    pub valid: Dataset<R>,
    pub test: Dataset<R>,
    pub sources: Sources,
}

/// Where the sets are from: for each its file or what it is of one, and the fingerprint of the file.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub train: Option<(String, String)>,
    pub valid: Option<(String, String)>,
    pub test: Option<(String, String)>,
}

impl Sources {
    /// The sets in numbers; one without a source is none.
    #[must_use]
    pub fn numbers(&self, [train, valid, test]: [&EncodeReport; 3]) -> Vec<SetNumbers> {
        let sets = [
            ("train", &self.train, train),
            ("validation", &self.valid, valid),
            ("test", &self.test, test),
        ];
        let numbers = sets.into_iter().filter_map(|(set, source, report)| {
            let (source, fingerprint) = source.clone()?;
            Some(SetNumbers {
                set,
                source,
                fingerprint,
                examples: report.examples,
                items: report.items,
                cut: report.truncated,
                left_out: report.too_long.len() + report.without_target.len(),
                in_no_window: report.in_no_window.len(),
            })
        });
        numbers.collect()
    }
}

/// Reads all sets in the same way, cleans the one to learn from where that is wanted, and holds a part of it out where there
/// is no validation set.
///
/// # Errors
/// Those of reading, with file and line.
pub fn sets<R: Sample + Sync + Clone>(
    args: &Args,
    read: impl Fn(&Path) -> ragtune::train::Result<Dataset<R>>,
) -> Result<Sets<R>, Box<dyn Error>> {
    let mut train = read(&args.data)?;
    let file = args.data.display().to_string();
    args.say(&format!("{file}: {}", count(train.len(), "example")))?;
    let optional = |path: &Option<std::path::PathBuf>| path.as_deref().map(&read).transpose();
    let (valid, mut test) = (optional(&args.valid)?, optional(&args.test)?.unwrap_or_default());
    let source = |path: &Path| -> Result<_, Box<dyn Error>> {
        Ok((path.display().to_string(), files::fingerprint(path)?))
    };
    let mut sources = Sources {
        train: Some(source(&args.data)?),
        valid: args.valid.as_deref().map(source).transpose()?,
        test: args.test.as_deref().map(source).transpose()?,
    };
    let part_of_train = |what: String| sources.train.as_ref().map(|(_, sum)| (what, sum.clone()));
    if args.clean {
        args.say(&format!(
            "{file}, cleaned: {}",
            Cleaning::default().run(&mut train)?
        ))?;
        for (name, held_out) in valid
            .iter()
            .map(|set| ("validation", set))
            .chain([("test", &test)])
        {
            without(args, &mut train, name, held_out)?;
        }
    }
    let values = match &args.split_by {
        Some(name) => Some(fields(&args.data, name, &Dialect::default())?),
        None => None,
    };
    if let (Some(fold), Some(folds)) = (args.fold, args.folds) {
        let parts = match &values {
            Some(values) => train.folds_by(folds, args.seed, |record| values.get(&record.origin).cloned())?,
            None if train.values().all(|value| value.group().is_some()) => {
                train.folds_by_group(folds, args.seed)?
            }
            None => train.folds(folds, args.seed)?,
        };
        (train, test) = parts.divide(&train, fold)?;
        sources.test = part_of_train(format!("part {} of {folds} of {file}", fold + 1));
        args.say(&format!(
            "part {} of {folds} is the test set: {}",
            fold + 1,
            count(test.len(), "example")
        ))?;
    }
    let (train, valid) = match valid {
        Some(valid) => (train, valid),
        // One text has no other that could be held out: the task divides it.
        None if args.no_valid || train.len() < 2 => (train, Dataset::default()),
        None => {
            let (mut train, valid) = match &values {
                Some(values) => {
                    train.split_by(HELD_OUT, args.seed, |record| values.get(&record.origin).cloned())?
                }
                None => train.split(HELD_OUT, args.seed)?,
            };
            if args.clean {
                // The same question with another answer would be on both sides.
                without(args, &mut train, "validation", &valid)?;
            }
            args.say(&format!("{} of them held out for validation", valid.len()))?;
            sources.valid = part_of_train(format!("a tenth of {file}, held out"));
            (train, valid)
        }
    };
    Ok(Sets {
        train,
        valid,
        test,
        sources,
    })
}

/// Takes out of the examples to learn from what another set has.
fn without<R: Sample + Sync + Clone>(
    args: &Args,
    train: &mut Dataset<R>,
    name: &str,
    held_out: &Dataset<R>,
) -> Outcome {
    if held_out.is_empty() {
        return Ok(());
    }
    let report = Cleaning::default().run_against(train, held_out)?;
    args.say(&format!(
        "training set, without what the {name} set has: {report}"
    ))
}

/// The examples of a set, which may be empty; what was cut or left out is said, because scores are of the rest.
///
/// # Errors
/// Those of encoding.
pub fn encoded<R, T>(
    args: &Args,
    name: &str,
    set: &Dataset<R>,
    encode: impl Fn(&Dataset<R>) -> ragtune::train::Result<EncodedSet<T>>,
) -> Result<Part<Record<T>>, Box<dyn Error>> {
    if set.is_empty() {
        return Ok(Part::default());
    }
    part(args, name, encode(set)?)
}

/// A set that was encoded, with what was cut or left out said.
///
/// # Errors
/// As [`output::line()`].
pub fn part<T>(args: &Args, name: &str, set: EncodedSet<T>) -> Result<Part<Record<T>>, Box<dyn Error>> {
    let EncodedSet { items, report, .. } = set;
    let said = format!("{name} set: {report}");
    match args.json && report.truncated + report.too_long.len() + report.without_target.len() > 0 {
        true => output::note!("{said}"),
        false => args.say(&said)?,
    }
    Ok(Part {
        examples: items,
        report,
    })
}

/// The sets that there are, for the doctor.
pub fn shown<'a, R: Examined>(inputs: Inputs<'a>, sets: &'a Sets<R>) -> Inputs<'a> {
    let mut inputs = inputs.with_train(&sets.train);
    if !sets.valid.is_empty() {
        inputs = inputs.with_validation(&sets.valid);
    }
    if !sets.test.is_empty() {
        inputs = inputs.with_test(&sets.test);
    }
    inputs
}

/// What encoding left out, for the doctor.
pub fn encoding(report: &EncodeReport, limits: Limits) -> Encoding {
    Encoding {
        max_tokens: Some(limits.max_tokens),
        ..Encoding::from(report)
    }
}

/// The numbers of the run for the doctor.
pub fn settings(
    args: &Args,
    tuning: &Tuning,
    model: &dyn AdapterBase,
    examples: usize,
    coupled: bool,
) -> Settings {
    let options = args.options(examples);
    let steps = args.steps_over(examples);
    Settings {
        method: tuning.name().to_owned(),
        learning_rate: Some(args.rate()),
        model_weights: Some(Trainable::weights_of(model) as u64),
        batch: args.batch,
        accumulation: args.accumulate,
        head_learning_rate: args.head_lr,
        steps,
        warmup_steps: (options.warmup * steps as f64).ceil() as usize,
        evaluate_every: args.evaluate_every,
        selects: options.keep_best,
        in_batch_negatives: coupled,
    }
}

/// Shows what the doctor found, and ends the run at errors unless they are accepted, or nothing will be run.
///
/// # Errors
/// Errors that the doctor found.
pub fn heed(args: &Args, diagnosis: Diagnosis) -> Result<Diagnosis, Box<dyn Error>> {
    match args.json && !diagnosis.findings.is_empty() {
        true => output::note!("{}", words::of_the_command_line(&diagnosis.to_string())),
        false => args.say(&diagnosis.to_string())?,
    }
    match refusal(args, &diagnosis) {
        Some(refusal) if !args.plan => Err(refusal.into()),
        _ => Ok(diagnosis),
    }
}

/// Why nothing is trained after what the doctor found, if nothing is.
#[must_use]
pub fn refusal(args: &Args, diagnosis: &Diagnosis) -> Option<String> {
    let errors = diagnosis.errors().count();
    let found = count(errors, "error");
    (errors > 0 && !args.force)
        .then(|| format!("the doctor found {found}; mend what is wrong, or run with --force"))
}

/// That a record can be looked over; the doctor's own trait, under a name that says what it is here.
pub trait Examined: Sample + Subject + Sync + Clone {}

impl<R: Sample + Subject + Sync + Clone> Examined for R {}
