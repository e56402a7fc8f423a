//! Sentences found, with those around them.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Query, ScoredChunk, Span};

use super::enlarge::{Surrounding, Surroundings};
use super::lists::check_threshold;
use crate::chunk::sentences;
use crate::document_store::DocumentStore;
use crate::error::Result;
use crate::retriever::Retriever;

/// Bytes on either side of a hit in which its neighbouring sentences are looked for, for each of them.
const BYTES_OF_SENTENCE: usize = 2048;

/// Returns each hit with so many sentences before and behind it: small passages are found precisely, and a window around
/// them can be understood.
///
/// No text is shown twice: a hit that lies in the window of a better one is left out, one that lies there in part loses that
/// part, and a window ends where that of a better hit begins. A hit stays as it is where the asker may not see all passages of its window, and where the document
/// changed since it was searched. It suits passages of one sentence
/// ([`SentenceChunker::with_sentences`](crate::chunk::SentenceChunker::with_sentences)), and works with any. A threshold is
/// the inner retriever's.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::chunk::SentenceChunker;
/// use ragtune_retrieve::{KnowledgeBase, Retriever, SentenceWindowRetriever};
/// # use std::sync::Arc;
///
/// let one_sentence = SentenceChunker::new(Arc::new(HashingEmbedder::new(256))).with_sentences(1, 0)?;
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?.with_chunker(one_sentence);
/// kb.add([Document::new("tea", "Rinse the pot. Green tea wants 80 degrees. It turns bitter above. Serve it.")])?;
/// let windows = SentenceWindowRetriever::new(kb.dense(), kb, 1);
/// let hits = windows.retrieve(&"How many degrees does green tea want?".into())?;
/// assert_eq!(hits[0].chunk.text, "Rinse the pot. Green tea wants 80 degrees. It turns bitter above.");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct SentenceWindowRetriever {
    inner: Arc<dyn Retriever>,
    store: Arc<dyn DocumentStore>,
    sentences: usize,
    candidates: usize,
}

impl SentenceWindowRetriever {
    /// Passages that windows are made of when the caller names no number.
    pub const DEFAULT_CANDIDATES: usize = 50;

    /// Adds so many sentences on either side of what `inner` finds; `store` has the documents.
    pub fn new(
        inner: impl Retriever + 'static,
        store: impl DocumentStore + 'static,
        sentences: usize,
    ) -> Self {
        Self {
            inner: Arc::new(inner),
            store: Arc::new(store),
            sentences,
            candidates: Self::DEFAULT_CANDIDATES,
        }
    }

    /// Looks at so many passages, of which some lie in the windows of others; never fewer than a query's `top_k`.
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }

    /// The window around a passage, between the windows of better hits.
    fn window(&self, around: Surrounding<'_>, passage: Span, better: &[Span]) -> Span {
        let text = around.text();
        let (mut low, mut high) = (0, text.len());
        for window in better {
            if window.start < passage.start {
                low = low.max(window.end.min(passage.start));
            }
            if window.end > passage.end {
                high = high.min(window.start.max(passage.end));
            }
        }
        let reach = BYTES_OF_SENTENCE.saturating_mul(self.sentences);
        let from = text.floor_char_boundary(passage.start.saturating_sub(reach));
        let until = text.ceil_char_boundary(passage.end.saturating_add(reach).min(text.len()));
        // Blocks of the text end at blank lines, so that sentences are the same as those of the whole text from there.
        let from = match text[..from].rfind("\n\n") {
            Some(at) if from > 0 => at,
            _ => 0,
        };
        let until = text[until..].find("\n\n").map_or(text.len(), |at| until + at);
        let near: Vec<Span> = sentences(&text[from..until])
            .into_iter()
            .map(|span| span.shifted(from))
            .collect();
        let before = near
            .iter()
            .rev()
            .filter(|span| span.end <= passage.start && span.start >= low);
        let behind = near
            .iter()
            .filter(|span| span.start >= passage.end && span.end <= high);
        // A passage that begins or ends inside a sentence takes the rest of it along.
        let cut = |at: usize| near.iter().find(|span| span.start < at && at < span.end);
        let start = cut(passage.start).map_or(passage.start, |sentence| sentence.start.max(low));
        let end = cut(passage.end).map_or(passage.end, |sentence| sentence.end.min(high));
        let start = before
            .take(self.sentences)
            .last()
            .map_or(start, |first| first.start.min(start));
        let end = behind
            .take(self.sentences)
            .last()
            .map_or(end, |last| last.end.max(end));
        Span::new(text.floor_char_boundary(start), text.ceil_char_boundary(end))
    }
}

impl Retriever for SentenceWindowRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        check_threshold("the sentence window retriever", query)?;
        if query.top_k == 0 {
            return Ok(Vec::new());
        }
        let mut wide = query.clone();
        wide.top_k = query.top_k.max(self.candidates);
        let mut surroundings = Surroundings::new(self.store.as_ref(), query);
        let mut windows: Vec<ScoredChunk> = Vec::new();
        for hit in self.inner.retrieve(&wide)? {
            let last = query.top_k.checked_sub(1).and_then(|last| windows.get(last));
            if last.is_some_and(|last| hit.score() < last.score()) {
                break;
            }
            let better: Vec<Span> = windows
                .iter()
                .filter(|window| window.chunk.document_id == hit.chunk.document_id)
                .map(|window| window.chunk.span)
                .collect();
            if better.iter().any(|window| window.contains(hit.chunk.span)) {
                continue;
            }
            let Some(around) = surroundings.of(&hit.chunk)? else {
                windows.push(hit);
                continue;
            };
            let Some(passage) = unshown(around.text(), hit.chunk.span, &better) else {
                continue;
            };
            let window = self.window(around, passage, &better);
            let window = if around.may_show(window) { window } else { passage };
            windows.push(around.enlarged(hit, window));
        }
        ScoredChunk::sort(&mut windows);
        windows.truncate(query.top_k);
        Ok(windows)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.inner.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.inner.stored_text(document_id, span)
    }
}

/// The part of a passage that no better window shows, without white space at its ends; `None` where that is nothing.
fn unshown(text: &str, passage: Span, better: &[Span]) -> Option<Span> {
    let mut rest = passage;
    for window in better.iter().filter(|window| window.overlaps(passage)) {
        if window.start <= passage.start {
            rest.start = rest.start.max(window.end);
        } else if window.end >= passage.end {
            rest.end = rest.end.min(window.start);
        }
    }
    if rest == passage {
        return Some(passage);
    }
    let part = rest.of(text).filter(|part| !part.trim().is_empty())?;
    let start = rest.start + part.len() - part.trim_start().len();
    Some(Span::new(start, start + part.trim().len()))
}
