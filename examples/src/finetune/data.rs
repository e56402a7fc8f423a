//! The sets of a run: read, cleaned, divided, looked over.

use std::error::Error;
use std::path::Path;

use ragtune::train::data::{Cleaning, Dataset, Record, Sample};
use ragtune::train::doctor::{Diagnosis, Encoding, Inputs, Settings, Subject};
use ragtune::train::encode::{EncodeReport, EncodedSet, Limits};
use ragtune::train::tuning::Tuning;

use super::args::Args;
use crate::{Outcome, output};

/// The share of the examples that is held out where no validation set is given.
pub const HELD_OUT: f64 = 0.1;

/// The three sets of a run.
pub struct Sets<R> {
    pub train: Dataset<R>,
    pub valid: Dataset<R>,
    pub test: Dataset<R>,
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
    args.say(&format!("{}: {} examples", args.data.display(), train.len()))?;
    let optional = |path: &Option<std::path::PathBuf>| path.as_deref().map(&read).transpose();
    let (valid, test) = (optional(&args.valid)?, optional(&args.test)?.unwrap_or_default());
    if args.clean {
        args.say(&Cleaning::default().run(&mut train)?.to_string())?;
        for held_out in valid.iter().chain([&test]).filter(|set| !set.is_empty()) {
            args.say(&Cleaning::default().run_against(&mut train, held_out)?.to_string())?;
        }
    }
    let (train, valid) = match valid {
        Some(valid) => (train, valid),
        // One text has no other that could be held out: the task divides it.
        None if args.no_valid || train.len() < 2 => (train, Dataset::default()),
        None => {
            let (mut train, valid) = train.split(HELD_OUT, args.seed)?;
            if args.clean {
                // The same question with another answer would be on both sides.
                args.say(&Cleaning::default().run_against(&mut train, &valid)?.to_string())?;
            }
            args.say(&format!("{} of them held out for validation", valid.len()))?;
            (train, valid)
        }
    };
    Ok(Sets { train, valid, test })
}

/// The examples of a set to measure by, which may be empty; what was cut or left out is said, because scores are of the rest.
///
/// # Errors
/// Those of encoding.
pub fn encoded<R, T>(
    args: &Args,
    name: &str,
    set: &Dataset<R>,
    encode: impl Fn(&Dataset<R>) -> ragtune::train::Result<EncodedSet<T>>,
) -> Result<Vec<Record<T>>, Box<dyn Error>> {
    if set.is_empty() {
        return Ok(Vec::new());
    }
    let EncodedSet { items, report, .. } = encode(set)?;
    let said = format!("{name} set: {report}");
    match args.json && report.truncated + report.too_long.len() + report.without_target.len() > 0 {
        true => output::note!("{said}"),
        false => args.say(&said)?,
    }
    Ok(items)
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
pub fn settings(args: &Args, tuning: &Tuning, examples: usize, coupled: bool) -> Settings {
    let options = args.options();
    let step = (args.batch * args.accumulate).max(1);
    let steps = args
        .steps
        .unwrap_or((args.epochs * examples.div_ceil(step) as f64).ceil() as usize);
    Settings {
        method: tuning.name().to_owned(),
        learning_rate: Some(options.learning_rate.unwrap_or_else(|| tuning.learning_rate())),
        model_weights: None,
        batch: args.batch,
        accumulation: args.accumulate,
        steps,
        warmup_steps: (args.warmup * steps as f64).ceil() as usize,
        evaluate_every: args.evaluate_every,
        selects: options.keep_best,
        in_batch_negatives: coupled,
    }
}

/// Shows what the doctor found, and ends the run at errors unless they are accepted.
///
/// # Errors
/// Errors that the doctor found.
pub fn heed(args: &Args, diagnosis: &Diagnosis) -> Outcome {
    args.say(&diagnosis.to_string())?;
    let errors = diagnosis.errors().count();
    match errors > 0 && !args.force {
        true if args.json => {
            output::note!("{diagnosis}");
            Err(format!("the doctor found {errors} errors; mend them, or run with --force").into())
        }
        true => Err(format!("the doctor found {errors} errors; mend them, or run with --force").into()),
        false => Ok(()),
    }
}

/// That a record can be looked over; the doctor's own trait, under a name that says what it is here.
pub trait Examined: Sample + Subject + Sync + Clone {}

impl<R: Sample + Subject + Sync + Clone> Examined for R {}
