//! The run: questions, documents, a system that answers, what is measured of it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use ragtune::core::device;
use ragtune::core::models::CrossEncoder;
use ragtune::evaluate::{
    AnswerQuestion, AnswerSet, EvaluateEvent, Evaluation, Evaluator, PlainModel, RagSystem, System,
};
use ragtune::experiment::Experiment;
use ragtune::html::Table;
use ragtune::reader::LabelledQuestion;
use ragtune::retrieve::SyncEvent;
use ragtune::retrieve::measure::BeirDataset;
use ragtune::{
    Document, Embedder, ExtractiveAnswerer, ExtractiveOptions, ExtractiveReader, GenerateOptions, Generator,
    KnowledgeBase, Query, Rag, ScoreKind, SyncOptions,
};
use serde_json::Value;

use super::args::Args;
use super::show;
use crate::claim;
use crate::progress::Counter;
use crate::{Outcome, language_model, output};

/// Documents that are added at a time.
const WINDOW: usize = 64;
/// Failures that are named on the terminal.
const FAILURES_SHOWN: usize = 3;
/// Skipped files that are named on the terminal.
const SKIPPED_SHOWN: usize = 10;

/// Runs the example.
///
/// # Errors
/// What is wrong with questions, documents and models. A system that breaks on a question is a result, not an error.
pub fn evaluate(args: &Args) -> Outcome {
    let mut run = Experiment::start("evaluate", args.dataset());
    run.configure(&args.configuration())?;
    let writes = args.model.is_some() || args.openai.openai.is_some();
    if writes && args.reader.reader.is_some() {
        return Err("--reader marks answers, and --model and --openai write them; name one of them".into());
    }
    let folder = args.out.clone().unwrap_or_else(|| {
        let time = run.started.replace([':', '-'], "");
        Path::new("runs").join(format!("evaluate-{}-{time}", args.dataset()))
    });
    claim::outside("--out", &folder, &args.folder)?;
    let is_evaluation = || Experiment::load(&folder).is_ok_and(|there| there.kind == "evaluate");
    claim::holds_only(&folder, "an evaluation", is_evaluation)?;
    let set = questions(args)?;
    let labelled = args.reader.labelled(&set)?;
    // Models that do not load say so before documents are read.
    let judge = match &args.judge {
        Some(model) => Some(args.language_model(model, &[])?),
        None => None,
    };
    let answering = match (&args.model, &args.reader.reader) {
        (Some(model), _) => Answering::Writes(Box::new(args.language_model(model, &args.adapter)?)),
        (None, Some(_)) => Answering::Marks(args.reader.load()?, labelled),
        (None, None) => match args.openai.generator()? {
            Some(generator) => Answering::Writes(generator),
            None => Answering::Quotes,
        },
    };
    run.read_data(&args.folder)?;
    let read = [&args.questions, &args.unanswerable, &args.reader.calibrate];
    for file in read.into_iter().flatten() {
        run.read_data(file)?;
    }
    let mut evaluator = Evaluator::new()
        .with_name(args.system_name())
        .with_encoder(args.measure_with.load()?);
    if let Some(judge) = judge {
        evaluator = evaluator.with_judge(judge);
    }
    let options = GenerateOptions::default().with_max_tokens(args.max_tokens);
    let system: Box<dyn System> = match answering {
        Answering::Writes(generator) if args.closed_book => {
            Box::new(PlainModel::new(generator).with_options(options))
        }
        answering => {
            let embedder: Arc<dyn Embedder> = Arc::new(args.embedder.load()?);
            let base = index(args, Arc::clone(&embedder))?;
            evaluator = evaluator.with_documents(base.document_ids()?);
            Box::new(pipeline(args, base, embedder, answering, options)?)
        }
    };
    let evaluation = ask(&evaluator, &*system, &set)?;

    evaluation.note_in(&mut run);
    run.finish();
    run.save(&folder)?;
    evaluation.write_records(folder.join("questions.jsonl"))?;
    let mut page = evaluation.page();
    page.heading("How this came about");
    page.code(&serde_json::to_string_pretty(&args.configuration())?);
    let mut versions = Table::new(["what", "version"]);
    for (name, version) in &run.versions {
        versions.row([name, version]);
    }
    page.table(&versions);
    page.write(folder.join("report.html"))?;
    if args.json {
        return output::json(&show::as_json(args, &evaluation, &folder));
    }
    show::show(&evaluation, &folder)
}

/// How answers come about.
enum Answering {
    Quotes,
    Writes(Box<dyn Generator>),
    Marks(ExtractiveReader, Vec<LabelledQuestion>),
}

/// The questions of the file or of the data set, and those that have no answer.
fn questions(args: &Args) -> Result<AnswerSet, Box<dyn Error>> {
    let set = match &args.questions {
        Some(file) => AnswerSet::load(file)?,
        None if is_beir(&args.folder) => AnswerSet::load_beir(&args.folder)?,
        None => {
            let folder = args.folder.display();
            return Err(format!(
                "{folder} is no data set in BEIR layout; name the questions: --questions FILE"
            )
            .into());
        }
    };
    let Some(file) = &args.unanswerable else {
        return Ok(set);
    };
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let mut more = Vec::new();
    for (number, line) in (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let question = match line.trim_start().starts_with('{') {
            false => line.trim().to_owned(),
            true => {
                let value: Value = serde_json::from_str(line)
                    .map_err(|error| format!("{}, line {number}: {error}", file.display()))?;
                let question = value["question"].as_str();
                question
                    .ok_or_else(|| format!("{}, line {number}: no \"question\"", file.display()))?
                    .to_owned()
            }
        };
        let is_answerable =
            |other: &&AnswerQuestion| other.answerable && other.question.trim() == question.trim();
        if let Some(other) = set.questions().iter().find(is_answerable) {
            return Err(format!(
                "{}, line {number}: \"{}\" is question {} of the set, which has an answer; take it out of one of the two",
                file.display(),
                output::on_one_line(&question),
                other.id
            )
            .into());
        }
        more.push(AnswerQuestion::unanswerable(
            format!("unanswerable-{number}"),
            question,
        ));
    }
    Ok(set.join(AnswerSet::new(more)?)?)
}

fn is_beir(folder: &Path) -> bool {
    folder.join("corpus.jsonl").is_file()
}

/// The documents of the folder, or of the data set, in memory.
fn index(args: &Args, embedder: Arc<dyn Embedder>) -> Result<KnowledgeBase, Box<dyn Error>> {
    let base = KnowledgeBase::in_memory()?.with_embedder(embedder)?;
    if !is_beir(&args.folder) {
        let counter = Counter::new("embedding passages");
        let shown = counter.clone();
        let options = SyncOptions::default().with_on_event(move |event| {
            if let SyncEvent::Embedded { done, total } = event {
                shown.set(*done, *total);
            }
        });
        let report = base.sync_folder_with(&args.folder, &options)?;
        counter.finish();
        for skipped in report.skipped.iter().take(SKIPPED_SHOWN) {
            let text = format!("skipped {}: {}", skipped.path, skipped.reason);
            output::note!("{}", output::on_one_line(&text));
        }
        if report.skipped.len() > SKIPPED_SHOWN {
            output::note!("skipped {} more", report.skipped.len() - SKIPPED_SHOWN);
        }
        if base.document_ids()?.is_empty() {
            return Err(format!(
                "{} has no document that can be read, so there is nothing to answer from",
                args.folder.display()
            )
            .into());
        }
        return Ok(base);
    }
    let data = BeirDataset::load(&args.folder)?;
    if data.documents.is_empty() {
        return Err(format!("{}: corpus.jsonl has no document", args.folder.display()).into());
    }
    let counter = Counter::new("embedding documents");
    let mut done = 0;
    for window in data.documents.chunks(WINDOW) {
        base.add(window.iter().map(|document| {
            Document::new(&document.id, &document.text).with_metadata("title", document.title.as_str())
        }))?;
        done += window.len();
        counter.set(done, data.documents.len());
    }
    counter.finish();
    Ok(base)
}

fn pipeline(
    args: &Args,
    base: KnowledgeBase,
    embedder: Arc<dyn Embedder>,
    answering: Answering,
    options: GenerateOptions,
) -> Result<RagSystem, Box<dyn Error>> {
    let mut rag = Rag::builder().retriever(base.clone());
    if let Some(reranker) = &args.reranker {
        let folder = language_model::folder(reranker)?;
        rag = rag.reranker(CrossEncoder::load(folder, &device::cpu())?);
    }
    let writes = matches!(answering, Answering::Writes(_));
    rag = match answering {
        Answering::Writes(generator) => rag.generate_options(options).generator(generator),
        Answering::Marks(reader, labelled) => {
            rag.answerer(args.reader.calibrated(reader, &base, &labelled, args.top_k)?)
        }
        Answering::Quotes => match args.min_evidence {
            Some(min) => {
                let options = ExtractiveOptions::default().with_min_evidence(min as f32);
                rag.answerer(ExtractiveAnswerer::new(embedder).with_options(options))
            }
            None => rag,
        },
    };
    let system = RagSystem::new(rag.build()?).with_query(Query::new("").with_top_k(args.top_k));
    // A language model tells no confidence; how near the best passage is stands in for it.
    Ok(if writes {
        system.with_confidence_by(ScoreKind::Cosine)
    } else {
        system
    })
}

fn ask(evaluator: &Evaluator, system: &dyn System, set: &AnswerSet) -> Result<Evaluation, Box<dyn Error>> {
    let (asked, judged) = (Counter::new("asking"), Counter::new("judging"));
    let mut failures = 0;
    let evaluation = evaluator.run(system, set, &mut |event| match event {
        EvaluateEvent::Answered { done, record, .. } => {
            asked.set(done, set.len());
            if let ragtune::evaluate::Outcome::Failed(error) = &record.outcome {
                failures += 1;
                if failures <= FAILURES_SHOWN {
                    let text = format!("question {} failed: {error}", record.id);
                    asked.say(&output::printable(&text));
                }
            }
        }
        EvaluateEvent::Measuring { what } => asked.say(&format!("measuring: {what}")),
        EvaluateEvent::Judged { done, total, .. } => judged.set(done, total),
        _ => {}
    });
    asked.finish();
    judged.finish();
    Ok(evaluation?)
}
