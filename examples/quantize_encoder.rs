//! A sentence encoder's folder with its weight matrices in int8, and how near its vectors stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ragtune::core::device;
use ragtune::core::models::Encoder;
use ragtune::core::text::{Embedder, Role};
use ragtune::core::weights::{Checkpoint, quantise_checkpoint};
use ragtune_examples::{Outcome, output};

/// Write a sentence encoder's folder with int8 weights, about a quarter of the size.
///
/// Matrices become int8 in groups of 64 with F16 scales (docs/formats.md); everything else is copied. The folder loads
/// wherever the original does in ragtune. With --texts the vectors of both are compared.
#[derive(Parser)]
#[command(
    name = "quantize_encoder",
    after_help = "Example:
  quantize_encoder --from models/all-minilm-l6-v2 --to models/all-minilm-l6-v2-int8 --texts sentences.txt"
)]
struct Args {
    /// Folder of the model, with model.safetensors or its shards
    #[arg(long)]
    from: PathBuf,
    /// Folder to write; it must not exist
    #[arg(long)]
    to: PathBuf,
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
    let weights = quantise_checkpoint(&Checkpoint::open(&args.from)?)?;
    fs::create_dir(&args.to).map_err(|error| format!("cannot create {}: {error}", args.to.display()))?;
    copy_side_files(&args.from, &args.to)?;
    fs::write(args.to.join(Checkpoint::FILE), &weights)?;
    if args.parts > 1 {
        for part in 0..args.parts {
            let (from, to) = (
                weights.len() * part / args.parts,
                weights.len() * (part + 1) / args.parts,
            );
            let name = format!("{}.part-{}", Checkpoint::FILE, part + 1);
            fs::write(args.to.join(name), &weights[from..to])?;
        }
    }
    let cosines = match &args.texts {
        Some(texts) => Some(compare(args, &fs::read_to_string(texts)?)?),
        None => None,
    };
    if args.json {
        let (min, mean) = cosines.unzip();
        let report = serde_json::json!({ "bytes": weights.len(), "min_cosine": min, "mean_cosine": mean });
        output::json(&report)?;
    } else {
        println!("{}: {} bytes of weights", args.to.display(), weights.len());
        if let Some((min, mean)) = cosines {
            println!("cosine to the original: at least {min:.6}, {mean:.6} on average");
        }
    }
    Ok(())
}

/// Copies everything but weights, in the folder and the folders of its modules.
fn copy_side_files(from: &Path, to: &Path) -> Outcome {
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let is_side_file = path.extension().is_some_and(|extension| {
            ["json", "txt", "model", "jinja"]
                .iter()
                .any(|side| extension == *side)
        });
        if path.is_dir() && path.join("config.json").exists() {
            fs::create_dir(to.join(&name))?;
            for inner in fs::read_dir(&path)? {
                let inner = inner?;
                fs::copy(inner.path(), to.join(&name).join(inner.file_name()))?;
            }
        } else if is_side_file && name != Checkpoint::INDEX {
            fs::copy(&path, to.join(&name))?;
        }
    }
    Ok(())
}

/// The least and the mean cosine of the two encoders' vectors.
fn compare(args: &Args, texts: &str) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let texts: Vec<&str> = texts.lines().filter(|line| !line.trim().is_empty()).collect();
    if texts.is_empty() {
        return Err("--texts has no text".into());
    }
    let whole = Encoder::load(&args.from, &device::cpu())?.embed(&texts, Role::Document)?;
    let small = Encoder::load(&args.to, &device::cpu())?.embed(&texts, Role::Document)?;
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
