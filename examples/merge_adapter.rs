//! Folds adapters into a language model's weights and writes the model as a folder.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use ragtune::core::adapters::{AdapterSet, AdapterStack};
use ragtune::core::device;
use ragtune::core::models::CausalLm;
use ragtune::core::weights::{Checkpoint, FloatType};
use ragtune_examples::language_model::folder;
use ragtune_examples::{Outcome, output};
use serde_json::json;

/// Write a language model with PEFT adapters folded into its weights.
///
/// The result is a plain checkpoint that needs no adapter: its logits are those of the base with the adapters beside it.
/// Tokenizer, chat template and settings are copied from the base. Several adapters act one after another, each with its
/// weight. The folder appears whole or not at all.
#[derive(Parser)]
#[command(
    name = "merge_adapter",
    after_help = "Examples:
  merge_adapter --model models/smollm2-135m --adapter adapters/style --out models/smollm2-style
  merge_adapter --model models/qwen3-0.6b --adapter a --weight 0.7 --adapter b --weight 0.3 --out ab --dtype bf16"
)]
struct Args {
    /// The base: a folder in Hugging Face layout, or `hub:OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    model: String,
    /// Folder of a PEFT adapter (LoRA, DoRA, (IA)³), or `hub:OWNER/NAME`. May be given several times
    #[arg(long, required = true, value_name = "DIR")]
    adapter: Vec<String>,
    /// What the change of each adapter is multiplied by, in their order [default: 1 for each]
    #[arg(long, allow_negative_numbers = true, value_name = "X")]
    weight: Vec<f64>,
    /// Folder to write; it must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Type of the stored weights: f32, f16 or bf16 [default: that of the base]
    #[arg(long)]
    dtype: Option<FloatType>,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| run(&args))
}

fn run(args: &Args) -> Outcome {
    let weights = match args.weight.len() {
        0 => vec![1.0; args.adapter.len()],
        given if given == args.adapter.len() => args.weight.clone(),
        given => {
            return Err(format!(
                "{given} weights for {} adapters; give one for each",
                args.adapter.len()
            )
            .into());
        }
    };
    // Before the model is loaded, which would say the same.
    if let Some(weight) = weights.iter().find(|&&weight| !(weight as f32).is_finite()) {
        return Err(format!("--weight {weight} is not a finite number of 32 bits").into());
    }
    let source = folder(&args.model)?;
    let dtype = match args.dtype {
        Some(dtype) => dtype,
        None => stored_type(&Checkpoint::open(&source)?),
    };
    let mut lm = CausalLm::load(&source, &device::cpu())?;
    let (mut stack, mut parameters) = (AdapterStack::base(), 0);
    for (adapter, weight) in args.adapter.iter().zip(weights) {
        let set = AdapterSet::load(folder(adapter)?, &lm)?;
        parameters += set.parameters();
        stack = stack.with(Arc::new(set), weight);
    }
    let _ = lm.merge(&stack)?;
    lm.save(&source, &args.out, dtype)?;
    if args.json {
        output::json(&json!({
            "out": args.out,
            "adapters": args.adapter.len(),
            "adapter_parameters": parameters,
            "dtype": dtype.to_string(),
            "tied": lm.config().tie_word_embeddings,
        }))
    } else {
        output::line(format_args!(
            "{}: {} adapters of {parameters} parameters folded in, {dtype}",
            args.out.display(),
            args.adapter.len()
        ))
    }
}

/// The type of most of a checkpoint's tensors; f32 where it is none that is written.
fn stored_type(checkpoint: &Checkpoint) -> FloatType {
    let is = |kind: &str| {
        let names = checkpoint.names();
        names
            .filter(|name| checkpoint.dtype(name).as_deref() == Some(kind))
            .count()
    };
    match (is("F16"), is("BF16"), is("F32")) {
        (f16, bf16, f32) if f16 > bf16.max(f32) => FloatType::F16,
        (_, bf16, f32) if bf16 > f32 => FloatType::Bf16,
        _ => FloatType::F32,
    }
}
