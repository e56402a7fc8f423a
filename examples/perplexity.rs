//! How well a language model foretells a text.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ragtune::core::device::DeviceSpec;
use ragtune::core::generation::perplexity;
use ragtune::core::models::CausalLm;
use ragtune::core::weights::Precision;
use ragtune_examples::language_model::{self, AdapterArgs};
use ragtune_examples::{Outcome, output, progress};
use serde_json::json;

/// Tokens of a window unless the model or the command line says less.
const MAX_CONTEXT: usize = 2048;

/// Measure the perplexity of a language model on a text, as the sliding window of the transformers documentation does.
///
/// Windows of --context tokens begin every --stride tokens; in each, the tokens count that no earlier window has. A smaller
/// stride gives every token more text before it, and takes longer.
#[derive(Parser)]
#[command(
    name = "perplexity",
    after_help = "Examples:
  perplexity --model models/stories260K --text tinyshakespeare.txt --stride 256 --json
  perplexity --model models/qwen3-0.6b --adapter adapters/style --text style.txt"
)]
struct Args {
    /// Language model: a folder in Hugging Face layout, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    model: String,
    #[command(flatten)]
    adapters: AdapterArgs,
    /// File with the text, UTF-8
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Tokens from one window to the next [default: half a window]
    #[arg(long, value_name = "N")]
    stride: Option<usize>,
    /// Tokens of a window [default: what the model was made for, at most 2048]
    #[arg(long, value_name = "N")]
    context: Option<usize>,
    /// Read only so many tokens of the text
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Where the model runs: cpu, wgpu, wgpu:N, cuda, cuda:N
    #[arg(long, default_value = "cpu")]
    device: DeviceSpec,
    /// Keep the weights in f32, bf16, f16, int8 or int4, rounded while they are loaded [default: as the files have them]
    #[arg(long)]
    precision: Option<Precision>,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| run(&args))
}

fn run(args: &Args) -> Outcome {
    let text = std::fs::read_to_string(&args.text)
        .map_err(|error| format!("cannot read {}: {error}", args.text.display()))?;
    let lm = CausalLm::load_with(
        language_model::folder(&args.model)?,
        &args.device.device()?,
        &language_model::load_options(args.precision),
    )?;
    let adapters = args.adapters.stack(&lm)?;
    let mut ids = lm.tokenizer().encode_ordinary(&text, true)?.ids;
    ids.truncate(args.max_tokens.unwrap_or(usize::MAX));
    let made_for = lm.config().max_position_embeddings;
    let context = args.context.unwrap_or(made_for.min(MAX_CONTEXT));
    if context > made_for {
        return Err(format!("the model was made for {made_for} tokens, not for windows of {context}").into());
    }
    let stride = args.stride.unwrap_or(context.div_ceil(2).max(2));
    let bar = progress::bar("tokens");
    let found = perplexity(&lm, &ids, context, stride, &adapters, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if args.json {
        return output::json(&json!({
            "perplexity": found.perplexity,
            "tokens": found.tokens,
            "context": found.context_tokens,
        }));
    }
    output::line(format_args!(
        "perplexity {:.4} on {} tokens, windows of {context}, stride {stride}",
        found.perplexity, found.tokens
    ))
}
