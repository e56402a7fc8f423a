//! The two sets of documents as knowledge bases, and the questions.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use ragtune::core::device;
use ragtune::{Document, Embedder, Encoder, KnowledgeBase};
use serde_json::{Value, json};

/// Everything that the tests share.
pub struct Bases {
    /// The folder of data.
    pub shared: PathBuf,
    pub embedder: Arc<dyn Embedder>,
    /// The Rust Book, synced from its folder.
    pub book: KnowledgeBase,
    /// Passages of documentation in BEIR layout, each a document.
    pub docs: KnowledgeBase,
}

impl Bases {
    /// Where the Rust Book lies.
    pub fn book_folder(&self) -> PathBuf {
        self.shared.join("data/rust-book")
    }
}

/// The documents, or a line that says why there are none.
pub fn bases() -> Option<&'static Bases> {
    static BASES: LazyLock<Option<Bases>> = LazyLock::new(|| std::env::var("RAGTUNE_SHARED").ok().map(index));
    if BASES.is_none() {
        println!("SKIPPED: set RAGTUNE_SHARED to the folder with data/rust-book and data/docs-rag");
    }
    BASES.as_ref()
}

fn index(shared: String) -> Bases {
    let shared = PathBuf::from(shared);
    let embedder: Arc<dyn Embedder> = match std::env::var("RAGTUNE_ENCODER") {
        Ok(folder) => Arc::new(Encoder::load(folder, &device::cpu()).unwrap()),
        Err(_) => Arc::new(Encoder::builtin().unwrap()),
    };
    let base = || {
        KnowledgeBase::in_memory()
            .unwrap()
            .with_embedder(Arc::clone(&embedder))
            .unwrap()
    };
    let started = std::time::Instant::now();
    let (book, docs) = (base(), base());
    let report = book.sync_folder(shared.join("data/rust-book")).unwrap();
    let lost = report
        .skipped
        .iter()
        .find(|skipped| skipped.path.ends_with(".md"));
    assert!(lost.is_none(), "{lost:?}");
    let passages = lines(&shared.join("data/docs-rag/corpus.jsonl"));
    docs.add(passages.iter().map(|passage| {
        let field = |name: &str| passage[name].as_str().unwrap();
        Document::new(field("_id"), field("text")).with_metadata("title", field("title"))
    }))
    .unwrap();
    println!(
        "indexed with {} in {:.1} s: {} and {} chunks",
        embedder.id(),
        started.elapsed().as_secs_f64(),
        book.stats().unwrap().chunks,
        docs.stats().unwrap().chunks
    );
    Bases {
        shared,
        embedder,
        book,
        docs,
    }
}

/// Questions of this crate's fixtures.
pub fn questions(name: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/extractive");
    lines(&folder.join(format!("{name}.jsonl")))
}

/// The questions of docs-rag.
pub fn about_docs(shared: &Path) -> Vec<Value> {
    lines(&shared.join("data/docs-rag/queries.jsonl"))
        .into_iter()
        .map(|q| json!({"id": q["_id"], "question": q["text"], "answer": q["metadata"]["answer"]}))
        .collect()
}

/// The records of a JSON Lines file.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
