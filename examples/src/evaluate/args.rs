//! The command line.

use std::path::{Path, PathBuf};

use clap::Parser;
use ragtune::LocalGenerator;
use ragtune::core::device::DeviceSpec;
use ragtune::core::weights::Precision;
use serde_json::{Value, json};

use crate::embedder::EmbedderChoice;
use crate::language_model::{AdapterArgs, ModelArgs};
use crate::number;
use crate::openai::OpenAiArgs;
use crate::reader::ReaderArgs;

/// Evaluate answers: words, sources, citations, support, abstention, latency; every mean with its 95 % interval.
///
/// FOLDER holds documents, and --questions is a file with a JSON object in a line: {"question": "..", "answers": [".."],
/// "sources": ["path below FOLDER"], "answerable": true}. Or FOLDER is a data set in BEIR layout (corpus.jsonl,
/// queries.jsonl with metadata.answer, qrels/), which brings its questions along. Sentences are quoted, or written by
/// a language model (--model, --openai), or a part of a passage is marked by a reader (--reader). The run leaves a folder with experiment.json, questions.jsonl and report.html.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "evaluate",
    after_help = "Examples:
  evaluate notes --questions questions.jsonl
  evaluate data/docs-rag --unanswerable off-topic.jsonl --out runs/docs-rag
  evaluate notes --questions questions.jsonl --model models/qwen3-0.6b --judge models/qwen3-4b
  evaluate notes --questions questions.jsonl --model models/qwen3-0.6b --closed-book
  evaluate notes --questions questions.jsonl --reader runs/reader/model --calibrate labelled.jsonl --max-error 0.2
  runs runs"
)]
pub struct Args {
    /// Folder of documents, or of a data set in BEIR layout
    pub folder: PathBuf,
    /// Questions with their answers: a .jsonl file, or .tsv with QUESTION, a tab, DOCUMENT
    #[arg(long, value_name = "FILE")]
    pub questions: Option<PathBuf>,
    /// More questions, which the documents do not answer: a JSON object with \"question\", or a plain text, in each line
    #[arg(long, value_name = "FILE")]
    pub unanswerable: Option<PathBuf>,
    /// Sentence encoder that finds passages: `builtin`, a model folder, or `hub:OWNER/NAME`
    #[arg(long, default_value = "builtin")]
    pub embedder: EmbedderChoice,
    /// Sentence encoder that measures similarity and support, the same for all systems that are to be compared
    #[arg(long, default_value = "builtin")]
    pub measure_with: EmbedderChoice,
    /// Cross-encoder that orders the passages found again: a model folder, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    pub reranker: Option<String>,
    /// Language model that writes the answers: a folder in Hugging Face layout, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR", group = "writer")]
    pub model: Option<String>,
    #[command(flatten)]
    pub openai: OpenAiArgs,
    #[command(flatten)]
    pub reader: ReaderArgs,
    /// Folder of a PEFT adapter beside the language model, or `hub:OWNER/NAME`. May be given several times
    #[arg(long, value_name = "DIR", requires = "model")]
    pub adapter: Vec<String>,
    /// Where the language models run: cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: DeviceSpec,
    /// Keep the language models' weights in f32, bf16, f16, int8 or int4 [default: as the files have them]
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Ask the language model without any document
    #[arg(long, requires = "writer")]
    pub closed_book: bool,
    /// Language model that judges whether cited texts carry what is said
    #[arg(long, value_name = "DIR")]
    pub judge: Option<String>,
    /// Passages to read for an answer
    #[arg(long, default_value_t = 10, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub top_k: usize,
    /// Tokens of a written answer at most
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = number::at_least_one)]
    pub max_tokens: usize,
    /// Least evidence, 0 to 1, for which sentences are quoted; 0 shows the whole risk-coverage curve
    #[arg(long, value_name = "P", conflicts_with_all = ["writer", "reader"], value_parser = number::share)]
    pub min_evidence: Option<f64>,
    /// What the system is called in reports [default: what it is made of]
    #[arg(long)]
    pub name: Option<String>,
    /// Where the run is left [default: runs/evaluate-DATASET-TIME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// What the questions are called.
    pub fn dataset(&self) -> String {
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// What the system is called.
    pub fn system_name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let writer = self.model.as_deref().or(self.openai.openai_model.as_deref());
        let last = |path: &Path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let writer = match (writer, &self.reader.reader) {
            (Some(model), _) => last(Path::new(model)),
            (None, Some(reader)) => format!("reader {}", last(reader)),
            (None, None) => "quoted sentences".to_owned(),
        };
        match self.closed_book {
            true => format!("{writer}, closed book"),
            false => format!("{writer}, passages by {}", self.embedder),
        }
    }

    /// Every setting that a result depends on.
    pub fn configuration(&self) -> Value {
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
            "reader": self.reader.configuration(),
            "top_k": self.top_k,
            "max_tokens": self.max_tokens,
            "min_evidence": self.min_evidence,
        })
    }

    /// Loads a language model.
    ///
    /// # Errors
    /// Those of loading.
    pub fn language_model(
        &self,
        model: &str,
        adapters: &[String],
    ) -> Result<LocalGenerator, Box<dyn std::error::Error>> {
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
