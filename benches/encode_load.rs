//! Time and memory of loading an encoder and of one enormous word; each case in a process of its own.
//!
//! `cargo bench -p ragtune-benches --bench encode_load`. The f32 folder is measured where `RAGTUNE_SHARED` names a folder
//! with `models/all-minilm-l6-v2`. Memory is read from /proc, so only on Linux.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use ragtune_core::device;
use ragtune_core::models::Encoder;
use ragtune_core::text::{Embedder, Role};

/// Bytes of the word.
const WORD: usize = 100_000_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    if let Ok(case) = std::env::var("ENCODE_LOAD_CASE") {
        return measure(&case);
    }
    for case in ["builtin", "folder", "word", "words"] {
        Command::new(std::env::current_exe()?)
            .env("ENCODE_LOAD_CASE", case)
            .status()?;
    }
    Ok(())
}

fn measure(case: &str) -> Result<()> {
    let (resident, _) = memory();
    println!("{case}: {resident:.0} MB resident before loading");
    let start = Instant::now();
    let encoder = match (case, std::env::var_os("RAGTUNE_SHARED").map(PathBuf::from)) {
        ("folder", Some(shared)) => Encoder::load(shared.join("models/all-minilm-l6-v2"), &device::cpu())?,
        ("folder", None) => {
            println!("  skipped: RAGTUNE_SHARED is not set");
            return Ok(());
        }
        _ => Encoder::builtin()?,
    };
    report("loaded", start);
    let start = Instant::now();
    encoder.embed(&["a cup of green tea"], Role::Query)?;
    report("first query", start);
    let text = match case {
        "word" => "x".repeat(WORD),
        "words" => "tea ".repeat(WORD / 4),
        _ => return Ok(()),
    };
    report("text made", start);
    let start = Instant::now();
    let vectors = encoder.embed(&[&text], Role::Document)?;
    report(&format!("embedded, {} cut", vectors.truncated()), start);
    let start = Instant::now();
    let tokens = encoder.tokenizer().count(&text)?;
    report(&format!("{tokens} tokens counted"), start);
    Ok(())
}

fn report(what: &str, start: Instant) {
    let elapsed = start.elapsed().as_secs_f64() * 1e3;
    let (resident, peak) = memory();
    println!("  {what}: {elapsed:.1} ms, {resident:.0} MB resident, {peak:.0} MB at most so far");
}

/// Resident and largest resident memory in MB (10^6 bytes).
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or(0.0) * 1024.0 / 1e6
    };
    (of("VmRSS:"), of("VmHWM:"))
}
