//! Indexing a folder end to end, and querying ten thousand passages.
//!
//! `RAGTUNE_SHARED=../shared cargo bench -p ragtune-benches --bench knowledge_base`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ragtune::core::text::{Embedder, Embeddings, Role, TokenCount};
use ragtune::retrieve::measure::BeirDataset;
use ragtune::retrieve::{Mode, Retriever, SearchOptions};
use ragtune::{Document, Encoder, KnowledgeBase, Query};

/// Passages of the query benchmark.
const PASSAGES: usize = 10_000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let Some(shared) = std::env::var_os("RAGTUNE_SHARED").map(PathBuf::from) else {
        println!("skipped: set RAGTUNE_SHARED to the folder that holds data/rust-book and data/vaswani");
        return Ok(());
    };
    index(&shared.join("data/rust-book"))?;
    query(&shared.join("data/vaswani"))
}

/// An encoder that adds up the time that it takes.
#[derive(Clone)]
struct Timed {
    encoder: Arc<Encoder>,
    nanoseconds: Arc<AtomicU64>,
}

impl Timed {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self {
            encoder: Arc::new(Encoder::builtin()?),
            nanoseconds: Arc::default(),
        })
    }

    fn take(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.swap(0, Ordering::Relaxed))
    }
}

impl Embedder for Timed {
    fn id(&self) -> &str {
        self.encoder.id()
    }
    fn dim(&self) -> usize {
        self.encoder.dim()
    }
    fn max_tokens(&self) -> usize {
        self.encoder.max_tokens()
    }
    fn embed(&self, texts: &[&str], role: Role) -> ragtune::core::Result<Embeddings> {
        let started = Instant::now();
        let vectors = self.encoder.embed(texts, role);
        self.nanoseconds
            .fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        vectors
    }
    fn count_tokens(&self, text: &str) -> TokenCount {
        self.encoder.count_tokens(text)
    }
}

fn index(folder: &std::path::Path) -> Outcome {
    let embedder = Timed::new()?;
    let store = tempfile::tempdir()?;
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let base = KnowledgeBase::open(store.path())?
        .with_embedder(embedder.clone())?
        .without_auto_merge();
    let report = base.sync_folder(folder)?;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let encoding = embedder.take().as_secs_f64();
    let chunks = report.embedding.embedded + report.embedding.reused;
    println!(
        "index {}: {} files, {chunks} passages",
        folder.display(),
        report.added
    );
    println!("  {wall:.1} s wall, {cpu:.1} s CPU, of which encoding {encoding:.1} s wall");
    println!(
        "  {:.0} passages/s, peak memory {:.0} MiB",
        chunks as f64 / wall,
        peak_mib()
    );
    let started = Instant::now();
    base.sync_folder(folder)?;
    println!(
        "  second run over the unchanged folder: {:.0} ms",
        started.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}

fn query(dataset: &std::path::Path) -> Outcome {
    let data = BeirDataset::load(dataset)?;
    let embedder = Timed::new()?;
    let base = KnowledgeBase::in_memory()?
        .with_embedder(embedder.clone())?
        .without_auto_merge();
    base.add(
        data.documents
            .iter()
            .take(PASSAGES)
            .map(|d| Document::new(&d.id, d.content())),
    )?;
    println!(
        "query {}: {} passages, {} questions",
        dataset.display(),
        base.stats()?.chunks,
        data.queries.len()
    );
    for (name, mode) in [
        ("lexical", Mode::Lexical),
        ("dense", Mode::Dense),
        ("hybrid", Mode::Hybrid),
    ] {
        let base = base.clone().with_search(SearchOptions::default().with_mode(mode));
        base.retrieve(&Query::new("warm-up"))?;
        embedder.take();
        let mut milliseconds = Vec::new();
        for query in &data.queries {
            let started = Instant::now();
            base.retrieve(&Query::new(&query.text))?;
            milliseconds.push((started.elapsed() - embedder.take()).as_secs_f64() * 1e3);
        }
        milliseconds.sort_by(f64::total_cmp);
        let at = |share: f64| milliseconds[((milliseconds.len() - 1) as f64 * share) as usize];
        println!(
            "  {name:<8} {:.2} ms median, {:.2} ms p95, apart from embedding the question",
            at(0.5),
            at(0.95)
        );
    }
    Ok(())
}

/// CPU time of this process so far, where /proc tells it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Greatest resident memory of this process so far, where /proc tells it.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or_default();
    line.split_whitespace()
        .next()
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}
