//! `--task answer`: answers out of documents, out of a model, and out of both.

use std::error::Error;
use std::fs;

use ragtune::compare::{Approach, Comparison, Measured, Quality};
use ragtune::core::adapters::{AdapterSet, AdapterStack};
use ragtune::core::device;
use ragtune::core::statistics::Bootstrap;
use ragtune::evaluate::{AnswerSet, Evaluator, PlainModel, RagSystem, System, name};
use ragtune::{Cancel, Encoder, ExtractiveReader, KnowledgeBase, LocalGenerator, Rag};

use super::args::Args;
use super::process::{self, Place};
use super::report::{self, Compared};
use super::update;
use crate::Outcome;

const SYSTEMS: [&str; 6] = [
    "model",
    "tuned",
    "quotes",
    "reader",
    "model+retrieval",
    "tuned+retrieval",
];

/// Compares answers.
pub fn answer(args: &Args) -> Outcome {
    args.check()?;
    let questions = args.test.as_deref().ok_or("--task answer needs --test")?;
    let questions = AnswerSet::load(questions)?;
    if let Some(only) = &args.only {
        return ask(args, only, &questions);
    }
    let chosen = args.chosen(&SYSTEMS, |name| match name {
        "model" | "model+retrieval" if args.generator.is_none() => Some("--generator"),
        "tuned" | "tuned+retrieval" if args.generator.is_none() || args.adapter.is_none() => {
            Some("--generator and --adapter")
        }
        "reader" if args.reader.is_none() => Some("--reader"),
        _ => None,
    })?;
    let started = report::begin(args)?;
    args.say(&format!("{} questions", questions.questions().len()));
    let systems = chosen.into_iter().map(|name| (place(args, name), false));
    let (systems, failed) = process::measured(args, systems, &[])?;
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
        }],
    )
}

fn place(args: &Args, name: &str) -> Place {
    Place::new(&args.out.join("systems"), name)
}

/// Asks one system every question.
fn ask(args: &Args, name: &str, questions: &AnswerSet) -> Outcome {
    let place = place(args, name);
    let is_tuned = name.starts_with("tuned");
    let generator = match name {
        "model" | "tuned" | "model+retrieval" | "tuned+retrieval" => Some(generator(args, is_tuned)?),
        _ => None,
    };
    let (approach, trained) = match name {
        "model" => (Approach::Base, None),
        "tuned" => (Approach::Tuning, args.adapter.as_deref()),
        "tuned+retrieval" => (Approach::TuningAndRetrieval, args.adapter.as_deref()),
        "reader" => (Approach::TuningAndRetrieval, args.reader.as_deref()),
        _ => (Approach::Retrieval, None),
    };
    let mut base = None;
    let system: Box<dyn System> = match (name, generator) {
        ("model" | "tuned", Some(generator)) => Box::new(PlainModel::new(generator)),
        (_, generator) => {
            let documents = documents(args, &place)?;
            let rag = Rag::builder().retriever(documents.clone());
            base = Some(documents);
            let rag = match (generator, &args.reader) {
                (Some(generator), _) => rag.generator(generator).build()?,
                (None, Some(reader)) if name == "reader" => rag
                    .answerer(ExtractiveReader::load(reader, &device::cpu())?)
                    .build()?,
                _ => rag.build()?,
            };
            Box::new(RagSystem::new(rag))
        }
    };
    let evaluation = Evaluator::new()
        .with_name(name)
        .run(&system, questions, &mut |_| {})?;
    evaluation.write_records(args.out.join("systems").join(format!("{name}.questions.jsonl")))?;
    let mut measured = Measured::of_evaluation(&evaluation, approach, name::F1)?;
    measured = match trained.map(process::training_seconds) {
        None => measured.with_train_seconds(0.0),
        Some(Some(seconds)) => measured.with_train_seconds(seconds),
        Some(None) => measured.with_note("what its training took is not known"),
    };
    if let Some(base) = base {
        measured = measured.with_index_bytes(update::folder_bytes(&place.index())?);
        let found = update::found_after(&base, |question| {
            let response = system.respond(question, &Cancel::new())?;
            let sources = response.sources.unwrap_or_default();
            Ok(sources
                .iter()
                .any(|source| source.document_id == update::DOCUMENT))
        })?;
        if let Some(seconds) = found {
            measured = measured.with_update_seconds(seconds);
        }
    } else if let Some(seconds) = measured.train_seconds.filter(|seconds| *seconds > 0.0) {
        measured = measured.with_update_seconds(seconds);
    }
    place.keep(measured)
}

fn generator(args: &Args, is_tuned: bool) -> Result<LocalGenerator, Box<dyn Error>> {
    let model = args.generator.as_ref().ok_or("this system needs --generator")?;
    let generator = LocalGenerator::load(model, &device::cpu())?;
    match &args.adapter {
        Some(adapter) if is_tuned => {
            let adapter = AdapterSet::load(adapter, generator.lm())?;
            Ok(generator.with_adapters(AdapterStack::base().with(adapter.into(), 1.0)))
        }
        _ => Ok(generator),
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
