//! How well the thresholds of the measure `supported` tell, and which ones labelled sentences would set.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ragtune::evaluate::{AnswerSet, LabelledSentence, SupportThresholds};
use ragtune::retrieve::measure::BeirDataset;
use ragtune::{Cancel, Document, KnowledgeBase};
use ragtune_examples::embedder::EmbedderChoice;
use ragtune_examples::number::count;
use ragtune_examples::{Outcome, output};
use serde_json::json;

/// Check the thresholds from which on `evaluate` counts a sentence as carried by what it cites.
///
/// SENTENCES is a .jsonl file with {"sentence": "..", "cited": [".."], "is_carried": true} in each line, and "group" where sentences
/// belong together. Or it is a data set in BEIR layout whose questions have answers: the sentences of a right answer are carried by the
/// documents that are marked as relevant, and not by as many others that are found first.
#[derive(Parser)]
#[command(
    name = "check_support",
    after_help = "Examples:
  check_support labelled.jsonl
  check_support data/docs-rag --embedder models/all-minilm-l6-v2"
)]
struct Args {
    /// Labelled sentences, or a folder in BEIR layout
    sentences: PathBuf,
    /// Sentence encoder whose evidence counts: `builtin`, a model folder, or `hub:OWNER/NAME`
    #[arg(long, default_value = "builtin")]
    embedder: EmbedderChoice,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| check(&args))
}

fn check(args: &Args) -> Outcome {
    let embedder = args.embedder.load()?;
    let sentences = match args.sentences.is_dir() {
        true => {
            let set = AnswerSet::load_beir(&args.sentences)?;
            let data = BeirDataset::load(&args.sentences)?;
            let base = KnowledgeBase::in_memory()?.with_embedder(args.embedder.load()?)?;
            output::note!("embedding {}", count(data.documents.len(), "document"));
            base.add(
                data.documents
                    .iter()
                    .map(|document| Document::new(&document.id, document.content())),
            )?;
            LabelledSentence::of_answers(&set, &base, &Cancel::new())?
        }
        false => read(&args.sentences)?,
    };
    output::note!("measuring {}", count(sentences.len(), "sentence"));
    let calibration = SupportThresholds::calibrate(&sentences, Some(&embedder), &Cancel::new())?;
    match args.json {
        true => output::json(&json!(calibration)),
        false => output::line(&calibration),
    }
}

fn read(file: &Path) -> Result<Vec<LabelledSentence>, Box<dyn std::error::Error>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(number, line)| {
        serde_json::from_str(line).map_err(|error| format!("{shown}, line {number}: {error}").into())
    });
    parsed.collect()
}
