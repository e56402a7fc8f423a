//! Parts that several tests of the knowledge base share.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lint does not know for such"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Document, Embedder, Embeddings, Query, Role, ScoreKind, Span};
use ragtune_retrieve::{
    ChunkSpan, Chunker, Error, KnowledgeBase, Loaded, Loader, MergeOptions, MergeReport, Mode, PlanOptions,
    Retriever, SearchOptions,
};

/// One passage a paragraph, under the last line that starts with `# `.
#[derive(Clone, Default)]
pub struct Paragraphs;

impl Chunker for Paragraphs {
    fn id(&self) -> String {
        "paragraphs-1".into()
    }

    fn chunk(&self, document: &Document) -> ragtune_retrieve::Result<Vec<ChunkSpan>> {
        let mut headings = Vec::new();
        let mut chunks = Vec::new();
        let mut at = 0;
        for part in document.text.split_inclusive("\n\n") {
            let text = part.trim();
            let start = at + part.len() - part.trim_start().len();
            at += part.len();
            if text.is_empty() {
                continue;
            }
            if let Some(heading) = text.strip_prefix("# ") {
                headings = vec![heading.lines().next().unwrap_or_default().to_owned()];
            }
            let span = Span::new(start, start + text.len());
            chunks.push(ChunkSpan {
                span,
                headings: headings.clone(),
            });
        }
        Ok(chunks)
    }
}

/// Files of text as they are; refuses binary ones.
pub struct PlainText;

impl Loader for PlainText {
    fn id(&self) -> String {
        "plain-1".into()
    }

    fn accepts(&self, path: &Path) -> bool {
        path.extension()
            .is_some_and(|extension| extension == "md" || extension == "txt")
    }

    fn load(&self, path: &Path, bytes: &[u8]) -> ragtune_retrieve::Result<Loaded> {
        let unreadable = |reason: &str| Error::Unreadable {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        if bytes.contains(&0) {
            return Err(unreadable("it is binary"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8"))?;
        Ok(Loaded {
            text: text.to_owned(),
            ..Loaded::default()
        })
    }
}

/// Counts the texts that it embeds as documents.
#[derive(Clone)]
pub struct Counting {
    inner: HashingEmbedder,
    pub texts: Arc<AtomicUsize>,
}

impl Counting {
    pub fn new() -> Self {
        Self::with_id("counting")
    }

    pub fn with_id(id: &str) -> Self {
        Self {
            inner: HashingEmbedder::new(64).with_id(id),
            texts: Arc::default(),
        }
    }

    /// Texts embedded since the last call.
    pub fn take(&self) -> usize {
        self.texts.swap(0, Ordering::SeqCst)
    }
}

impl Embedder for Counting {
    fn id(&self) -> &str {
        self.inner.id()
    }
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn max_tokens(&self) -> usize {
        self.inner.max_tokens()
    }
    fn embed(&self, texts: &[&str], role: Role) -> ragtune_core::Result<Embeddings> {
        if role == Role::Document {
            self.texts.fetch_add(texts.len(), Ordering::SeqCst);
        }
        self.inner.embed(texts, role)
    }
}

pub fn with_parts(kb: KnowledgeBase, embedder: impl Embedder + 'static) -> KnowledgeBase {
    // Tests say when vectors are merged.
    let kb = kb.with_embedder(embedder).unwrap().without_auto_merge();
    kb.with_chunker(Paragraphs)
        .with_loaders([Arc::new(PlainText) as Arc<dyn Loader>])
}

pub fn open(folder: &Path) -> KnowledgeBase {
    with_parts(KnowledgeBase::open(folder).unwrap(), HashingEmbedder::new(64))
}

pub fn in_memory() -> KnowledgeBase {
    with_parts(KnowledgeBase::in_memory().unwrap(), HashingEmbedder::new(64))
}

pub fn in_mode(kb: &KnowledgeBase, mode: Mode) -> KnowledgeBase {
    kb.clone().with_search(SearchOptions::default().with_mode(mode))
}

/// Everything that is said of a hit, to compare two bases by.
pub type Seen = (String, Span, String, BTreeMap<ScoreKind, u32>, Option<u32>);

/// Walks the graph in a base of any size, as far as it goes.
pub fn walking() -> PlanOptions {
    PlanOptions::default().with_graph_from(0).with_ef_search(100_000)
}

/// Merges whatever there is to merge, into a graph.
pub fn merge(kb: &KnowledgeBase) -> MergeReport {
    let kb = kb
        .clone()
        .with_search(SearchOptions::default().with_plan(walking()));
    kb.merge(&MergeOptions::default().with_always(true)).unwrap()
}

/// All hits of all modes for a question, scores to the last bit.
pub fn seen(kb: &KnowledgeBase, question: &str, top_k: usize) -> Vec<Vec<Seen>> {
    seen_by(kb, PlanOptions::default(), question, top_k)
}

/// As [`seen`], with another choice of ways.
pub fn seen_by(kb: &KnowledgeBase, plan: PlanOptions, question: &str, top_k: usize) -> Vec<Vec<Seen>> {
    let modes = [Mode::Dense, Mode::Lexical, Mode::Hybrid];
    modes
        .into_iter()
        .map(|mode| {
            let options = SearchOptions::default().with_mode(mode).with_plan(plan);
            let hits = kb
                .clone()
                .with_search(options)
                .retrieve(&Query::new(question).with_top_k(top_k))
                .unwrap();
            let tell = |hit: ragtune_core::text::ScoredChunk| {
                let scores = hit
                    .scores
                    .into_iter()
                    .map(|(kind, score)| (kind, score.to_bits()))
                    .collect();
                (
                    hit.chunk.id,
                    hit.chunk.span,
                    hit.chunk.text,
                    scores,
                    hit.chunk.locator.line,
                )
            };
            hits.into_iter().map(tell).collect()
        })
        .collect()
}

/// The ids of a question's hits.
pub fn ids(kb: &KnowledgeBase, question: &str) -> Vec<String> {
    let hits = kb.retrieve(&question.into()).unwrap();
    hits.into_iter().map(|hit| hit.chunk.document_id).collect()
}

pub fn assert_whole(kb: &KnowledgeBase) {
    let report = kb.check().unwrap();
    assert!(report.is_whole(), "{:?}", report.problems);
}

pub fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
