//! Measures retrieval on a data set in BEIR layout.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ragtune::core::text::Span;
use ragtune::retrieve::measure::{BeirDataset, Measure, Ranking, Run, evaluate};
use ragtune::retrieve::{ChunkSpan, Chunker, Mode, Retriever, SearchOptions};
use ragtune::{Document, KnowledgeBase, Query};
use ragtune_examples::embedder::EmbedderChoice;
use ragtune_examples::{Outcome, output, progress, table};
use serde::Serialize;

/// Hits that are judged for each query.
const DEPTH: usize = 100;

/// Passages that are fetched for each query when documents are divided, so that they are of about `DEPTH` documents.
const CHUNK_DEPTH: usize = 5 * DEPTH;

/// Documents that are added at a time.
const WINDOW: usize = 512;

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
    /// Judgements to use: the file qrels/SPLIT.tsv [default: test, or the only one]
    #[arg(long)]
    split: Option<String>,
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
    output::run(|| measure(&args))
}

fn measure(args: &Args) -> Outcome {
    let data = match &args.split {
        Some(split) => BeirDataset::load_split(&args.dir, split)?,
        None => BeirDataset::load(&args.dir)?,
    };
    output::note!(
        "{} documents, {} queries",
        data.documents.len(),
        data.queries.len()
    );
    if data.documents.is_empty() || data.queries.is_empty() {
        return Err(format!("{}: needs documents and judged queries", args.dir.display()).into());
    }
    let base = index(args, &data)?;

    let mut report = Report {
        dataset: args
            .dir
            .canonicalize()?
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        embedder: args.embedder.to_string(),
        documents: data.documents.len(),
        queries: data.queries.len(),
        modes: BTreeMap::new(),
    };
    let mut rows = Vec::new();
    for (name, mode) in [
        ("lexical", Mode::Lexical),
        ("dense", Mode::Dense),
        ("hybrid", Mode::Hybrid),
    ] {
        let search = SearchOptions::default().with_mode(mode);
        let searched = base.clone().with_search(search);
        let started = Instant::now();
        let run = run(&searched, &data, args.chunk)?;
        let qps = data.queries.len() as f64 / started.elapsed().as_secs_f64();
        let asked = [
            Measure::Ndcg(10),
            Measure::Map,
            Measure::Mrr(10),
            Measure::Recall(3),
            Measure::Recall(10),
            Measure::Recall(100),
        ];
        let means = evaluate(&data.qrels, &run, &asked).means;
        let mean = |measure| means.get(&measure).copied().unwrap_or_default();
        let mut row = vec![name.to_owned()];
        row.extend(asked.iter().map(|measure| format!("{:.4}", mean(*measure))));
        row.push(format!("{qps:.0}"));
        rows.push(row);
        let measures = Measures {
            ndcg_at_10: mean(Measure::Ndcg(10)),
            map: mean(Measure::Map),
            mrr_at_10: mean(Measure::Mrr(10)),
            recall_at_10: mean(Measure::Recall(10)),
            recall_at_100: mean(Measure::Recall(100)),
            qps,
        };
        report.modes.insert(name, measures);
    }
    if args.json {
        return output::json(&report);
    }
    let header = [
        "mode",
        "ndcg@10",
        "map",
        "mrr@10",
        "recall@3",
        "recall@10",
        "recall@100",
        "queries/s",
    ];
    output::piece(table::render(&header, &rows))?;
    Ok(())
}

/// One passage a document: the whole text.
struct Whole;

impl Chunker for Whole {
    fn id(&self) -> String {
        "whole-1".to_owned()
    }

    fn chunk(&self, document: &Document) -> ragtune::retrieve::Result<Vec<ChunkSpan>> {
        let span = Span::new(0, document.text.len());
        Ok((!span.is_empty())
            .then(|| ChunkSpan {
                span,
                headings: Vec::new(),
            })
            .into_iter()
            .collect())
    }
}

fn index(args: &Args, data: &BeirDataset) -> Result<KnowledgeBase, Box<dyn std::error::Error>> {
    let mut base = KnowledgeBase::in_memory()?.with_embedder(args.embedder.load()?)?;
    if !args.chunk {
        base = base.with_chunker(Whole);
    }
    let started = Instant::now();
    let bar = progress::bar("indexing");
    bar.set_length(data.documents.len() as u64);
    for window in data.documents.chunks(WINDOW) {
        base.add(
            window
                .iter()
                .map(|document| Document::new(&document.id, document.content())),
        )?;
        bar.inc(window.len() as u64);
    }
    bar.finish_and_clear();
    output::note!("indexed in {:.1} s", started.elapsed().as_secs_f64());
    Ok(base)
}

/// The ranking of documents for each query; a document's score is that of its best passage.
fn run(base: &KnowledgeBase, data: &BeirDataset, chunked: bool) -> Result<Run, Box<dyn std::error::Error>> {
    let mut run = Run::new();
    for query in &data.queries {
        let top_k = if chunked { CHUNK_DEPTH } else { DEPTH };
        let mut ranking = Ranking::new();
        for hit in base.retrieve(&Query::new(&query.text).with_top_k(top_k))? {
            let id = &hit.chunk.document_id;
            if ranking.len() < DEPTH && !ranking.iter().any(|(known, _)| known == id) {
                ranking.push((id.clone(), hit.score()));
            }
        }
        run.insert(query.id.clone(), ranking);
    }
    Ok(run)
}
