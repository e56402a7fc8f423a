//! A model's folder with its weight matrices in fewer bits, and how near a sentence encoder's vectors stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ragtune::core::device;
use ragtune::core::models::Encoder;
use ragtune::core::text::{Embedder, Role};
use ragtune::core::weights::{Checkpoint, Precision, StagedFolder, quantise_to_file};
use ragtune_examples::{Outcome, output, side_files};

/// Write the folder of a language model or a sentence encoder with smaller weights.
///
/// Matrices become int8 (groups of 64), int4 (groups of 32; tables of words and output layers int8), bf16 or f16, in the
/// layout of docs/formats.md; tokenizer, settings and chat templates are copied. The folder loads wherever the original does in ragtune. With
/// --texts the vectors of two sentence encoders are compared.
#[derive(Parser)]
#[command(
    name = "quantize",
    after_help = "Examples:
  quantize --model models/smollm2-135m --precision int4 --out models/smollm2-135m-int4
  quantize --model models/all-minilm-l6-v2 --out models/all-minilm-l6-v2-int8 --texts sentences.txt"
)]
struct Args {
    /// Folder of the model, with model.safetensors or its shards
    #[arg(long)]
    model: PathBuf,
    /// bf16, f16, int8 or int4
    #[arg(long, default_value = "int8")]
    precision: Precision,
    /// Folder to write; it must not exist
    #[arg(long)]
    out: PathBuf,
    /// File with one text a line, whose vectors are compared
    #[arg(long)]
    texts: Option<PathBuf>,
    /// Cut the weights file into so many byte ranges beside it, model.safetensors.part-1 and so on
    #[arg(long, default_value_t = 1, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100))]
    parts: usize,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| run(&args))
}

fn run(args: &Args) -> Outcome {
    let checkpoint = Checkpoint::open(&args.model)?;
    let staged = StagedFolder::create(&args.out)?;
    let bytes = write(args, &checkpoint, staged.path())?;
    staged.commit()?;
    let cosines = match &args.texts {
        Some(texts) => Some(compare(args, &fs::read_to_string(texts)?)?),
        None => None,
    };
    if args.json {
        let (min, mean) = cosines.unzip();
        let report = serde_json::json!({
            "precision": args.precision, "bytes": bytes, "min_cosine": min, "mean_cosine": mean,
        });
        output::json(&report)?;
    } else {
        output::line(format_args!(
            "{}: {bytes} bytes of weights in {}",
            args.out.display(),
            args.precision
        ))?;
        if let Some((min, mean)) = cosines {
            output::line(format_args!(
                "cosine to the original: at least {min:.6}, {mean:.6} on average"
            ))?;
        }
    }
    Ok(())
}

/// Writes weights and side files, and returns the bytes of the weights.
fn write(args: &Args, checkpoint: &Checkpoint, folder: &Path) -> Result<u64, Box<dyn std::error::Error>> {
    side_files::copy(&args.model, folder)?;
    let file = folder.join(Checkpoint::FILE);
    let bytes = quantise_to_file(checkpoint, args.precision, &file)?;
    if args.parts > 1 {
        let weights = fs::read(&file)?;
        for part in 0..args.parts {
            let end = |part: usize| weights.len() * part / args.parts;
            let name = format!("{}.part-{}", Checkpoint::FILE, part + 1);
            fs::write(folder.join(name), &weights[end(part)..end(part + 1)])?;
        }
    }
    Ok(bytes)
}

/// The least and the mean cosine of the two encoders' vectors.
fn compare(args: &Args, texts: &str) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let texts: Vec<&str> = texts.lines().filter(|line| !line.trim().is_empty()).collect();
    if texts.is_empty() {
        return Err("--texts has no text".into());
    }
    let whole = Encoder::load(&args.model, &device::cpu())?.embed(&texts, Role::Document)?;
    let small = Encoder::load(&args.out, &device::cpu())?.embed(&texts, Role::Document)?;
    let cosines: Vec<f64> = whole
        .rows()
        .zip(small.rows())
        .map(|(a, b)| cosine(a, b))
        .collect();
    let min = cosines.iter().copied().fold(f64::INFINITY, f64::min);
    Ok((min, cosines.iter().sum::<f64>() / cosines.len() as f64))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |x: &[f32], y: &[f32]| -> f64 { x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
