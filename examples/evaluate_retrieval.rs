//! Measures retrieval on a data set in BEIR layout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ragtune::core::text::Embedder;
use ragtune::retrieve::measure::{self, beir::Dataset};
use ragtune::retrieve::{Mode, SearchOptions};
use ragtune::{Document, KnowledgeBase, Query};
use ragtune_examples::embedder::EmbedderChoice;
use ragtune_examples::{Outcome, output, progress, table};
use serde::Serialize;

/// Hits that are judged for each query.
const DEPTH: usize = 100;

/// Measure lexical, dense and hybrid retrieval on a data set in BEIR layout.
///
/// DIR holds corpus.jsonl (_id, title, text), queries.jsonl (_id, text) and qrels/*.tsv (query, document, grade). A
/// document is its title and text as one passage, which the encoder truncates; with --chunk it is divided as in a
/// knowledge base, and a document scores as its best passage. Measures are those of trec_eval; queries per second
/// include the embedding of the query.
#[derive(Parser)]
#[command(
    name = "evaluate_retrieval",
    after_help = "Examples:
  evaluate_retrieval data/scifact
  evaluate_retrieval data/scifact --split test --embedder models/e5-small --json"
)]
struct Args {
    /// Folder of the data set
    dir: PathBuf,
    /// Judgements to use: the file qrels/SPLIT.tsv
    #[arg(long, default_value = "test")]
    split: String,
    /// Sentence encoder: `builtin`, a model folder, or `hub:OWNER/NAME`
    #[arg(long, default_value = "builtin")]
    embedder: EmbedderChoice,
    /// Divide the documents into passages
    #[arg(long)]
    chunk: bool,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Report {
    dataset: String,
    embedder: String,
    documents: usize,
    queries: usize,
    modes: BTreeMap<&'static str, Measures>,
}

#[derive(Serialize)]
struct Measures {
    #[serde(rename = "ndcg@10")]
    ndcg_at_10: f64,
    map: f64,
    #[serde(rename = "mrr@10")]
    mrr_at_10: f64,
    #[serde(rename = "recall@10")]
    recall_at_10: f64,
    #[serde(rename = "recall@100")]
    recall_at_100: f64,
    qps: f64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| evaluate(&args))
}
