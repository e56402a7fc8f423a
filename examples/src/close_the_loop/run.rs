//! The loop: documents, training data, tuned encoder, measurement, promotion.

use std::error::Error;

use ragtune::Encoder;
use ragtune::core::device;
use ragtune::core::generation::LocalGenerator;
use ragtune::experiment::Experiment;
use ragtune::promotion::{Promotion, Trial};
use ragtune::retrieve::measure::Comparison;
use ragtune::training_data::{TrainingData, TrainingDataEvent, TrainingSets};

use super::args::Args;
use super::report::{self, Measured, Report};
use super::subject::{Subject, subject};
use super::train::train;
use crate::{Outcome, language_model, output, progress};

/// Runs the example.
///
/// # Errors
/// Those of every stage. That the candidate is refused is a result, not an error.
pub fn close_the_loop(args: &Args) -> Outcome {
    if args.out.join("model").exists() || args.out.join("data").exists() {
        return Err(format!(
            "{} has results of a run; name another --out, or remove it",
            args.out.display()
        )
        .into());
    }
    let name = args
        .folder
        .file_name()
        .unwrap_or(args.folder.as_os_str())
        .to_string_lossy();
    let experiment = Experiment::start("close the loop", name).with_seed(args.seed);
    // 1. The documents, and what there is to learn from them.
    let Subject {
        base,
        encoder,
        questions,
    } = subject(args)?;
    let sets = make(args, &base, questions.as_ref())?;
    output::note!("{}", sets.report);
    sets.write(args.out.join("data"))?;
    let promotion = Promotion::default()
        .with_mode(args.mode())
        .with_requires_gain(args.require_gain);
    let has_benchmark = sets.report.benchmark_questions >= promotion.min_questions;
    if questions.is_none() && !has_benchmark {
        return Err(format!(
            "{} held-out questions are too few to decide by, {} are needed; add documents, hold out more (--held-out), or \
             name questions of your own (--questions)",
            sets.report.benchmark_questions, promotion.min_questions
        )
        .into());
    }
    // 2. The encoder on the pairs.
    let tuned = train(args, &encoder, &sets.train.pairs)?;
    let candidate = || Encoder::load(&tuned.folder, &device::cpu());
    // 3. Beside the one before.
    let mut measured = Vec::new();
    let own = match &questions {
        Some(questions) => {
            output::note!("measuring on {} questions of your own", questions.len());
            let trial = promotion.try_questions(&base, candidate()?, questions)?;
            measured.push(rows("own questions", &trial));
            Some(trial)
        }
        None => None,
    };
    let held_out = match has_benchmark {
        true => {
            output::note!(
                "measuring on {} held-out questions",
                sets.report.benchmark_questions
            );
            let trial = promotion.try_benchmark(&base, candidate()?, &sets.benchmark)?;
            measured.push(rows("held out", &trial));
            Some(trial)
        }
        false => None,
    };
    // 4. Questions of one's own decide where there are some.
    let Some(trial) = own.or(held_out) else {
        return Err("there is nothing to decide by".into());
    };
    let refusal = match trial.promote(&base) {
        Ok(_) => None,
        Err(error @ ragtune::Error::NotPromoted { .. }) => Some(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    report::write(
        args,
        experiment,
        &Report {
            folder: args.folder.display().to_string(),
            encoder: encoder.display().to_string(),
            data: sets.report,
            steps: tuned.steps,
            train_seconds: tuned.seconds,
            trainable: tuned.trainable,
            loss: tuned.loss,
            measured: measured.concat(),
            promoted: refusal.is_none(),
            refusal,
            model: tuned.folder.display().to_string(),
        },
    )
}

fn make(
    args: &Args,
    base: &ragtune::KnowledgeBase,
    questions: Option<&ragtune::retrieve::measure::QuestionSet>,
) -> Result<TrainingSets, Box<dyn Error>> {
    let bar = progress::bar("questions");
    let mut data = TrainingData::from(base)
        .with_seed(args.seed)
        .with_held_out(args.held_out)
        .with_round_trip(args.round_trip)
        .with_max_questions(args.max_questions)
        .with_negatives(args.negatives)
        .with_on_event(|event| match event {
            TrainingDataEvent::Generated { done, total } | TrainingDataEvent::Asked { done, total } => {
                bar.set_length(*total as u64);
                bar.set_position(*done as u64);
            }
            TrainingDataEvent::Mining { questions } => {
                bar.println(format!("mining negatives for {questions} questions"));
            }
            _ => {}
        });
    if let Some(questions) = questions {
        data = data.with_guarded(questions.questions.iter().map(|question| question.text.as_str()));
    }
    if let Some(generator) = &args.generator {
        let folder = language_model::folder(generator)?;
        data = data.with_generator(LocalGenerator::load(folder, &device::cpu())?);
    }
    let sets = data.make()?;
    bar.finish_and_clear();
    Ok(sets)
}

fn rows(on: &str, trial: &Trial) -> Vec<Measured> {
    let row = |mode: &str, comparison: &Comparison| Measured {
        on: on.to_owned(),
        questions: trial.questions,
        mode: mode.to_owned(),
        comparison: comparison.clone(),
    };
    let dense = trial.dense.iter().map(|comparison| row("dense", comparison));
    let hybrid = trial.hybrid.iter().map(|comparison| row("hybrid", comparison));
    dense.chain(hybrid).collect()
}
