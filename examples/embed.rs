//! Texts to vectors, from a file or standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use ragtune::core::text::{Embedder, Role};
use ragtune_examples::embedder::EmbedderChoice;
use ragtune_examples::{Outcome, output, progress};
use serde_json::{Value, json};

/// Texts that are embedded at a time.
const BATCH: usize = 256;

/// Turn texts, one a line, into vectors.
///
/// Without --out the vectors go to standard output as JSON lines: {"text", "vector"}.
#[derive(Parser)]
#[command(
    name = "embed",
    after_help = "Examples:
  embed texts.txt --out vectors.npy
  echo \"green tea\" | embed
  embed questions.txt --role query --embedder models/e5-small --out vectors.jsonl --json"
)]
struct Args {
    /// File with one text a line; standard input when absent or `-`
    file: Option<PathBuf>,
    /// Sentence encoder: `builtin`, a model folder, or `hub:OWNER/NAME`
    #[arg(long, default_value = "builtin")]
    embedder: EmbedderChoice,
    /// What the texts are; models with prompts treat the two differently
    #[arg(long, value_enum, default_value_t = RoleChoice::Document)]
    role: RoleChoice,
    /// Write the vectors here: .npy (array of float32, one row a text) or .jsonl
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print exactly one JSON object on standard output; it holds the vectors unless --out is given
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleChoice {
    Query,
    Document,
}

fn main() -> ExitCode {
    let args = Args::parse();
    output::run(|| embed(&args))
}

fn embed(args: &Args) -> Outcome {
    let texts = read(args.file.as_deref())?;
    let format = args.out.as_deref().map(format_of).transpose()?;
    let encoder = args.embedder.load()?;
    let role = match args.role {
        RoleChoice::Query => Role::Query,
        RoleChoice::Document => Role::Document,
    };

    let started = Instant::now();
    let bar = progress::bar("embedding");
    bar.set_length(texts.len() as u64);
    let mut vectors = Vec::with_capacity(texts.len() * encoder.dim());
    let mut truncated = 0;
    for batch in texts.chunks(BATCH) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        let embedded = encoder.embed(&batch, role)?;
        truncated += embedded.truncated();
        vectors.extend_from_slice(embedded.as_slice());
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let dim = encoder.dim();
    output::note!(
        "{} texts, {dim} dimensions, {truncated} truncated, {seconds:.2} s",
        texts.len()
    );

    if let (Some(path), Some(format)) = (&args.out, format) {
        let mut file =
            BufWriter::new(File::create(path).map_err(|error| format!("{}: {error}", path.display()))?);
        match format {
            Format::Npy => write_npy(&mut file, dim, &vectors)?,
            Format::JsonLines => write_json_lines(&mut file, &texts, dim, &vectors)?,
        }
        file.into_inner()?.sync_all()?;
        output::note!("wrote {}", path.display());
    }
    if args.json {
        let rows: Option<Vec<&[f32]>> = args.out.is_none().then(|| vectors.chunks_exact(dim).collect());
        let mut object = json!({
            "embedder": encoder.id(),
            "texts": texts.len(),
            "dim": dim,
            "truncated": truncated,
            "seconds": seconds,
            "out": args.out,
        });
        if let Some(rows) = rows {
            object["vectors"] = json!(rows);
        }
        return output::json(&object);
    }
    if args.out.is_none() {
        write_json_lines(&mut std::io::stdout().lock(), &texts, dim, &vectors)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Format {
    Npy,
    JsonLines,
}

fn format_of(path: &Path) -> Result<Format, String> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => Ok(Format::Npy),
        Some("jsonl") => Ok(Format::JsonLines),
        _ => Err(format!("{}: name the output .npy or .jsonl", path.display())),
    }
}

fn read(file: Option<&Path>) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let reader: Box<dyn BufRead> = match file {
        Some(path) if path != Path::new("-") => Box::new(BufReader::new(
            File::open(path).map_err(|error| format!("{}: {error}", path.display()))?,
        )),
        _ => Box::new(std::io::stdin().lock()),
    };
    let mut texts = Vec::new();
    for (number, line) in reader.lines().enumerate() {
        let name = file.unwrap_or(Path::new("-")).display();
        texts.push(line.map_err(|error| format!("{name}, line {}: {error}", number + 1))?);
    }
    Ok(texts)
}

/// NumPy's format, version 1.0: magic, header length, a Python dictionary padded to 64 bytes, little-endian data
/// (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
fn write_npy(out: &mut impl Write, dim: usize, vectors: &[f32]) -> std::io::Result<()> {
    let rows = vectors.len() / dim.max(1);
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let unpadded = 10 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for component in vectors {
        out.write_all(&component.to_le_bytes())?;
    }
    out.flush()
}

fn write_json_lines(out: &mut impl Write, texts: &[String], dim: usize, vectors: &[f32]) -> Outcome {
    for (text, vector) in texts.iter().zip(vectors.chunks_exact(dim)) {
        let line: Value = json!({"text": text, "vector": vector});
        writeln!(out, "{line}")?;
    }
    Ok(())
}
