//! What is in a model's folder, and what it would take to run it, from headers and configurations alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ragtune::core::weights::ModelFiles;
use ragtune_examples::inspect::find;
use ragtune_examples::{Outcome, output};

/// Say what is in a model's folder: architecture, parameters, dtypes, and the memory it takes at each precision and
/// context length.
///
/// Takes a language model, an encoder, a sentence-transformers folder or a PEFT adapter. Only configurations and the
/// headers of the weights are read, so it takes no time however large the model is.
#[derive(Parser)]
#[command(
    name = "inspect",
    after_help = "Examples:
  inspect models/smollm2-135m
  inspect models/smollm2-135m --context 4096 --context 32768
  inspect adapters/my-lora --json"
)]
struct Args {
    /// Folder of the model or adapter
    folder: PathBuf,
    /// Tokens of context to compute the memory for, may be given several times [default: some up to the model's own]
    #[arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1 << 32))]
    context: Vec<usize>,
    /// Print exactly one JSON object on standard output; all sizes are bytes
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| inspect(&args))
}

fn inspect(args: &Args) -> Outcome {
    let mut found = find(&ModelFiles::folder(&args.folder)?, &args.context)?;
    if args.json {
        found.json["folder"] = args.folder.display().to_string().into();
        return output::json(&found.json);
    }
    let text = format!("{}\n{}", args.folder.display(), found.text);
    output::line(output::printable(text.trim_end()))?;
    Ok(())
}
