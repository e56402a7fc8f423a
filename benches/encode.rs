//! Sentence encoding with all-MiniLM-L6-v2 against sentence-transformers on PyTorch and against ONNX Runtime.
//!
//! `cargo bench -p ragtune-benches --bench encode`. Environment:
//!
//! - `RAGTUNE_SHARED`: a folder with `models/all-minilm-l6-v2` and `data/rust-book`. Without it the built-in model runs
//!   alone, on this repository's own text.
//! - `RAGTUNE_PYTHON`: a Python with torch and sentence-transformers. Each round then runs ragtune and after it every
//!   peer, so that all see the same machine; quotients are medians over the rounds.
//! - `RAGTUNE_ONNX`: a file of `peers/encode_export.py`, for ONNX Runtime as a peer.
//! - `RAGTUNE_MKL_PRELOAD`: a library that makes MKL take its AVX-512 path on any processor (see the record), for PyTorch
//!   a second time with that.
//! - `RAGTUNE_THREADS` (2), `RAGTUNE_ROUNDS` (9), `RAGTUNE_BATCH_TOKENS` (the encoder's own).

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ragtune_core::device;
use ragtune_core::models::{Encoded, Encoder};
use ragtune_core::text::{Embedder, Role};

mod peer;

use peer::Peer;
use ragtune_benches::measure::{processor_seconds, setting};

/// Texts, tokens of each (special ones included), and passes of a round.
const SHAPES: [(usize, usize, usize); 4] = [(32, 128, 3), (128, 32, 3), (16, 256, 3), (1, 12, 60)];
/// Paragraphs of natural length.
const PARAGRAPHS: usize = 256;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Seconds and processor seconds of a round.
type Round = (f64, f64);

struct Load {
    name: String,
    texts: Vec<String>,
    passes: usize,
}

fn main() -> Result<()> {
    let threads = setting("RAGTUNE_THREADS").unwrap_or(2);
    let rounds = setting("RAGTUNE_ROUNDS").unwrap_or(9);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let shared = std::env::var_os("RAGTUNE_SHARED").map(PathBuf::from);
    let folder = shared
        .as_ref()
        .map(|shared| shared.join("models/all-minilm-l6-v2"));
    let mut encoder = match &folder {
        Some(folder) => Encoder::load(folder, &device::cpu())?,
        None => Encoder::builtin()?,
    };
    if let Some(tokens) = setting("RAGTUNE_BATCH_TOKENS") {
        encoder = encoder.with_batch_tokens(tokens)?;
    }
    let loads = loads(&encoder, &corpus(shared.as_deref())?)?;
    let mut peers = match &folder {
        Some(folder) => Peer::all("encode_peer.py", folder, threads, &[])?,
        None => Vec::new(),
    };
    println!(
        "{threads} threads, f32, medians of {rounds} alternating rounds; (cpu) is processor time, all threads"
    );
    for peer in &peers {
        println!("{}: {}", peer.name, peer.version);
    }
    let columns: Vec<String> = peers
        .iter()
        .map(|peer| format!(" {0} ms (cpu) | speed, {0} = 1 | same by cpu |", peer.name))
        .collect();
    println!("\n| texts | what | ragtune ms (cpu) |{}", columns.concat());
    println!("|---|---|---|{}", "---|---|---|".repeat(peers.len()));
    for load in &loads {
        for peer in &mut peers {
            peer.set(&load.texts)?;
        }
        let texts: Vec<&str> = load.texts.iter().map(String::as_str).collect();
        let encoded = encoder.tokenize(&texts, Role::Document)?;
        for what in ["forward", "whole"] {
            let mut own = Vec::new();
            let mut others: Vec<Vec<Round>> = vec![Vec::new(); peers.len()];
            for round in 0..=rounds {
                let measured = run(&encoder, what, &texts, &encoded, load.passes)?;
                let mut answers = Vec::new();
                for peer in &mut peers {
                    answers.push(peer.run(what, load.passes)?);
                }
                if round > 0 {
                    // the first round warms all up
                    own.push(measured);
                    for (other, answer) in others.iter_mut().zip(answers) {
                        other.push(answer);
                    }
                }
            }
            let cells: Vec<String> = others
                .iter()
                .map(|other| compare(&own, other, load.passes))
                .collect();
            let own = times(&own, load.passes);
            println!("| {} | {what} | {own} |{}", load.name, cells.concat());
        }
        let tokenization = (0..rounds).map(|_| -> Result<Round> {
            timed(load.passes, || {
                black_box(encoder.tokenize(&texts, Role::Document)?);
                Ok(())
            })
        });
        let tokenization: Vec<Round> = tokenization.collect::<Result<_>>()?;
        println!(
            "| {} | tokenization | {} |{}",
            load.name,
            times(&tokenization, load.passes),
            " | | |".repeat(peers.len())
        );
    }
    Ok(())
}

fn run(encoder: &Encoder, what: &str, texts: &[&str], encoded: &[Encoded], passes: usize) -> Result<Round> {
    timed(passes, || {
        black_box(match what {
            "forward" => encoder.embed_tokens(encoded, Role::Document)?,
            _ => encoder.embed(texts, Role::Document)?,
        });
        Ok(())
    })
}

fn timed(passes: usize, mut pass: impl FnMut() -> Result<()>) -> Result<Round> {
    let (start, before) = (Instant::now(), processor_seconds());
    for _ in 0..passes {
        pass()?;
    }
    Ok((start.elapsed().as_secs_f64(), processor_seconds() - before))
}

/// Milliseconds of a pass, and of processor time.
fn times(rounds: &[Round], passes: usize) -> String {
    let of = |part: fn(&Round) -> f64| median(rounds.iter().map(part)) * 1e3 / passes as f64;
    format!("{:.2} ({:.1})", of(|round| round.0), of(|round| round.1))
}

fn compare(own: &[Round], other: &[Round], passes: usize) -> String {
    let pairs = || own.iter().zip(other);
    let ratios = || pairs().map(|(own, other)| other.0 / own.0);
    format!(
        " {} | {:.2} ({:.2} to {:.2}) | {:.2} |",
        times(other, passes),
        median(ratios()),
        ratios().fold(f64::INFINITY, f64::min),
        ratios().fold(0.0, f64::max),
        median(pairs().map(|(own, other)| other.1 / own.1)),
    )
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Paragraphs of real prose.
fn corpus(shared: Option<&Path>) -> Result<Vec<String>> {
    let mut text = String::new();
    match shared {
        Some(shared) => {
            let entries = fs::read_dir(shared.join("data/rust-book"))?;
            let mut files: Vec<PathBuf> = entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<_>>()?;
            files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
            files.sort();
            for file in files {
                text.push_str(&fs::read_to_string(file)?);
                text.push_str("\n\n");
            }
        }
        None => text.push_str(include_str!("../docs/numerics.md")),
    }
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    Ok(paragraphs.filter(|paragraph| paragraph.len() > 20).collect())
}

fn loads(encoder: &Encoder, corpus: &[String]) -> Result<Vec<Load>> {
    let mut words = corpus.iter().flat_map(|paragraph| paragraph.split(' ')).cycle();
    let mut loads = Vec::new();
    for (count, tokens, passes) in SHAPES {
        let texts = (0..count).map(|_| text_of(encoder, tokens, &mut words));
        loads.push(Load {
            name: format!("{count} x {tokens} tokens"),
            texts: texts.collect::<Result<_>>()?,
            passes,
        });
    }
    let texts: Vec<String> = corpus.iter().cycle().take(PARAGRAPHS).cloned().collect();
    let encoded = encoder.tokenize(
        &texts.iter().map(String::as_str).collect::<Vec<_>>(),
        Role::Document,
    )?;
    let lengths = || encoded.iter().map(|text| text.ids.len());
    let (least, most) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
    loads.push(Load {
        name: format!(
            "{PARAGRAPHS} paragraphs of {least} to {most} tokens, {} in all",
            lengths().sum::<usize>()
        ),
        texts,
        passes: 1,
    });
    Ok(loads)
}

/// Consecutive words that make exactly so many tokens, special ones included.
fn text_of<'a>(
    encoder: &Encoder,
    tokens: usize,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<String> {
    let content = tokens - encoder.tokenizer().special_tokens(false);
    let mut text = String::new();
    while encoder.tokenizer().count(&text)? < content {
        let word = words.next().ok_or("the corpus has no words")?;
        let longer = format!("{text} {word}");
        if encoder.tokenizer().count(&longer)? <= content {
            text = longer;
        }
    }
    Ok(text)
}
