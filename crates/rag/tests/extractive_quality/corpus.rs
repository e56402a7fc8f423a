//! The two sets of documents, their questions, and an exact dense retriever over them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ragtune::{
    Chunk, Document, Embedder, Locator, Query, Retriever, Role, ScoreKind, ScoredChunk, Span, retrieve,
};
use serde_json::Value;

/// Passages of the Rust Book end at a heading, or at an empty line after this many bytes.
const PASSAGE_BYTES: usize = 900;

pub struct Corpus {
    texts: BTreeMap<String, String>,
    chunks: Vec<Chunk>,
    vectors: Vec<Vec<f32>>,
    embedder: Arc<dyn Embedder>,
}

impl Corpus {
    fn new(texts: BTreeMap<String, String>, chunks: Vec<Chunk>, embedder: &Arc<dyn Embedder>) -> Self {
        let headed: Vec<String> = chunks
            .iter()
            .map(|chunk| format!("{}\n{}", chunk.locator.headings.join(" > "), chunk.text))
            .collect();
        let headed: Vec<&str> = headed.iter().map(String::as_str).collect();
        let vectors = embedder.embed(&headed, Role::Document).unwrap();
        Self {
            texts,
            chunks,
            vectors: vectors.rows().map(<[f32]>::to_vec).collect(),
            embedder: Arc::clone(embedder),
        }
    }

    /// The Rust Book, divided at headings.
    pub fn rust_book(shared: &Path, embedder: &Arc<dyn Embedder>) -> Self {
        let mut files: Vec<_> = std::fs::read_dir(shared.join("data/rust-book"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
            .collect();
        files.sort();
        let mut texts = BTreeMap::new();
        let mut chunks = Vec::new();
        for path in files {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            chunks.extend(divide(&name, &text));
            texts.insert(name, text);
        }
        Self::new(texts, chunks, embedder)
    }

    /// Documentation passages in BEIR layout, each as it is.
    pub fn docs_rag(shared: &Path, embedder: &Arc<dyn Embedder>) -> Self {
        let mut texts = BTreeMap::new();
        let mut chunks = Vec::new();
        for passage in lines(&shared.join("data/docs-rag/corpus.jsonl")) {
            let field = |name: &str| passage[name].as_str().unwrap().to_owned();
            let (id, title, text) = (field("_id"), field("title"), field("text"));
            if text.trim().is_empty() {
                continue;
            }
            let document = Document::new(id.as_str(), text.as_str()).with_metadata("title", title.as_str());
            let mut chunk = Chunk::whole(&document);
            chunk.locator.headings = vec![title];
            texts.insert(id, text);
            chunks.push(chunk);
        }
        Self::new(texts, chunks, embedder)
    }

    pub fn text(&self, document: &str, span: Span) -> &str {
        span.of(&self.texts[document]).unwrap()
    }
}

impl Retriever for Corpus {
    fn retrieve(&self, query: &Query) -> retrieve::Result<Vec<ScoredChunk>> {
        let asked = self.embedder.embed(&[&query.text], Role::Query)?;
        let cosine = |vector: &[f32]| vector.iter().zip(asked.as_slice()).map(|(a, b)| a * b).sum();
        let mut hits: Vec<_> = self
            .chunks
            .iter()
            .zip(&self.vectors)
            .map(|(chunk, vector)| ScoredChunk::new(chunk.clone(), ScoreKind::Cosine, cosine(vector)))
            .collect();
        ScoredChunk::sort(&mut hits);
        hits.truncate(query.top_k);
        Ok(hits)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        Some(Arc::clone(&self.embedder))
    }

    fn stored_text(&self, document_id: &str, span: Span) -> retrieve::Result<Option<String>> {
        Ok(self
            .texts
            .get(document_id)
            .and_then(|text| span.of(text))
            .map(str::to_owned))
    }
}

/// The records of a JSON Lines file.
pub fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn divide(name: &str, text: &str) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut headings: Vec<String> = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut fenced = false;
    let mut push = |start: usize, end: usize, headings: &[String]| {
        let part = text[start..end].trim_end();
        let lead = part.len() - part.trim_start().len();
        let span = Span::new(start + lead, start + part.len());
        if span.is_empty() {
            return;
        }
        let line = 1 + text[..span.start].matches('\n').count() as u32;
        chunks.push(Chunk {
            id: format!("{name}:{:08}", span.start),
            span,
            text: span.of(text).unwrap().to_owned(),
            locator: Locator {
                line: Some(line),
                headings: headings.to_vec(),
                ..Locator::default()
            },
            ..Chunk::whole(&Document::new(name, ""))
        });
    };
    for line in text.split_inclusive('\n') {
        let heads = !fenced && line.starts_with('#');
        if heads || (!fenced && line.trim().is_empty() && at - start > PASSAGE_BYTES) {
            push(start, at, &headings);
            start = at;
        }
        if heads {
            let level = line.bytes().take_while(|byte| *byte == b'#').count();
            headings.truncate(level - 1);
            headings.push(line.trim_start_matches('#').trim().to_owned());
        }
        fenced ^= line.trim_start().starts_with("```");
        at += line.len();
    }
    push(start, at, &headings);
    chunks
}
