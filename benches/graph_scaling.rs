//! The graph index beside its peers as the number of vectors grows: 10,000, 100,000 and a million, generated.
//!
//! `RAGTUNE_PYTHON=... cargo bench -p ragtune-benches --bench graph_scaling`; `RAGTUNE_SIZES` (10000,100000,1000000),
//! `RAGTUNE_DIM` (96), `RAGTUNE_QUERIES` (500), `RAGTUNE_PEERS` (hnswlib,faiss,faiss-sq8,usearch-i8). Vectors lie around
//! centres in a space of fewer dimensions, as embeddings of texts do, and are of unit length; queries are drawn likewise.
//! Searches run on one thread, building on all; times are processor times, of searches the least of three rounds that the
//! engines take in turn.

mod peer;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use peer::Peer;
use ragtune::retrieve::{GraphIndex, GraphOptions, Metric, Neighbor, PlanOptions, VectorIndex};
use ragtune_benches::measure::{processor_seconds, setting, status};
use ragtune_benches::neighbours::{K, at_recall, labels, recall, search};
use rayon::prelude::*;
use serde_json::json;

/// Seconds, and processor seconds.
pub type Round = (f64, f64);
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const EF_CONSTRUCTION: usize = 200;
const EFS: [usize; 7] = [16, 32, 64, 128, 256, 512, 1024];
const RECALLS: [f64; 3] = [0.90, 0.95, 0.99];
const ROUNDS: usize = 3;
/// Dimensions that vectors around one centre differ in, and vectors to a centre.
const INNER: usize = 24;
const PER_CENTRE: usize = 500;
/// The file that the process opens whose memory is measured.
const OPEN: &str = "RAGTUNE_BENCH_OPEN";

fn main() -> Result<()> {
    if let Some(path) = std::env::var_os(OPEN) {
        return open_alone(Path::new(&path));
    }
    if std::env::var_os("RAGTUNE_SIZES").is_none() && std::env::var_os("RAGTUNE_PYTHON").is_none() {
        println!("skipped: set RAGTUNE_SIZES or RAGTUNE_PYTHON");
        return Ok(());
    }
    let sizes = std::env::var("RAGTUNE_SIZES").unwrap_or_else(|_| "10000,100000,1000000".to_owned());
    let sizes: Vec<usize> = sizes
        .split(',')
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    let dim = setting("RAGTUNE_DIM").unwrap_or(96).max(1);
    let asked = setting("RAGTUNE_QUERIES").unwrap_or(500).max(1);
    for size in sizes {
        scale(size, dim, asked)?;
    }
    Ok(())
}

fn scale(size: usize, dim: usize, asked: usize) -> Result<()> {
    let all = vectors(size + asked, size / PER_CENTRE + 1, dim);
    let (base, queries) = all.split_at(size);
    println!("{size} vectors, {asked} queries, {dim} dimensions, k {K}");
    let folder = tempfile::tempdir()?;
    for (name, rows) in [("base.f32", base), ("queries.f32", queries)] {
        let mut file = std::io::BufWriter::new(std::fs::File::create(folder.path().join(name))?);
        for x in rows.iter().flatten() {
            file.write_all(&x.to_le_bytes())?;
        }
        file.flush()?;
    }
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;

    let before = processor_seconds();
    let options = GraphOptions::default().with_ef_construction(EF_CONSTRUCTION)?;
    let index = GraphIndex::build(Metric::Cosine, dim, base.iter().map(Vec::as_slice), &options)?;
    let built = processor_seconds() - before;
    let path = folder.path().join("ragtune.index");
    index.save(&path)?;
    println!("build ragtune: {built:.1} s; open: {}", opened(&path)?);
    // All vectors compared, by codes with bounds: the result of a scan in f32.
    let exact = index
        .clone()
        .with_plan(PlanOptions::default().with_graph_from(usize::MAX));
    let truth: Vec<Vec<Neighbor>> = queries
        .iter()
        .map(|query| exact.search(query, K, None))
        .collect::<std::result::Result<_, _>>()?;

    let mut peers = peers(folder.path(), dim)?;
    for peer in &mut peers {
        let answer = peer.order(&json!({ "what": "build", "threads": rayon::current_num_threads() }))?;
        let bytes = answer[2] / size as f64;
        println!(
            "build {}: {:.1} s; {bytes:.0} bytes a vector in memory",
            peer.name, answer[1]
        );
    }
    let mut runs = vec![[(0.0, f64::INFINITY); EFS.len()]; peers.len() + 1];
    for _ in 0..ROUNDS {
        for (at, ef) in EFS.into_iter().enumerate() {
            let walk = PlanOptions::default().with_graph_from(0).with_ef_search(ef);
            let (seconds, found) = one.install(|| search(&index.clone().with_plan(walk), queries, None))?;
            runs[0][at] = (recall(&labels(&found), &truth), seconds.min(runs[0][at].1));
            for (peer, runs) in peers.iter_mut().zip(&mut runs[1..]) {
                let answer = peer.order(&json!({ "what": "search", "ef": ef, "k": K }))?;
                runs[at] = (recall(&answer[1..], &truth), answer[0].min(runs[at].1));
            }
        }
    }
    let names = std::iter::once("ragtune").chain(peers.iter().map(|peer| peer.name));
    for (name, runs) in names.zip(&runs) {
        let curve: Vec<(f64, f64)> = runs
            .iter()
            .map(|(recall, seconds)| (*recall, queries.len() as f64 / seconds))
            .collect();
        for (ef, (recall, qps)) in EFS.iter().zip(&curve) {
            println!("{name} ef {ef}: recall {recall:.4}, {qps:.0} queries/s");
        }
        for wanted in RECALLS {
            match at_recall(&curve, wanted) {
                Some(qps) => println!("{size}, recall {wanted}: {name} {qps:.0} queries/s"),
                None => println!("{size}, recall {wanted}: {name} does not reach it"),
            }
        }
    }
    Ok(())
}

/// The peers that are asked for, where a Python is named.
fn peers(folder: &Path, dim: usize) -> Result<Vec<Peer>> {
    let Some(python) = std::env::var_os("RAGTUNE_PYTHON") else {
        return Ok(Vec::new());
    };
    let wanted =
        std::env::var("RAGTUNE_PEERS").unwrap_or_else(|_| "hnswlib,faiss,faiss-sq8,usearch-i8".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/graph_peer.py");
    let mut peers = Vec::new();
    for library in ["hnswlib", "faiss", "faiss-sq8", "usearch", "usearch-i8"] {
        if wanted.split(',').any(|name| name == library) {
            let mut command = Command::new(&python);
            command.arg(&script).arg(library).arg(folder);
            command.args([dim, GraphOptions::DEFAULT_M, EF_CONSTRUCTION].map(|number| number.to_string()));
            let peer = Peer::start(library, command)?;
            println!("{}", peer.version);
            peers.push(peer);
        }
    }
    Ok(peers)
}

/// Numbers of a vector, the same ones in every run.
struct Random(u64);

impl Random {
    fn of(seed: u64, number: usize) -> Self {
        Self(seed ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// About normal: twelve even ones added up.
    fn normal(&mut self) -> f32 {
        let mut sum = -6.0;
        for _ in 0..12 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            sum += (self.0 >> 40) as f32 / (1u32 << 24) as f32;
        }
        sum
    }

    fn row(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| self.normal()).collect()
    }
}

/// Vectors of unit length around centres: each its centre, a part in the few dimensions that all of them differ in, and a
/// little noise.
fn vectors(count: usize, centres: usize, dim: usize) -> Vec<Vec<f32>> {
    let inner: Vec<Vec<f32>> = (0..INNER).map(|at| Random::of(1, at).row(dim)).collect();
    let centres: Vec<Vec<f32>> = (0..centres).map(|at| Random::of(2, at).row(dim)).collect();
    let vector = |number: usize| {
        let mut random = Random::of(3, number);
        let mut vector = centres[number % centres.len()].clone();
        for direction in &inner {
            let far = random.normal() * 0.3;
            for (x, part) in vector.iter_mut().zip(direction) {
                *x += far * part;
            }
        }
        for x in &mut vector {
            *x += random.normal() * 0.2;
        }
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter().map(|x| x / length).collect()
    };
    (0..count).into_par_iter().map(vector).collect()
}

/// Opens a file in a process of its own.
fn opened(path: &Path) -> Result<String> {
    let output = Command::new(std::env::current_exe()?).env(OPEN, path).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn open_alone(path: &Path) -> Result<()> {
    let before = status("RssAnon:").unwrap_or(0);
    let (first, index) = opening(path)?;
    let query: Vec<f32> = (0..index.dim()).map(|i| (i % 7) as f32 - 3.0).collect();
    index.find(&query, K, None)?;
    let memory = status("RssAnon:").unwrap_or(0).saturating_sub(before);
    let mut again = (0..5)
        .map(|_| opening(path).map(|(ms, _)| ms))
        .collect::<Result<Vec<_>>>()?;
    again.sort_by(f64::total_cmp);
    let per_vector = memory as f64 * 1024.0 / index.len() as f64;
    let middle = again[2];
    let line =
        format!("{first:.1} ms, again {middle:.1} ms; {per_vector:.0} bytes of anonymous memory a vector");
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn opening(path: &Path) -> Result<(f64, GraphIndex)> {
    let started = std::time::Instant::now();
    let index = GraphIndex::open(path)?;
    Ok((started.elapsed().as_secs_f64() * 1e3, index))
}
