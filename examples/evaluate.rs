//! Evaluates the answers to a set of questions, and leaves a folder with everything that was found out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use ragtune::core::device::{self, DeviceSpec};
use ragtune::core::models::CrossEncoder;
use ragtune::core::weights::Precision;
use ragtune::evaluate::{
    AnswerQuestion, AnswerSet, EvaluateEvent, Evaluation, Evaluator, PlainModel, RagSystem, System,
};
use ragtune::experiment::Experiment;
use ragtune::html::Table;
use ragtune::retrieve::measure::BeirDataset;
use ragtune::{
    Document, Embedder, ExtractiveAnswerer, ExtractiveOptions, GenerateOptions, Generator, KnowledgeBase,
    Query, Rag, ScoreKind, SyncOptions,
};
use ragtune_examples::embedder::EmbedderChoice;
use ragtune_examples::language_model::{self, AdapterArgs, ModelArgs};
use ragtune_examples::openai::OpenAiArgs;
use ragtune_examples::{Outcome, output, progress};
use serde_json::{Value, json};

/// Documents that are added at a time.
const WINDOW: usize = 256;

/// Failures that are named on the terminal.
const FAILURES_SHOWN: usize = 3;

/// Evaluate answers: words, sources, citations, support, abstention, latency; every mean with its 95 % interval.
///
/// FOLDER holds documents, and --questions is a file with a JSON object in a line: {"question": "..", "answers": [".."],
/// "sources": ["path below FOLDER"], "answerable": true}. Or FOLDER is a data set in BEIR layout (corpus.jsonl,
/// queries.jsonl with metadata.answer, qrels/), which brings its questions along. Sentences are quoted, or written by
/// a language model (--model, --openai). The run leaves a folder with experiment.json, questions.jsonl and report.html.
#[derive(Parser)]
#[command(
    name = "evaluate",
    after_help = "Examples:
  evaluate notes --questions questions.jsonl
  evaluate data/docs-rag --unanswerable off-topic.jsonl --out runs/docs-rag
  evaluate notes --questions questions.jsonl --model models/qwen3-0.6b --judge models/qwen3-4b
  evaluate notes --questions questions.jsonl --model models/qwen3-0.6b --closed-book
  runs runs"
)]
struct Args {
    /// Folder of documents, or of a data set in BEIR layout
    folder: PathBuf,
    /// Questions with their answers: a .jsonl file
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// More questions, which the documents do not answer: a JSON object with \"question\", or a plain text, in each line
    #[arg(long, value_name = "FILE")]
    unanswerable: Option<PathBuf>,
    /// Sentence encoder that finds passages: `builtin`, a model folder, or `hub:OWNER/NAME`
    #[arg(long, default_value = "builtin")]
    embedder: EmbedderChoice,
    /// Sentence encoder that measures similarity and support, the same for all systems that are to be compared
    #[arg(long, default_value = "builtin")]
    measure_with: EmbedderChoice,
    /// Cross-encoder that orders the passages found again: a model folder, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    reranker: Option<String>,
    /// Language model that writes the answers: a folder in Hugging Face layout, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR", group = "writer")]
    model: Option<String>,
    #[command(flatten)]
    openai: OpenAiArgs,
    /// Folder of a PEFT adapter beside the language model, or `hub:OWNER/NAME`. May be given several times
    #[arg(long, value_name = "DIR", requires = "model")]
    adapter: Vec<String>,
    /// Where the language models run: cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, default_value = "cpu")]
    device: DeviceSpec,
    /// Keep the language models' weights in f32, bf16, f16, int8 or int4 [default: as the files have them]
    #[arg(long)]
    precision: Option<Precision>,
    /// Ask the language model without any document
    #[arg(long, requires = "writer")]
    closed_book: bool,
    /// Language model that judges whether cited texts carry what is said
    #[arg(long, value_name = "DIR")]
    judge: Option<String>,
    /// Passages to read for an answer
    #[arg(long, default_value_t = 10, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    top_k: usize,
    /// Tokens of a written answer at most
    #[arg(long, default_value_t = 256, value_name = "N")]
    max_tokens: usize,
    /// Least evidence, 0 to 1, for which sentences are quoted; 0 shows the whole risk-coverage curve
    #[arg(long, value_name = "P", conflicts_with = "writer")]
    min_evidence: Option<f32>,
    /// What the system is called in reports [default: what it is made of]
    #[arg(long)]
    name: Option<String>,
    /// Where the run is left [default: runs/evaluate-DATASET-TIME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| evaluate(&args))
}

fn evaluate(args: &Args) -> Outcome {
    let mut run = Experiment::start("evaluate", args.dataset());
    run.configure(&args.configuration())?;
    let set = questions(args)?;
    // Models that do not load say so before documents are read.
    let judge = match &args.judge {
        Some(model) => Some(args.language_model(model, &[])?),
        None => None,
    };
    let generator = match &args.model {
        Some(model) => Some(Box::new(args.language_model(model, &args.adapter)?) as Box<dyn Generator>),
        None => args.openai.generator()?,
    };
    run.read_data(&args.folder)?;
    for file in args.questions.iter().chain(&args.unanswerable) {
        run.read_data(file)?;
    }
    let mut evaluator = Evaluator::new()
        .with_name(args.system_name())
        .with_encoder(args.measure_with.load()?);
    if let Some(judge) = judge {
        evaluator = evaluator.with_judge(judge);
    }
    let options = GenerateOptions::default().with_max_tokens(args.max_tokens);
    let system: Box<dyn System> = match generator {
        Some(generator) if args.closed_book => Box::new(PlainModel::new(generator).with_options(options)),
        generator => {
            let embedder: Arc<dyn Embedder> = Arc::new(args.embedder.load()?);
            let base = index(args, Arc::clone(&embedder))?;
            evaluator = evaluator.with_documents(base.document_ids()?);
            Box::new(pipeline(args, base, embedder, generator, options)?)
        }
    };
    let evaluation = ask(&evaluator, &*system, &set)?;

    evaluation.note_in(&mut run);
    run.finish();
    let folder = args.out.clone().unwrap_or_else(|| {
        let time = run.started.replace([':', '-'], "");
        Path::new("runs").join(format!("evaluate-{}-{time}", args.dataset()))
    });
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
        return output::json(&as_json(args, &evaluation, &folder));
    }
    show(&evaluation, &folder)
}

impl Args {
    fn dataset(&self) -> String {
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    fn system_name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let writer = self.model.as_deref().or(self.openai.openai_model.as_deref());
        let writer = match writer {
            Some(model) => Path::new(model)
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            None => "quoted sentences".to_owned(),
        };
        match self.closed_book {
            true => format!("{writer}, closed book"),
            false => format!("{writer}, passages by {}", self.embedder),
        }
    }

    fn configuration(&self) -> Value {
        json!({
            "folder": self.folder,
            "questions": self.questions,
            "unanswerable": self.unanswerable,
            "system": self.system_name(),
            "embedder": self.embedder.to_string(),
            "measure_with": self.measure_with.to_string(),
            "reranker": self.reranker,
            "model": self.model,
            "openai_model": self.openai.openai_model,
            "adapter": self.adapter,
            "closed_book": self.closed_book,
            "judge": self.judge,
            "top_k": self.top_k,
            "max_tokens": self.max_tokens,
            "min_evidence": self.min_evidence,
        })
    }

    fn language_model(
        &self,
        model: &str,
        adapters: &[String],
    ) -> Result<ragtune::LocalGenerator, Box<dyn std::error::Error>> {
        let model = ModelArgs {
            model: model.to_owned(),
            device: self.device,
            adapters: AdapterArgs {
                adapter: adapters.to_vec(),
                adapter_weight: Vec::new(),
            },
            precision: self.precision,
            context_tokens: None,
        };
        model.load()
    }
}

/// The questions of the file or of the data set, and those that have no answer.
fn questions(args: &Args) -> Result<AnswerSet, Box<dyn std::error::Error>> {
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
fn index(args: &Args, embedder: Arc<dyn Embedder>) -> Result<KnowledgeBase, Box<dyn std::error::Error>> {
    let base = KnowledgeBase::in_memory()?.with_embedder(embedder)?;
    if !is_beir(&args.folder) {
        let report = base.sync_folder_with(&args.folder, &SyncOptions::default())?;
        for skipped in report.skipped.iter().take(10) {
            output::note!("skipped {}: {}", output::printable(&skipped.path), skipped.reason);
        }
        return Ok(base);
    }
    let data = BeirDataset::load(&args.folder)?;
    let bar = progress::bar("indexing");
    bar.set_length(data.documents.len() as u64);
    for window in data.documents.chunks(WINDOW) {
        base.add(window.iter().map(|document| {
            Document::new(&document.id, &document.text).with_metadata("title", document.title.as_str())
        }))?;
        bar.inc(window.len() as u64);
    }
    bar.finish_and_clear();
    Ok(base)
}

fn pipeline(
    args: &Args,
    base: KnowledgeBase,
    embedder: Arc<dyn Embedder>,
    generator: Option<Box<dyn Generator>>,
    options: GenerateOptions,
) -> Result<RagSystem, Box<dyn std::error::Error>> {
    let mut rag = Rag::builder().retriever(base);
    if let Some(reranker) = &args.reranker {
        let folder = language_model::folder(reranker)?;
        rag = rag.reranker(CrossEncoder::load(folder, &device::cpu())?);
    }
    let writes = generator.is_some();
    if let Some(generator) = generator {
        rag = rag.generate_options(options).generator(generator);
    } else if let Some(min) = args.min_evidence {
        let options = ExtractiveOptions::default().with_min_evidence(min);
        rag = rag.answerer(ExtractiveAnswerer::new(embedder).with_options(options));
    }
    let system = RagSystem::new(rag.build()?).with_query(Query::new("").with_top_k(args.top_k));
    // A language model tells no confidence; how near the best passage is stands in for it.
    Ok(if writes {
        system.with_confidence_by(ScoreKind::Cosine)
    } else {
        system
    })
}

fn ask(
    evaluator: &Evaluator,
    system: &dyn System,
    set: &AnswerSet,
) -> Result<Evaluation, Box<dyn std::error::Error>> {
    let bar = progress::bar("asking");
    bar.set_length(set.len() as u64);
    let mut failures = 0;
    let evaluation = evaluator.run(system, set, &mut |event| match event {
        EvaluateEvent::Answered { done, record, .. } => {
            bar.set_position(done as u64);
            if let ragtune::evaluate::Outcome::Failed(error) = &record.outcome {
                failures += 1;
                if failures <= FAILURES_SHOWN {
                    let text = format!("question {} failed: {error}", record.id);
                    bar.suspend(|| output::note!("{}", output::printable(&text)));
                }
            }
        }
        EvaluateEvent::Measuring { what } => bar.set_message(format!("measuring: {what}")),
        EvaluateEvent::Judged { done, .. } => bar.set_position(done as u64),
        _ => {}
    });
    bar.finish_and_clear();
    Ok(evaluation?)
}

fn show(evaluation: &Evaluation, folder: &Path) -> Outcome {
    let counts = evaluation.counts;
    output::line(output::printable(&format!(
        "{}: {} questions, {} answered, {} abstained, {} failed\n",
        evaluation.name, counts.questions, counts.answered, counts.abstained, counts.failed
    )))?;
    output::piece(evaluation.table())?;
    if !evaluation.absent.is_empty() {
        output::line("")?;
        output::piece(evaluation.absent_table())?;
    }
    for note in &evaluation.notes {
        output::line(format_args!("\n{note}"))?;
    }
    if let Some(unknown) = evaluation.unknown_sources.first() {
        let count = evaluation.unknown_sources.len();
        let text = format!(
            "{count} right sources do not exist, {:?} first; they count as missed",
            unknown.document
        );
        output::line(format_args!("\n{}", output::printable(&text)))?;
    }
    if let Some(bytes) = evaluation.peak_bytes {
        output::line(format_args!(
            "\npeak memory of the process: {:.0} MB",
            bytes as f64 / 1e6
        ))?;
    }
    output::line(format_args!("report: {}", folder.join("report.html").display()))
}

fn as_json(args: &Args, evaluation: &Evaluation, folder: &Path) -> Value {
    let metrics: serde_json::Map<String, Value> = evaluation
        .metrics
        .iter()
        .map(|measured| {
            let value = json!({
                "mean": measured.value,
                "low": measured.low,
                "high": measured.high,
                "questions": measured.questions,
            });
            (measured.name.clone(), value)
        })
        .collect();
    let absent: serde_json::Map<String, Value> = evaluation
        .absent
        .iter()
        .map(|absent| (absent.name.clone(), Value::from(absent.reason.as_str())))
        .collect();
    json!({
        "dataset": args.dataset(),
        "system": evaluation.name,
        "counts": evaluation.counts,
        "metrics": metrics,
        "absent": absent,
        "notes": evaluation.notes,
        "unknown_sources": evaluation.unknown_sources.len(),
        "judge": evaluation.judge,
        "peak_bytes": evaluation.peak_bytes,
        "folder": folder,
    })
}
