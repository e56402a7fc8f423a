//! `--task rank`: which documents answer a question.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;

use ragtune::compare::{Approach, Comparison, Measured, Quality};
use ragtune::core::device;
use ragtune::core::models::CrossEncoder;
use ragtune::core::statistics::Bootstrap;
use ragtune::core::text::Query;
use ragtune::retrieve::measure::{BeirDataset, Measure, QuestionSet, Ranking};
use ragtune::retrieve::retrievers::RerankRetriever;
use ragtune::retrieve::{Mode, SearchOptions};
use ragtune::{Cancel, Document, Encoder, KnowledgeBase, Retriever};
use serde_json::{Value, json};

use super::args::Args;
use super::process::{self, Place};
use super::report::{self, Compared};
use super::said::Said;
use super::update;
use crate::Outcome;
use crate::number::count;
use crate::whole::Whole;

const SYSTEMS: [&str; 6] = ["lexical", "base", "hybrid", "tuned", "tuned-hybrid", "reranked"];
/// What a question's ranking is scored by.
const MEASURE: Measure = Measure::Ndcg(10);
/// Documents that are ranked for each question, and that a reranker reads.
const DEPTH: usize = 50;
/// Documents of a ranking that are kept for a person to look at.
const SHOWN: usize = 5;
/// Documents that are added at a time.
const WINDOW: usize = 512;

/// Compares rankings.
pub fn rank(args: &Args) -> Outcome {
    args.check()?;
    let data = BeirDataset::load(&args.data)?;
    if let Some(only) = &args.only {
        return ask(args, only, &data);
    }
    if data.documents.is_empty() || data.queries.is_empty() {
        return Err(format!("{}: needs documents and judged queries", args.data.display()).into());
    }
    let chosen = args.chosen(&SYSTEMS, |name| match name {
        "tuned" | "tuned-hybrid" if args.tuned.is_none() => Some("--tuned"),
        "reranked" if args.reranker.is_none() => Some("--reranker"),
        _ => None,
    })?;
    let started = report::begin(args)?;
    args.say(&format!(
        "{}, {}",
        count(data.documents.len(), "document"),
        count(data.queries.len(), "question")
    ));
    let documents: BTreeSet<&str> = data
        .documents
        .iter()
        .map(|document| document.id.as_str())
        .collect();
    let unknown = QuestionSet::from(&data).unknown_documents(|id| documents.contains(id));
    if let Some(first) = unknown.first() {
        args.say(&format!(
            "{} relevant documents do not exist and count as missed; the first is {:?} of query {}",
            unknown.len(),
            first.document,
            first.question
        ));
    }
    let systems = chosen.into_iter().map(|name| (place(args, name), false));
    let (systems, failed) = process::measured(args, systems, &[])?;
    let texts = data.queries.iter().map(|query| {
        let judged = data.qrels.get(&query.id).into_iter().flatten();
        let relevant = judged.filter(|(_, grade)| **grade > 0);
        let relevant = relevant.map(|(document, grade)| (document.clone(), json!(grade)));
        (query.text.clone(), Value::Object(relevant.collect()))
    });
    let said = Said::all(texts, &systems);
    let bootstrap = Bootstrap::default().with_seed(args.seed);
    let comparison = Comparison::new(Quality::mean(MEASURE.to_string()), systems, &bootstrap)?;
    report::finish(
        args,
        started,
        &[Compared {
            examples: data.documents.len(),
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

/// Asks one system every query.
fn ask(args: &Args, name: &str, data: &BeirDataset) -> Outcome {
    let place = place(args, name);
    let (model, approach, mode) = match name {
        "lexical" => (None, Approach::Retrieval, Mode::Lexical),
        "hybrid" | "reranked" => (Some(&args.model), Approach::Retrieval, Mode::Hybrid),
        "tuned" => (args.tuned.as_ref(), Approach::TuningAndRetrieval, Mode::Dense),
        "tuned-hybrid" => (args.tuned.as_ref(), Approach::TuningAndRetrieval, Mode::Hybrid),
        _ => (Some(&args.model), Approach::Retrieval, Mode::Dense),
    };
    if place.index().exists() {
        fs::remove_dir_all(place.index())?;
    }
    let mut base = KnowledgeBase::open(place.index())?;
    if let Some(model) = model {
        base = base.with_embedder(Encoder::load(model, &device::cpu())?)?;
    }
    let base = base
        .with_chunker(Whole)
        .with_search(SearchOptions::default().with_mode(mode));
    for window in data.documents.chunks(WINDOW) {
        base.add(
            window
                .iter()
                .map(|document| Document::new(&document.id, document.content())),
        )?;
    }
    let retriever: Box<dyn Retriever> = match (&args.reranker, name) {
        (Some(reranker), "reranked") => {
            let reranker = CrossEncoder::load(reranker, &device::cpu())?;
            Box::new(RerankRetriever::new(base.clone(), reranker).with_candidates(DEPTH))
        }
        _ => Box::new(base.clone()),
    };
    let queries = data.queries.iter().map(|query| (query.id.clone(), query));
    let measured = Measured::run(name, approach, queries, &Cancel::new(), |query| {
        let hits = retriever.retrieve(&Query::new(&query.text).with_top_k(DEPTH))?;
        let ranking: Ranking = hits
            .iter()
            .map(|hit| (hit.chunk.document_id.clone(), hit.score()))
            .collect();
        let judged = data.qrels.get(&query.id).cloned().unwrap_or_default();
        let first = hits.iter().take(SHOWN).map(|hit| hit.chunk.document_id.as_str());
        let first = first.collect::<Vec<_>>().join("\n");
        let first = (!first.is_empty()).then_some(first);
        Ok::<_, Box<dyn Error>>((MEASURE.of(ranking, &judged), first))
    })?;
    let mut measured = measured.with_index_bytes(update::folder_bytes(&place.index())?);
    let tuned = args
        .tuned
        .as_deref()
        .filter(|_| approach == Approach::TuningAndRetrieval);
    match tuned.map(process::training_seconds) {
        None => measured = measured.with_train_seconds(0.0),
        Some(Some(seconds)) => measured = measured.with_train_seconds(seconds),
        Some(None) => measured = measured.with_note("what its training took is not known"),
    }
    let found = update::found_after(&base, |question| {
        let hits = retriever.retrieve(&Query::new(question).with_top_k(1))?;
        Ok(hits
            .first()
            .is_some_and(|hit| hit.chunk.document_id == update::DOCUMENT))
    })?;
    if let Some(seconds) = found {
        measured = measured.with_update_seconds(seconds);
    }
    place.keep(measured)
}
