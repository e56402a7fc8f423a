//! Decoding and prefill of a llama of 135 million random weights in every precision, beside PyTorch and llama.cpp.
//!
//! `RAGTUNE_PYTHON=... RAGTUNE_MKL_PRELOAD=... RAGTUNE_THREADS=2 cargo bench -p ragtune-benches --bench decode`
//!
//! `RAGTUNE_PYTHON` names a Python with torch and transformers; without it ragtune runs alone. `RAGTUNE_MKL_PRELOAD` names
//! a library that lets MKL take its fast path on processors that are not Intel's (benches/record says how it is made).
//! `RAGTUNE_PRECISIONS` (`f32,bf16,f16,int8,int4`), `RAGTUNE_ROUNDS` (7), `RAGTUNE_TOKENS` (32 new tokens a round behind a prompt of 32), `RAGTUNE_PREFILL` (512).
//! `RAGTUNE_DECODE_MODELS` names a folder in which the models are kept between runs; making them takes minutes.
//! All engines take turns within a round; before each the memory bandwidth of the same threads is measured.

mod decode_model;
mod peer;

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ragtune_core::device;
use ragtune_core::models::CausalLm;
use ragtune_core::nn::{Context, KvCache, Segments};
use ragtune_core::weights::Precision;
use rayon::prelude::*;

use decode_model::VOCABULARY;
use peer::Peer;
use ragtune_benches::measure::{median, processor_seconds, setting, status};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
/// Seconds and processor seconds of a round.
type Round = (f64, f64);

/// Tokens before the first one that is decoded.
const PROMPT: usize = 32;
/// Bytes that are read to measure the bandwidth: more than any cache holds.
const BANDWIDTH_BYTES: usize = 512 << 20;

/// A model of ours, what it weighs, and what it took.
struct Own {
    precision: Precision,
    lm: CausalLm,
    bytes: u64,
    peak_kb: u64,
    decode: Vec<Round>,
    prefill: Vec<Round>,
}

fn main() -> Result<()> {
    let threads = setting("RAGTUNE_THREADS").unwrap_or(2);
    let rounds = setting("RAGTUNE_ROUNDS").unwrap_or(7);
    let tokens = setting("RAGTUNE_TOKENS").unwrap_or(32);
    let prefill = setting("RAGTUNE_PREFILL").unwrap_or(512);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let temporary = tempfile::tempdir()?;
    let kept = std::env::var_os("RAGTUNE_DECODE_MODELS").map(PathBuf::from);
    let root = kept.as_deref().unwrap_or(temporary.path());
    let folder = |precision: Precision| root.join(precision.to_string());
    decode_model::write(&folder(Precision::F32), decode_model::Shape::SMOLLM2_135M)?;
    let mut own = Vec::new();
    let chosen: Vec<Precision> = match std::env::var("RAGTUNE_PRECISIONS") {
        Ok(names) => names
            .split(',')
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?,
        Err(_) => Precision::ALL.to_vec(),
    };
    for precision in chosen {
        if precision != Precision::F32 {
            decode_model::rewrite(&folder(Precision::F32), &folder(precision), precision)?;
        }
        own.push(load(precision, &folder(precision), tokens)?);
    }
    let mut peers = Peer::all("decode_peer.py", &folder(Precision::F32), threads, &[])?;
    let mut others: Vec<[Vec<Round>; 2]> = peers.iter().map(|_| Default::default()).collect();
    let data = vec![1.0f32; BANDWIDTH_BYTES / 4];
    let mut bandwidth = Vec::new();
    for round in 0..=rounds {
        // The first round warms all up.
        let warm = round == 0;
        for own in &mut own {
            if !warm {
                bandwidth.push(measure_bandwidth(&data));
            }
            let (decoded, filled) = (decode(&own.lm, tokens)?, fill(&own.lm, prefill)?);
            if !warm {
                own.decode.push(decoded);
                own.prefill.push(filled);
            }
        }
        for (peer, times) in peers.iter_mut().zip(&mut others) {
            for (index, (what, count)) in [("decode", tokens), ("prefill", prefill)].into_iter().enumerate() {
                let measured = peer.run(what, count)?;
                if !warm {
                    times[index].push(measured);
                }
            }
        }
    }
    let widest = bandwidth.iter().copied().fold(0.0, f64::max);
    println!(
        "{threads} threads; {tokens} tokens decoded behind {PROMPT}, {prefill} in a prefill; medians of {rounds} alternating \
         rounds, (best), [processor time]"
    );
    println!(
        "memory bandwidth of the same threads: median {:.1} GB/s, best {widest:.1} GB/s",
        median(bandwidth.iter().copied())
    );
    for peer in &peers {
        println!("{}: {}", peer.name, peer.version);
    }
    println!(
        "\n| engine | weights MB | ms a token | tokens/s | GB/s of weights | of best bandwidth | speed, the first = 1 | prefill tokens/s | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let reference = median(own[0].decode.iter().map(|round| round.0));
    for own in &own {
        let best = own
            .decode
            .iter()
            .map(|round| round.0)
            .fold(f64::INFINITY, f64::min);
        let speed = own.bytes as f64 * tokens as f64 / 1e9;
        let times = own.decode.iter().map(|round| round.0);
        println!(
            "| ragtune {} | {:.1} | {} | {:.1} | {:.1} ({:.1}) | {:.0} % ({:.0} %) | {:.2} | {} | {} |",
            own.precision,
            own.bytes as f64 / 1e6,
            milliseconds(&own.decode, tokens),
            tokens as f64 / median(times.clone()),
            speed / median(times.clone()),
            speed / best,
            100.0 * speed / median(times.clone()) / widest,
            100.0 * speed / best / widest,
            reference / median(times),
            rate(&own.prefill, prefill),
            own.peak_kb / 1000,
        );
    }
    for (peer, [decoded, filled]) in peers.iter().zip(&others) {
        println!(
            "| {} | | {} | {:.1} | | | {:.2} | {} | |",
            peer.name,
            milliseconds(decoded, tokens),
            tokens as f64 / median(decoded.iter().map(|round| round.0)),
            reference / median(decoded.iter().map(|round| round.0)),
            rate(filled, prefill),
        );
    }
    Ok(())
}

/// Loads a model, decodes a little, and says how much memory the process took for it beyond what it had.
fn load(precision: Precision, folder: &Path, tokens: usize) -> Result<Own> {
    let _ = fs::write("/proc/self/clear_refs", "5"); // the peak counts from here on
    let before = status("VmRSS").unwrap_or(0);
    let lm = CausalLm::load(folder, &device::cpu())?;
    decode(&lm, tokens)?;
    let peak = status("VmHWM").unwrap_or(0);
    Ok(Own {
        precision,
        lm,
        bytes: fs::metadata(folder.join("model.safetensors"))?.len(),
        peak_kb: peak.saturating_sub(before),
        decode: Vec::new(),
        prefill: Vec::new(),
    })
}

/// Some token, the same for every engine.
fn token(index: usize) -> u32 {
    ((index * 7919 + 13) % VOCABULARY) as u32
}

fn one(tokens: usize) -> Context {
    Context::new(Segments::from_lengths([tokens]))
}

/// One token after another behind a prompt; the prompt is not timed.
fn decode(lm: &CausalLm, tokens: usize) -> Result<Round> {
    let mut cache = lm.cache(PROMPT + tokens);
    step(lm, &(0..PROMPT).map(token).collect::<Vec<_>>(), &mut cache)?;
    timed(|| {
        for index in 0..tokens {
            step(lm, &[token(PROMPT + index)], &mut cache)?;
        }
        Ok(())
    })
}

fn fill(lm: &CausalLm, tokens: usize) -> Result<Round> {
    let ids: Vec<u32> = (0..tokens).map(token).collect();
    let mut cache = lm.cache(tokens);
    timed(|| step(lm, &ids, &mut cache))
}

/// A step of greedy decoding, with its choice.
fn step(lm: &CausalLm, ids: &[u32], cache: &mut KvCache) -> Result<()> {
    let logits = lm.next_logits(ids, &mut [cache], &one(ids.len()))?;
    let logits = logits.into_data();
    let logits = logits.as_slice::<f32>().map_err(|error| format!("{error:?}"))?;
    black_box(logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)));
    Ok(())
}

fn timed(mut pass: impl FnMut() -> Result<()>) -> Result<Round> {
    let (start, before) = (Instant::now(), processor_seconds());
    pass()?;
    Ok((start.elapsed().as_secs_f64(), processor_seconds() - before))
}

/// GB/s at which all threads together read memory.
fn measure_bandwidth(data: &[f32]) -> f64 {
    let threads = rayon::current_num_threads();
    let start = Instant::now();
    let sum: f32 = data
        .par_chunks(data.len().div_ceil(threads * 8))
        .map(|part| {
            let mut sums = [0.0f32; 128];
            for chunk in part.chunks_exact(sums.len()) {
                for (sum, value) in sums.iter_mut().zip(chunk) {
                    *sum += value;
                }
            }
            sums.iter().sum::<f32>()
        })
        .sum();
    black_box(sum);
    size_of_val(data) as f64 / 1e9 / start.elapsed().as_secs_f64()
}

fn milliseconds(rounds: &[Round], tokens: usize) -> String {
    let each = |seconds: f64| seconds * 1e3 / tokens as f64;
    let wall = || rounds.iter().map(|round| round.0);
    format!(
        "{:.2} ({:.2}) [{:.2}]",
        each(median(wall())),
        each(wall().fold(f64::INFINITY, f64::min)),
        each(median(rounds.iter().map(|round| round.1))),
    )
}

fn rate(rounds: &[Round], tokens: usize) -> String {
    let wall = || rounds.iter().map(|round| round.0);
    format!(
        "{:.0} ({:.0}) [{:.0} ms]",
        tokens as f64 / median(wall()),
        tokens as f64 / wall().fold(f64::INFINITY, f64::min),
        1e3 * median(rounds.iter().map(|round| round.1)),
    )
}
