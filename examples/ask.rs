//! Answers a question from a folder of documents, with sources, offline.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use ragtune::core::device::{self, DeviceSpec};
use ragtune::core::models::CrossEncoder;
use ragtune::core::weights::Precision;
use ragtune::retrieve::{Mode, SearchOptions, SyncEvent, SyncOptions, SyncReport};
use ragtune::{Answer, Filter, GenerateOptions, Generator, KnowledgeBase, Query, Rag};
use ragtune_examples::embedder::EmbedderChoice;
use ragtune_examples::language_model::{self, AdapterArgs, ModelArgs};
use ragtune_examples::openai::OpenAiArgs;
use ragtune_examples::{Outcome, filter, output, progress, sync_report};
use serde_json::{Value, json};

/// Answer a question from a folder of documents, with sources, offline.
///
/// Sentences are quoted, or written by a language model (--model, --openai) that cites what it read. The folder is
/// indexed on the first run; later runs read only what has changed. Without FOLDER and QUESTION the program answers a
/// question about ragtune from its own documentation.
#[derive(Parser)]
#[command(
    name = "ask",
    after_help = "Examples:
  ask notes \"When does the contract with the landlord end?\"
  ask contract.pdf \"Who pays for repairs?\"
  ask notes \"Who is invited?\" --filter path^=2025/ --filter format=markdown
  ask src \"Where are spans checked?\" --mode lexical --top-k 3
  ask notes \"Which tea is the strongest?\" --model models/qwen3-0.6b
  ask notes \"...\" --embedder runs/search/model --reranker runs/order/model --model models/qwen3-0.6b --adapter runs/style/adapter
  ask notes \"...\" --openai http://localhost:8000/v1 --openai-model qwen3-0.6b
  ask notes \"...\" --embedder hub:sentence-transformers/multi-qa-MiniLM-L6-cos-v1 --json"
)]
struct Args {
    /// Folder of documents, or a single one: PDF, Word, PowerPoint, Excel, EPUB, Markdown, HTML, CSV, JSON, source code, text
    #[arg(requires = "question")]
    folder: Option<PathBuf>,
    /// The question
    question: Option<String>,
    /// Sentence encoder: `builtin`, a model folder, or `hub:OWNER/NAME`
    #[arg(long, default_value = "builtin")]
    embedder: EmbedderChoice,
    /// Cross-encoder that orders the passages found again: a model folder, such as `finetune --task rerank` writes, or
    /// `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    reranker: Option<String>,
    /// Language model that writes the answer from the passages, citing them: a folder in Hugging Face layout, or
    /// `hub:OWNER/NAME`; without it, sentences are quoted
    #[arg(long, value_name = "DIR", group = "writer")]
    model: Option<String>,
    #[command(flatten)]
    openai: OpenAiArgs,
    /// Folder of a PEFT adapter beside the language model, or `hub:OWNER/NAME`. May be given several times
    #[arg(long, value_name = "DIR", requires = "model")]
    adapter: Vec<String>,
    /// Where the language model runs: cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, default_value = "cpu", requires = "model")]
    device: DeviceSpec,
    /// Keep the language model's weights in f32, bf16, f16, int8 or int4, rounded while they are loaded [default: as the
    /// files have them]
    #[arg(long, requires = "model")]
    precision: Option<Precision>,
    /// Tokens of a written answer at most [default: 512, at most a quarter of the model's context]
    #[arg(long, value_name = "N", requires = "writer")]
    max_tokens: Option<usize>,
    /// Where the index is kept, one for each FOLDER [default: a folder of this program in the user's cache]
    #[arg(long, value_name = "DIR", conflicts_with = "in_memory")]
    store: Option<PathBuf>,
    /// Keep the index in memory only
    #[arg(long)]
    in_memory: bool,
    /// How passages are found
    #[arg(long, value_enum, default_value_t = ModeChoice::Hybrid)]
    mode: ModeChoice,
    /// Passages to read for the answer
    #[arg(long, default_value_t = 8, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    top_k: usize,
    /// Only documents that meet this condition: NAME=VALUE, NAME^=PREFIX, NAME>=VALUE, NAME<=VALUE, NAME!=VALUE, NAME=A|B;
    /// names are `path`, `title`, `format`, `language`. May be given several times; all must hold
    #[arg(long, value_parser = filter::parse)]
    filter: Vec<Filter>,
    /// Name every file that was skipped or read in part, not only the first 10 of each
    #[arg(long)]
    all_skipped: bool,
    /// Print exactly one JSON object on standard output; `start` and `end` are bytes of the text as it was decoded, which
    /// are those of the file where it is UTF-8 without a byte order mark (HTML is decoded to Markdown)
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ModeChoice {
    Dense,
    Lexical,
    Hybrid,
}

impl From<ModeChoice> for Mode {
    fn from(mode: ModeChoice) -> Self {
        match mode {
            ModeChoice::Dense => Self::Dense,
            ModeChoice::Lexical => Self::Lexical,
            ModeChoice::Hybrid => Self::Hybrid,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| ask(&args))
}

fn ask(args: &Args) -> Outcome {
    let folder = args
        .folder
        .clone()
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs"));
    let question = args
        .question
        .as_deref()
        .unwrap_or("How does ragtune check citations?");

    if question.trim().is_empty() {
        return Err("the question is empty".into());
    }
    // A model that does not load says so before the documents are read.
    let generator = writer(args)?;
    let reranker = match &args.reranker {
        Some(model) => Some(CrossEncoder::load(
            language_model::folder(model)?,
            &device::cpu(),
        )?),
        None => None,
    };
    let base = open(args, &folder)?;
    is_of(&base, &folder)?;
    match sync(&base, &folder) {
        Ok(report) => {
            for line in sync_report::lines(&report, args.all_skipped) {
                output::note!("{line}");
            }
            if base.stats()?.chunks == 0 {
                output::note!("{}", sync_report::nothing_found(&folder));
            }
        }
        Err(ragtune::retrieve::Error::Locked { .. }) => {
            output::note!("{}", sync_report::written_by_another(base.stats()?.documents)?);
        }
        Err(error) => return Err(error.into()),
    }

    let mut rag = Rag::builder().retriever(base);
    if let Some(reranker) = reranker {
        rag = rag.reranker(reranker);
    }
    if let Some(generator) = generator {
        let max_tokens = args.max_tokens.unwrap_or(512.min(generator.context_tokens() / 4));
        rag = rag
            .generate_options(GenerateOptions::default().with_max_tokens(max_tokens))
            .generator(generator);
    }
    let rag = rag.build()?;
    let mut query = Query::new(question).with_top_k(args.top_k);
    if let Some(filter) = filter::all(&args.filter) {
        query = query.with_filter(filter);
    }
    let answer = rag.ask(query)?;
    if args.json {
        return output::json(&as_json(&answer));
    }
    output::line(output::printable(&format!("{question}\n\n{answer}")))
}

/// The language model that writes the answer, if one is to.
fn writer(args: &Args) -> Result<Option<Box<dyn Generator>>, Box<dyn std::error::Error>> {
    let Some(model) = &args.model else {
        return args.openai.generator();
    };
    let model = ModelArgs {
        model: model.clone(),
        device: args.device,
        adapters: AdapterArgs {
            adapter: args.adapter.clone(),
            adapter_weight: Vec::new(),
        },
        precision: args.precision,
        context_tokens: None,
    };
    Ok(Some(Box::new(model.load()?)))
}

fn open(args: &Args, folder: &Path) -> Result<KnowledgeBase, Box<dyn std::error::Error>> {
    let base = if args.in_memory {
        KnowledgeBase::in_memory()?
    } else {
        let store = args
            .store
            .clone()
            .or_else(|| cached_store(folder, &args.embedder));
        let store =
            store.ok_or("no cache folder is known (HOME is not set): give --store DIR or --in-memory")?;
        output::note!("index: {}", output::on_one_line(&store.display().to_string()));
        KnowledgeBase::open(store)?
    };
    let search = SearchOptions::default().with_mode(args.mode.into());
    let base = base.with_embedder(args.embedder.load()?).map_err(other_encoder)?;
    Ok(base.with_search(search))
}

/// What to do about an index of another encoder, in this program's words.
fn other_encoder(error: ragtune::retrieve::Error) -> Box<dyn std::error::Error> {
    match error {
        ragtune::retrieve::Error::EmbedderMismatch { .. } => {
            "the index was built with another encoder: name that one by --embedder, or another --store".into()
        }
        error => error.into(),
    }
}

/// Refuses an index of another folder, whose documents would be answered from as well.
fn is_of(base: &KnowledgeBase, folder: &Path) -> Outcome {
    let here = folder.canonicalize().ok();
    let is_other = |there: &String| Path::new(there).canonicalize().ok() != here;
    match base.folders()?.into_iter().find(is_other) {
        Some(other) if here.is_some() => Err(format!(
            "the index is of {}, and an index is kept for one folder: name another --store",
            output::on_one_line(&other)
        )
        .into()),
        _ => Ok(()),
    }
}

/// One folder of the user's cache for each folder of documents and encoder.
fn cached_store(folder: &Path, embedder: &EmbedderChoice) -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = || set("HOME").map(|home| home.join(".cache"));
    let cache = set("XDG_CACHE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(home)?;
    let mut hasher = DefaultHasher::new();
    folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_owned())
        .hash(&mut hasher);
    format!("{embedder:?}").hash(&mut hasher);
    Some(cache.join("ragtune").join(format!("{:016x}", hasher.finish())))
}

fn sync(base: &KnowledgeBase, folder: &Path) -> Result<SyncReport, ragtune::retrieve::Error> {
    let bar = progress::bar("reading");
    let shown = bar.clone();
    let options = SyncOptions::default().with_on_event(move |event| match event {
        SyncEvent::Scanned { files } => shown.set_length(*files as u64),
        SyncEvent::File { done, .. } => shown.set_position(*done as u64),
        SyncEvent::Embedded { done, total } => {
            shown.set_message("embedding");
            shown.set_length(*total as u64);
            shown.set_position(*done as u64);
        }
        _ => {}
    });
    let report = base.sync_folder_with(folder, &options)?;
    // What merges beside the sync would end with the program.
    base.finish_merging()?;
    bar.finish_and_clear();
    Ok(report)
}

fn as_json(answer: &Answer) -> Value {
    let citations: Vec<Value> = answer
        .citations
        .iter()
        .map(|c| {
            json!({
                "source": c.source,
                "path": c.document_id,
                "place": c.locator,
                "start": c.span.start,
                "end": c.span.end,
                "text": c.text,
            })
        })
        .collect();
    let sources: Vec<Value> = answer
        .sources
        .iter()
        .map(|source| {
            let chunk = &source.chunk.chunk;
            json!({
                "source": source.number,
                "path": chunk.document_id,
                "place": chunk.locator,
                "start": chunk.span.start,
                "end": chunk.span.end,
                "scores": source.chunk.scores,
            })
        })
        .collect();
    let timings = &answer.trace.timings;
    // Why the model stopped writing; quoted sentences have no such end.
    let finish = answer.trace.calls.iter().rev().find_map(|call| call.finish);
    json!({
        "question": answer.question,
        "answer": answer.text,
        "abstained": answer.abstention.as_ref().map(ToString::to_string),
        "finish": finish,
        "citations": citations,
        "sources": sources,
        "timings_ms": {
            "retrieve": timings.retrieve_ms,
            "rerank": timings.rerank_ms,
            "answer": timings.answer_ms,
            "total": timings.total_ms,
        },
    })
}
