//! Measures retrieval on a data set in BEIR layout, or on one's own questions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ragtune::core::statistics::{Bootstrap, Interval};
use ragtune::retrieve::measure::{
    BeirDataset, Comparison, Evaluation, Measure, QuestionSet, Run, RunOptions, compare, evaluate,
    p_value_text, read_run, run, write_run,
};
use ragtune::retrieve::retrievers::{HybridRetriever, TuneOptions, Tuning};
use ragtune::retrieve::{Mode, SearchOptions};
use ragtune::{Document, KnowledgeBase, SyncOptions};
use ragtune_examples::embedder::EmbedderChoice;
use ragtune_examples::questions::with_sources;
use ragtune_examples::whole::Whole;
use ragtune_examples::{Outcome, output, progress, table};
use serde::Serialize;

/// Documents that are judged for each query.
const DEPTH: usize = 100;

/// Passages that are fetched for each query when documents are divided, so that they are of about `DEPTH` documents.
const CHUNK_DEPTH: usize = 5 * DEPTH;

/// Documents that are added at a time.
const WINDOW: usize = 512;

/// What is measured.
const MEASURES: [Measure; 6] = [
    Measure::Ndcg(10),
    Measure::Map,
    Measure::Mrr(10),
    Measure::Recall(3),
    Measure::Recall(10),
    Measure::Recall(100),
];

/// The ways to search that are measured.
const MODES: [(&str, Mode); 3] = [
    ("lexical", Mode::Lexical),
    ("dense", Mode::Dense),
    ("hybrid", Mode::Hybrid),
];

/// Measure lexical, dense and hybrid retrieval on a data set in BEIR layout, or on your own questions and documents.
///
/// DIR holds corpus.jsonl (_id, title, text), queries.jsonl (_id, text) and qrels/*.tsv (query, document, grade). A
/// document is its title and text as one passage, which the encoder truncates; with --chunk it is divided as in a
/// knowledge base, and a document scores as its best passage. With --questions DIR is a folder of documents instead.
/// Measures are those of trec_eval, with 95 % intervals over the questions; queries per second include the embedding
/// of the query.
#[derive(Parser)]
#[command(
    name = "evaluate_retrieval",
    after_help = "Examples:
  evaluate_retrieval data/scifact
  evaluate_retrieval data/scifact --split test --embedder models/e5-small --json
  evaluate_retrieval data/scifact --against dense --tune
  evaluate_retrieval data/scifact --save-runs runs/a    and later    --against runs/a/hybrid.run
  evaluate_retrieval notes --questions questions.jsonl

A line of a .jsonl of questions is {\"question\": \"..\", \"sources\": [\"DOCUMENT\", ..]}, with the document's path below DIR, as the
example evaluate reads it; a line of a .tsv is QUESTION<TAB>DOCUMENT."
)]
struct Args {
    /// Folder of the data set, or of the documents
    dir: PathBuf,
    /// Your own questions, with the documents that answer them: a .tsv or .jsonl file
    #[arg(long, conflicts_with = "split", conflicts_with = "chunk")]
    questions: Option<PathBuf>,
    /// Judgements to use: the file qrels/SPLIT.tsv [default: test, or the only one]
    #[arg(long)]
    split: Option<String>,
    /// Sentence encoder: `builtin`, a model folder, or `hub:OWNER/NAME`
    #[arg(long, default_value = "builtin")]
    embedder: EmbedderChoice,
    /// Divide the documents into passages
    #[arg(long)]
    chunk: bool,
    /// Compare with this run: lexical, dense, hybrid, or a run file in TREC's format
    #[arg(long)]
    against: Option<String>,
    /// Write the runs into this folder, as files in TREC's format
    #[arg(long)]
    save_runs: Option<PathBuf>,
    /// Choose fusion and weights by the questions, judged by cross-validation
    #[arg(long)]
    tune: bool,
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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    comparisons: BTreeMap<&'static str, Vec<Comparison>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<Tuned>,
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
    intervals: BTreeMap<String, Interval>,
    qps: f64,
}

/// What tuning chose; weights are of the dense and the lexical list.
#[derive(Serialize)]
struct Tuned {
    fusion: ragtune::retrieve::Fusion,
    is_fused: bool,
    held_out: Interval,
    untuned: Interval,
    dense: Interval,
    lexical: Interval,
    gain_over_dense: Interval,
    gain_over_lexical: Interval,
    gain_over_untuned: Interval,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| measure(&args))
}

/// Questions, and a base with the documents that they are asked of.
struct Subject {
    questions: QuestionSet,
    base: KnowledgeBase,
    documents: usize,
}

fn measure(args: &Args) -> Outcome {
    let subject = match &args.questions {
        Some(questions) => own_questions(args, questions)?,
        None => data_set(args)?,
    };
    let Subject {
        questions,
        base,
        documents,
    } = &subject;
    let is_divided = args.chunk || args.questions.is_some();
    let options = RunOptions::default()
        .with_depth(DEPTH)
        .with_passages(if is_divided { CHUNK_DEPTH } else { DEPTH });
    let bootstrap = Bootstrap::default();

    let mut runs: BTreeMap<&'static str, Run> = BTreeMap::new();
    let mut evaluations: BTreeMap<&'static str, Evaluation> = BTreeMap::new();
    let mut report = Report {
        dataset: args
            .dir
            .canonicalize()?
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        embedder: args.embedder.to_string(),
        documents: *documents,
        queries: questions.len(),
        modes: BTreeMap::new(),
        comparisons: BTreeMap::new(),
        tuning: None,
    };
    for (name, mode) in MODES {
        let searched = base.clone().with_search(SearchOptions::default().with_mode(mode));
        let started = Instant::now();
        let found = run(&searched, questions, &options)?;
        let qps = questions.len() as f64 / started.elapsed().as_secs_f64();
        let evaluation = evaluate(&questions.qrels, &found, &MEASURES);
        let mean = |measure| evaluation.means.get(&measure).copied().unwrap_or_default();
        let mut intervals = BTreeMap::new();
        for measure in MEASURES {
            intervals.insert(measure.to_string(), evaluation.interval(measure, &bootstrap)?);
        }
        let measures = Measures {
            ndcg_at_10: mean(Measure::Ndcg(10)),
            map: mean(Measure::Map),
            mrr_at_10: mean(Measure::Mrr(10)),
            recall_at_10: mean(Measure::Recall(10)),
            recall_at_100: mean(Measure::Recall(100)),
            intervals,
            qps,
        };
        report.modes.insert(name, measures);
        runs.insert(name, found);
        evaluations.insert(name, evaluation);
    }
    if let Some(folder) = &args.save_runs {
        std::fs::create_dir_all(folder)?;
        for (name, found) in &runs {
            write_run(&folder.join(format!("{name}.run")), found, name)?;
        }
    }
    if let Some(other) = &args.against {
        let reference = match evaluations.get(other.as_str()) {
            Some(evaluation) => evaluation.clone(),
            None => evaluate(&questions.qrels, &read_run(Path::new(other))?, &MEASURES),
        };
        for (name, evaluation) in evaluations.iter().filter(|(name, _)| *name != other) {
            report
                .comparisons
                .insert(name, compare(evaluation, &reference, &bootstrap)?);
        }
    }
    let tuning = if args.tune {
        let hybrid = HybridRetriever::new(base.dense(), base.lexical());
        Some(hybrid.tune(questions, &TuneOptions::default().with_run(options))?)
    } else {
        None
    };
    report.tuning = tuning.as_ref().map(Tuned::of);
    if args.json {
        return output::json(&report);
    }
    show(&report, args.against.as_deref(), tuning.as_ref())
}

impl Tuned {
    fn of(tuning: &Tuning) -> Self {
        Self {
            fusion: tuning.fusion.clone(),
            is_fused: tuning.is_fused,
            held_out: tuning.held_out,
            untuned: tuning.untuned,
            dense: tuning.singles[0],
            lexical: tuning.singles[1],
            gain_over_dense: tuning.gains[0].interval,
            gain_over_lexical: tuning.gains[1].interval,
            gain_over_untuned: tuning.gain_over_untuned.interval,
        }
    }
}

/// Tables for people.
fn show(report: &Report, against: Option<&str>, tuning: Option<&Tuning>) -> Outcome {
    let mut header = vec!["mode".to_owned()];
    header.extend(MEASURES.iter().map(Measure::to_string));
    header.extend(["ndcg@10 within".to_owned(), "queries/s".to_owned()]);
    let mut rows = Vec::new();
    for (name, _) in MODES {
        let Some(measures) = report.modes.get(name) else {
            continue;
        };
        let mut row = vec![name.to_owned()];
        for measure in MEASURES {
            let interval = measures.intervals.get(&measure.to_string());
            row.push(interval.map_or_else(String::new, |interval| format!("{:.4}", interval.estimate)));
        }
        let interval = measures.intervals.get(&Measure::Ndcg(10).to_string());
        row.push(interval.map_or_else(String::new, |i| format!("{:.4}..{:.4}", i.low, i.high)));
        row.push(format!("{:.0}", measures.qps));
        rows.push(row);
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    output::piece(table::render(&header, &rows))?;
    if let Some(against) = against {
        let mut rows = Vec::new();
        for (name, comparisons) in &report.comparisons {
            for comparison in comparisons {
                let interval = &comparison.difference.interval;
                rows.push(vec![
                    format!("{name}, {}", comparison.measure),
                    format!("{:+.4}", interval.estimate),
                    format!("{:+.4}..{:+.4}", interval.low, interval.high),
                    p_value_text(comparison.difference.p_value),
                    p_value_text(comparison.randomisation_p),
                ]);
            }
        }
        output::line("")?;
        let title = format!("against {against}");
        let header = [
            title.as_str(),
            "difference",
            "within",
            "p bootstrap",
            "p randomisation",
        ];
        output::piece(table::render(&header, &rows))?;
    }
    if let Some(tuning) = tuning {
        output::line(format_args!("\nretriever 1 is dense, 2 lexical\n{tuning}"))?;
    }
    Ok(())
}

/// A data set in BEIR layout.
fn data_set(args: &Args) -> Result<Subject, Box<dyn std::error::Error>> {
    let data = match &args.split {
        Some(split) => BeirDataset::load_split(&args.dir, split)?,
        None => BeirDataset::load(&args.dir)?,
    };
    output::note!(
        "{} documents, {} queries",
        data.documents.len(),
        data.queries.len()
    );
    let there: BTreeSet<&str> = data
        .documents
        .iter()
        .map(|document| document.id.as_str())
        .collect();
    let judged = data.qrels.values().flatten();
    let judged: BTreeSet<&str> = judged
        .filter(|(_, grade)| **grade > 0)
        .map(|(id, _)| id.as_str())
        .collect();
    let missing: Vec<&str> = judged.difference(&there).copied().collect();
    if let Some(first) = missing.first() {
        output::note!(
            "{} documents that are judged relevant are not in corpus.jsonl, {} the first; they count as not found",
            missing.len(),
            output::on_one_line(first)
        );
    }
    if data.documents.is_empty() || data.queries.is_empty() {
        return Err(format!("{}: needs documents and judged queries", args.dir.display()).into());
    }
    Ok(Subject {
        base: index(args, &data)?,
        questions: QuestionSet::from(&data),
        documents: data.documents.len(),
    })
}

/// Questions about the files of a folder.
fn own_questions(args: &Args, questions: &Path) -> Result<Subject, Box<dyn std::error::Error>> {
    let questions = with_sources(questions)?;
    let base = KnowledgeBase::in_memory()?
        .with_embedder(args.embedder.load()?)?
        .without_auto_merge();
    let started = Instant::now();
    let report = base.sync_folder_with(&args.dir, &SyncOptions::default())?;
    for skipped in &report.skipped {
        output::note!(
            "skipped {}",
            output::on_one_line(&format!("{}: {}", skipped.path, skipped.reason))
        );
    }
    let ids: BTreeSet<String> = base.document_ids()?.into_iter().collect();
    output::note!(
        "{} documents, {} questions; indexed in {:.1} s",
        ids.len(),
        questions.len(),
        started.elapsed().as_secs_f64()
    );
    let unknown = questions.unknown_documents(|id| ids.contains(id));
    if let Some(first) = unknown.first() {
        return Err(format!(
            "{} of the relevant documents do not exist below {}; the first is {:?} of question {}",
            unknown.len(),
            args.dir.display(),
            first.document,
            first.question
        )
        .into());
    }
    Ok(Subject {
        questions,
        documents: ids.len(),
        base,
    })
}

fn index(args: &Args, data: &BeirDataset) -> Result<KnowledgeBase, Box<dyn std::error::Error>> {
    let mut base = KnowledgeBase::in_memory()?
        .with_embedder(args.embedder.load()?)?
        .without_auto_merge();
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
