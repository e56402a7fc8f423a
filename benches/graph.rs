//! The graph index beside hnswlib, FAISS and usearch, these two also with vectors in 8 bits, over the same vectors, in alternating rounds.
//!
//! `RAGTUNE_VECTORS=FOLDER RAGTUNE_PYTHON=... cargo bench -p ragtune-benches --bench graph`, where FOLDER was made by
//! `peers/graph_vectors.py`. `RAGTUNE_ROUNDS` (3) rounds; `RAGTUNE_OUT` is the file of the picture; without
//! `RAGTUNE_PYTHON` no peer takes part. Searches run on one thread, building on all. Queries a second are per second of the
//! processor, for the sake of machines that do other work too.

mod peer;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use peer::Peer;
use ragtune::retrieve::{ExactIndex, GraphIndex, GraphOptions, Metric, PlanOptions, SlotSet, VectorIndex};
use ragtune::train::report::{Chart, Series};
use ragtune_benches::measure::{median, processor_seconds, setting, status, thread_seconds};
use ragtune_benches::neighbours::{K, at_recall, labels, recall, search};
use serde_json::json;

/// Seconds, and processor seconds.
pub type Round = (f64, f64);
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const DIM: usize = 384;
const EF_CONSTRUCTION: usize = 200;
const EFS: [usize; 12] = [10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256];
const RECALLS: [f64; 3] = [0.90, 0.95, 0.99];
const PERCENTS: [u32; 3] = [1, 10, 50];
/// The file that the process opens whose memory is measured.
const OPEN: &str = "RAGTUNE_BENCH_OPEN";

fn main() -> Result<()> {
    if let Some(path) = std::env::var_os(OPEN) {
        return open_alone(Path::new(&path));
    }
    let Some(folder) = std::env::var_os("RAGTUNE_VECTORS").map(PathBuf::from) else {
        println!("skipped: set RAGTUNE_VECTORS to a folder that peers/graph_vectors.py made");
        return Ok(());
    };
    let (base, queries) = (
        read(&folder.join("base.f32"))?,
        read(&folder.join("queries.f32"))?,
    );
    let rounds = setting("RAGTUNE_ROUNDS").unwrap_or(3);
    let scratch = tempfile::tempdir()?;
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    println!(
        "{} vectors, {} queries, {DIM} dimensions, k {K}",
        base.len(),
        queries.len()
    );

    let exact = ExactIndex::new(Metric::Cosine, DIM, base.iter().map(Vec::as_slice))?;
    let truth = queries.iter().map(|query| exact.search(query, K, None));
    let truth = truth.collect::<std::result::Result<Vec<_>, _>>()?;

    let mut peers = peers(&folder)?;
    let index = build(&base, &mut peers)?;
    files(&base, &index, scratch.path(), &mut peers)?;

    // Every engine in turn, one setting at a time; of each the middle of its rounds.
    let mut runs = vec![vec![(Vec::new(), 0.0); EFS.len()]; peers.len() + 1];
    for _ in 0..rounds {
        for (at, ef) in EFS.into_iter().enumerate() {
            let walk = index
                .clone()
                .with_plan(PlanOptions::default().with_graph_from(0).with_ef_search(ef));
            let (seconds, found) = one.install(|| search(&walk, &queries, None))?;
            runs[0][at].0.push(seconds);
            runs[0][at].1 = recall(&labels(&found), &truth);
            for (peer, runs) in peers.iter_mut().zip(&mut runs[1..]) {
                let answer = peer.order(&json!({ "what": "search", "ef": ef, "k": K }))?;
                runs[at].0.push(answer[0]);
                runs[at].1 = recall(&answer[1..], &truth);
            }
        }
    }
    let names: Vec<&str> = std::iter::once("ragtune")
        .chain(peers.iter().map(|peer| peer.name))
        .collect();
    let curves: Vec<Vec<(f64, f64)>> = runs
        .iter()
        .map(|runs| {
            let qps = |seconds: &[f64]| queries.len() as f64 / median(seconds.iter().copied());
            runs.iter()
                .map(|(seconds, recall)| (*recall, qps(seconds)))
                .collect()
        })
        .collect();
    report(&names, &curves)?;
    scans(&one, &base, &queries, &exact)?;
    filters(&one, &index, &queries, &exact, &mut peers)
}

/// Vectors of a file, row by row.
fn read(path: &Path) -> Result<Vec<Vec<f32>>> {
    let bytes = std::fs::read(path)?;
    let (words, _) = bytes.as_chunks::<4>();
    let components: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    Ok(components.chunks_exact(DIM).map(<[f32]>::to_vec).collect())
}

/// The peers, where a Python is named.
fn peers(folder: &Path) -> Result<Vec<Peer>> {
    let Some(python) = std::env::var_os("RAGTUNE_PYTHON") else {
        return Ok(Vec::new());
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/graph_peer.py");
    let mut peers = Vec::new();
    for library in ["hnswlib", "faiss", "faiss-sq8", "usearch", "usearch-i8"] {
        let mut command = Command::new(&python);
        command.arg(&script).arg(library).arg(folder);
        command.args([DIM, GraphOptions::DEFAULT_M, EF_CONSTRUCTION].map(|number| number.to_string()));
        let peer = Peer::start(library, command)?;
        println!("{}", peer.version);
        peers.push(peer);
    }
    Ok(peers)
}

/// Builds with every engine, on all threads.
fn build(base: &[Vec<f32>], peers: &mut [Peer]) -> Result<GraphIndex> {
    let (started, before) = (Instant::now(), processor_seconds());
    let options = GraphOptions::default().with_ef_construction(EF_CONSTRUCTION)?;
    let index = GraphIndex::build(Metric::Cosine, DIM, base.iter().map(Vec::as_slice), &options)?;
    println!(
        "build ragtune: {:.1} s, {:.1} s of processor time, ef_search for recall .99: {:?}",
        started.elapsed().as_secs_f64(),
        processor_seconds() - before,
        index.ef_search()
    );
    for peer in peers {
        let threads = rayon::current_num_threads();
        let answer = peer.order(&json!({ "what": "build", "threads": threads }))?;
        println!(
            "build {}: {:.1} s, {:.1} s of processor time, {:.0} bytes a vector in memory",
            peer.name,
            answer[0],
            answer[1],
            answer[2] / base.len() as f64
        );
    }
    Ok(index)
}

/// Saving and opening, and the memory of an index that was opened.
fn files(base: &[Vec<f32>], index: &GraphIndex, scratch: &Path, peers: &mut [Peer]) -> Result<()> {
    let path = scratch.join("base.index");
    let started = Instant::now();
    index.save(&path)?;
    println!(
        "save ragtune: {:.0} ms, {} bytes",
        started.elapsed().as_secs_f64() * 1e3,
        std::fs::metadata(&path)?.len()
    );
    println!("open ragtune, {} vectors: {}", base.len(), opened(&path)?);
    // Twice as many, every other one a copy with noise: only the size matters here.
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32 * 0.02 - 0.01
    };
    let copies: Vec<Vec<f32>> = base
        .iter()
        .map(|row| row.iter().map(|x| x + noise()).collect())
        .collect();
    let both = base.iter().chain(&copies).map(Vec::as_slice);
    let options = GraphOptions::default()
        .with_ef_construction(32)?
        .with_ef_search(64)?;
    let large = GraphIndex::build(Metric::Cosine, DIM, both, &options)?;
    large.save(&path)?;
    let count = large.len();
    drop(large);
    println!("open ragtune, {count} vectors: {}", opened(&path)?);
    for peer in peers {
        let path = scratch.join(peer.name);
        let answer = peer.order(&json!({ "what": "load", "path": path }))?;
        println!(
            "save {}: {:.0} ms; load: {:.0} ms",
            peer.name,
            answer[0] * 1e3,
            answer[1] * 1e3
        );
    }
    Ok(())
}

/// Opens a file in a process of its own, some times over.
fn opened(path: &Path) -> Result<String> {
    let output = Command::new(std::env::current_exe()?).env(OPEN, path).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn open_alone(path: &Path) -> Result<()> {
    let before = status("RssAnon:").unwrap_or(0);
    let started = Instant::now();
    let index = GraphIndex::open(path)?;
    let first = started.elapsed().as_secs_f64() * 1e3;
    let query: Vec<f32> = (0..index.dim()).map(|i| (i % 7) as f32 - 3.0).collect();
    index.find(&query, K, None)?;
    let memory = status("RssAnon:").unwrap_or(0) - before;
    let again = (0..5).map(|_| {
        let started = Instant::now();
        let index = GraphIndex::open(path).map(|index| index.len());
        index.map(|_| started.elapsed().as_secs_f64() * 1e3)
    });
    let again = again.collect::<std::result::Result<Vec<_>, _>>()?;
    let per_vector = memory as f64 * 1024.0 / index.len() as f64;
    let middle = median(again.into_iter());
    let line =
        format!("{first:.1} ms, again {middle:.1} ms; {per_vector:.0} bytes of anonymous memory a vector");
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn report(names: &[&str], curves: &[Vec<(f64, f64)>]) -> Result<()> {
    let mut chart = Chart::new(
        "Recall of the ten nearest and queries a second",
        "recall@10",
        "queries a second",
    );
    for (name, curve) in names.iter().zip(curves) {
        for (ef, (recall, qps)) in EFS.iter().zip(curve) {
            println!("{name} ef {ef}: recall {recall:.4}, {qps:.0} queries/s");
        }
        chart = chart.with_series(Series::new(*name, curve.iter().copied()).with_dots());
    }
    for wanted in RECALLS {
        let all: Vec<_> = curves.iter().map(|curve| at_recall(curve, wanted)).collect();
        for (name, qps) in names.iter().zip(&all) {
            match (qps, all[0]) {
                (Some(qps), Some(own)) => println!(
                    "recall {wanted}: {name} {qps:.0} queries/s, ragtune is {:.2}x",
                    own / qps
                ),
                _ => println!("recall {wanted}: {name} does not reach it"),
            }
        }
    }
    if let Some(path) = std::env::var_os("RAGTUNE_OUT") {
        std::fs::write(path, chart.to_svg())?;
    }
    Ok(())
}

/// Exact search, by sizes.
fn scans(one: &rayon::ThreadPool, base: &[Vec<f32>], queries: &[Vec<f32>], exact: &ExactIndex) -> Result<()> {
    let some = &queries[..100.min(queries.len())];
    let seconds = one.install(|| {
        let started = thread_seconds();
        let found = some
            .iter()
            .try_for_each(|query| exact.search(query, K, None).map(drop));
        found.map(|()| thread_seconds() - started)
    })?;
    println!(
        "scan in f32, {}: {:.0} queries/s",
        base.len(),
        some.len() as f64 / seconds
    );
    for count in [5_000, 10_000, 20_000, 50_000] {
        let rows = base.iter().take(count).map(Vec::as_slice);
        let index = GraphIndex::unlinked(Metric::Cosine, DIM, rows)?;
        let mut seconds = Vec::new();
        let mut together = Vec::new();
        let slices: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
        for _ in 0..3 {
            seconds.push(one.install(|| search(&index, queries, None))?.0);
            together.push(one.install(|| {
                let started = thread_seconds();
                index
                    .find_batch(&slices, K, None)
                    .map(|_| thread_seconds() - started)
            })?);
        }
        let qps = |seconds: Vec<f64>| queries.len() as f64 / median(seconds.into_iter());
        println!(
            "scan in int8, exact, {count}: {:.0} queries/s, {:.0} in batches",
            qps(seconds),
            qps(together)
        );
    }
    Ok(())
}

/// As peers/graph_peer.py: a percentage for each label.
fn filter_value(label: u32) -> u32 {
    (label.wrapping_mul(2_654_435_761) >> 7) % 65_536 * 100 / 65_536
}

fn filters(
    one: &rayon::ThreadPool,
    index: &GraphIndex,
    queries: &[Vec<f32>],
    exact: &ExactIndex,
    peers: &mut [Peer],
) -> Result<()> {
    for percent in PERCENTS {
        let allowed: SlotSet = (0..index.len() as u32)
            .filter(|label| filter_value(*label) < percent)
            .collect();
        let truth = queries.iter().map(|query| exact.search(query, K, Some(&allowed)));
        let truth = truth.collect::<std::result::Result<Vec<_>, _>>()?;
        let (seconds, found) = one.install(|| search(index, queries, Some(&allowed)))?;
        println!(
            "filter {percent} %, ragtune, {:?}: recall {:.4}, {:.0} queries/s",
            found[0].plan,
            recall(&labels(&found), &truth),
            queries.len() as f64 / seconds
        );
        for peer in &mut *peers {
            let order = json!({ "what": "search", "ef": 64, "k": K, "percent": percent });
            let answer = peer.order(&order)?;
            match answer.len() {
                1 => println!("filter {percent} %, {}: fails or has none", peer.name),
                _ => println!(
                    "filter {percent} %, {}, ef 64: recall {:.4}, {:.0} queries/s",
                    peer.name,
                    recall(&answer[1..], &truth),
                    queries.len() as f64 / answer[0]
                ),
            }
        }
    }
    Ok(())
}
