//! `--task answer`: answers out of documents, out of a model, and out of both.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Instant;

use ragtune::compare::{Approach, Comparison, Measured, Quality};
use ragtune::core::adapters::{AdapterSet, AdapterStack};
use ragtune::core::device;
use ragtune::core::statistics::Bootstrap;
use ragtune::evaluate::{AnswerSet, EvaluateEvent, Evaluator, PlainModel, RagSystem, System, name};
use ragtune::training_data::{TrainingData, TrainingDataReport};
use ragtune::{Cancel, Encoder, KnowledgeBase, LocalGenerator, Query, Rag};
use serde_json::json;

use super::args::Args;
use super::process::{self, Place};
use super::report::{self, Compared};
use super::said::Said;
use super::update;
use crate::number::count;
use crate::progress::Counter;
use crate::{Outcome, finetune, kept};

const SYSTEMS: [&str; 7] = [
    "model",
    "tuned",
    "quotes",
    "reader",
    "model+retrieval",
    "tuned+retrieval",
    "aware+retrieval",
];

/// Compares answers.
pub fn answer(args: &Args) -> Outcome {
    args.check()?;
    let questions = args.test.as_deref().ok_or("--task answer needs --test")?;
    let questions = AnswerSet::load(questions)?;
    if let Some(only) = &args.only {
        return match args.train {
            true => train_aware(args, only, &questions),
            false => ask(args, only, &questions),
        };
    }
    // What is wrong with them is said before any work.
    args.reader.labelled(&questions)?;
    let chosen = args.chosen(&SYSTEMS, |name| match name {
        "model" | "model+retrieval" if args.generator.is_none() => Some("--generator"),
        "tuned" | "tuned+retrieval" if args.generator.is_none() || args.adapter.is_none() => {
            Some("--generator and --adapter")
        }
        "aware+retrieval" if args.generator.is_none() || (args.aware.is_none() && !args.train_aware) => {
            Some("--generator, and --aware or --train-aware")
        }
        "reader" if args.reader.reader.is_none() => Some("--reader"),
        _ => None,
    })?;
    let started = report::begin(args)?;
    args.say(&count(questions.len(), "question"));
    let systems = chosen.into_iter().map(|name| {
        let trains = name == "aware+retrieval" && args.train_aware;
        (place(args, name), trains)
    });
    let (systems, failed) = process::measured(args, systems, &[])?;
    let texts = questions.questions().iter();
    let texts = texts.map(|question| (question.question.clone(), json!(question.answers)));
    let said = Said::all(texts, &systems);
    let bootstrap = Bootstrap::default().with_seed(args.seed);
    let comparison = Comparison::new(Quality::mean("token F1"), systems, &bootstrap)?;
    report::finish(
        args,
        started,
        &[Compared {
            examples: questions.questions().len(),
            budget: None,
            comparison,
            failed,
            said,
        }],
    )
}

fn place(args: &Args, name: &str) -> Place {
    Place::new(&args.out.join("systems"), name)
}

/// Asks one system every question.
fn ask(args: &Args, name: &str, questions: &AnswerSet) -> Outcome {
    let place = place(args, name);
    let own = place.model().join("adapter");
    let (approach, trained) = match name {
        "model" => (Approach::Base, None),
        "tuned" => (Approach::Tuning, args.adapter.as_deref()),
        "tuned+retrieval" => (Approach::TuningAndRetrieval, args.adapter.as_deref()),
        "aware+retrieval" => (
            Approach::TuningAndRetrieval,
            Some(args.aware.as_deref().unwrap_or(&own)),
        ),
        "reader" => (Approach::TuningAndRetrieval, args.reader.reader.as_deref()),
        _ => (Approach::Retrieval, None),
    };
    let generator = match name {
        "quotes" | "reader" => None,
        _ => Some(generator(args, trained)?),
    };
    let mut notes = Vec::new();
    let mut base = None;
    let system: Box<dyn System> = match (name, generator) {
        ("model" | "tuned", Some(generator)) => Box::new(PlainModel::new(generator)),
        (_, generator) => {
            let documents = documents(args, &place)?;
            let rag = Rag::builder().retriever(documents.clone());
            base = Some(documents.clone());
            let rag = match generator {
                Some(generator) => rag.generator(generator).build()?,
                None if name == "reader" => {
                    let labelled = args.reader.labelled(questions)?;
                    let reader = args.reader.load()?;
                    let reader =
                        args.reader
                            .calibrated(reader, &documents, &labelled, Query::DEFAULT_TOP_K)?;
                    notes.extend(reader.calibration().map(ToString::to_string));
                    rag.answerer(reader).build()?
                }
                None => rag.build()?,
            };
            Box::new(RagSystem::new(rag))
        }
    };
    let counter = Counter::new("asking");
    let evaluation = Evaluator::new()
        .with_name(name)
        .run(&system, questions, &mut |event| {
            if let EvaluateEvent::Answered { done, .. } = event {
                counter.set(done, questions.len());
            }
        })?;
    counter.finish();
    evaluation.write_records(args.out.join("systems").join(format!("{name}.questions.jsonl")))?;
    let mut measured = Measured::of_evaluation(&evaluation, approach, name::F1)?;
    let seconds = match place.training()? {
        Some(trained) => Some(Some(trained.seconds)),
        None => trained.map(process::training_seconds),
    };
    measured = match seconds {
        None => measured.with_train_seconds(0.0),
        Some(Some(seconds)) => measured.with_train_seconds(seconds),
        Some(None) => measured.with_note("what its training took is not known"),
    };
    for note in notes {
        measured = measured.with_note(note);
    }
    if let Some(base) = base {
        measured = measured.with_index_bytes(update::folder_bytes(&place.index())?);
        let found = update::found_after(&base, |question| {
            let response = system.respond(question, &Cancel::new())?;
            let sources = response.sources.unwrap_or_default();
            Ok(sources
                .iter()
                .any(|source| source.document_id == update::DOCUMENT))
        });
        measured = match found {
            Ok(Some(seconds)) => measured.with_update_seconds(seconds),
            Ok(None) => measured,
            // The questions were answered all the same.
            Err(error) => measured.with_note(format!("a change of knowledge could not be measured: {error}")),
        };
    } else if let Some(seconds) = measured.train_seconds.filter(|seconds| *seconds > 0.0) {
        measured = measured.with_update_seconds(seconds);
    }
    place.keep(measured)
}

/// Makes retrieval-aware data of the documents, and trains an adapter on it as `finetune` does. The questions that measure are
/// kept out of the data.
fn train_aware(args: &Args, name: &str, questions: &AnswerSet) -> Outcome {
    let (place, started) = (place(args, name), Instant::now());
    let data = place.model().with_extension("data");
    if !data.exists() {
        let asked = questions.questions().iter();
        TrainingData::from(&documents(args, &place)?)
            .with_seed(args.seed)
            .with_guarded(asked.map(|question| question.question.as_str()))
            .write(&data)?;
    }
    let made: TrainingDataReport = kept::read(&data.join("report.json"))?;
    if made.train.conversations == 0 {
        return Err(
            "the documents gave no question with an answer in words, as \"X is a ..\" does; train an adapter on questions of \
             your own, and name it by --aware"
                .into(),
        );
    }
    let model = args.generator.clone().ok_or("this system needs --generator")?;
    let given: [(&str, OsString); 5] = [
        ("--task", "sft".into()),
        ("--model", model.into()),
        ("--data", data.join("chat.train.jsonl").into()),
        ("--out", place.model().into()),
        ("--seed", args.seed.to_string().into()),
    ];
    let given = given
        .into_iter()
        .flat_map(|(option, value)| [option.into(), value]);
    let mut words: Vec<OsString> = std::iter::once("finetune".into()).chain(given).collect();
    words.extend(
        [
            "--method",
            "lora",
            "--epochs",
            "1",
            "--overflow",
            "drop",
            "--no-valid",
        ]
        .map(OsString::from),
    );
    if place.model().join("state").exists() {
        words.push("--resume".into());
    }
    match finetune::main(words) {
        0 => place.keep_training(started.elapsed().as_secs_f64()),
        // What it said is the reason.
        status => Err(format!("training ended with status {status}").into()),
    }
}

fn generator(args: &Args, adapter: Option<&Path>) -> Result<LocalGenerator, Box<dyn Error>> {
    let model = args.generator.as_ref().ok_or("this system needs --generator")?;
    let generator = LocalGenerator::load(model, &device::cpu())?;
    match adapter {
        Some(adapter) => {
            let adapter = AdapterSet::load(adapter, generator.lm())?;
            Ok(generator.with_adapters(AdapterStack::base().with(adapter.into(), 1.0)))
        }
        None => Ok(generator),
    }
}

fn documents(args: &Args, place: &Place) -> Result<KnowledgeBase, Box<dyn Error>> {
    if place.index().exists() {
        fs::remove_dir_all(place.index())?;
    }
    let base =
        KnowledgeBase::open(place.index())?.with_embedder(Encoder::load(&args.model, &device::cpu())?)?;
    let report = base.sync_folder(&args.data)?;
    for skipped in &report.skipped {
        args.say(&format!("skipped {}: {}", skipped.path, skipped.reason));
    }
    Ok(base)
}
