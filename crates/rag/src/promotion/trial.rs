//! Bases in memory on which a candidate is tried before the real one changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use ragtune_core::Cancel;
use ragtune_core::text::{Document, Embedder, Span};
use ragtune_retrieve::measure::BeirDataset;
use ragtune_retrieve::{ChunkSpan, Chunker, DocumentStore, KnowledgeBase, Metric};

use crate::error::Result;

/// Documents that are added at a time.
const WINDOW: usize = 64;

/// The same documents with the same passages, embedded by another encoder.
pub(super) fn copy(
    base: &KnowledgeBase,
    embedder: Arc<dyn Embedder>,
    metric: Option<Metric>,
    cancel: &Cancel,
    tell: &dyn Fn(usize),
) -> Result<KnowledgeBase> {
    let mut done = 0;
    let empty = with_metric(KnowledgeBase::in_memory()?.with_embedder(embedder)?, metric)?;
    for ids in base.document_ids()?.chunks(WINDOW) {
        cancel.check()?;
        let (mut documents, mut passages) = (Vec::new(), BTreeMap::new());
        for id in ids {
            let Some(divided) = base.divided(id)? else {
                continue;
            };
            let spans = divided.passages.into_iter().map(|passage| ChunkSpan {
                span: passage.span,
                headings: passage.locator.headings,
            });
            passages.insert(id.clone(), spans.collect());
            documents.push(divided.document);
        }
        empty.clone().with_chunker(Stored(passages)).add(documents)?;
        done += ids.len();
        tell(done);
    }
    Ok(empty)
}

/// The corpus of a benchmark, a passage for each document.
pub(super) fn corpus(
    data: &BeirDataset,
    embedder: Arc<dyn Embedder>,
    metric: Option<Metric>,
    cancel: &Cancel,
    tell: &dyn Fn(usize),
) -> Result<KnowledgeBase> {
    let mut done = 0;
    let base = KnowledgeBase::in_memory()?
        .with_embedder(embedder)?
        .with_chunker(Whole);
    let base = with_metric(base, metric)?;
    for window in data.documents.chunks(WINDOW) {
        cancel.check()?;
        base.add(
            window
                .iter()
                .map(|document| Document::new(&document.id, document.content())),
        )?;
        done += window.len();
        tell(done);
    }
    Ok(base)
}

fn with_metric(base: KnowledgeBase, metric: Option<Metric>) -> Result<KnowledgeBase> {
    Ok(match metric {
        Some(metric) => base.with_metric(metric)?,
        None => base,
    })
}

/// Divides documents as they are stored elsewhere.
struct Stored(BTreeMap<String, Vec<ChunkSpan>>);

impl Chunker for Stored {
    fn id(&self) -> String {
        "stored-1".to_owned()
    }

    fn chunk(&self, document: &Document) -> ragtune_retrieve::Result<Vec<ChunkSpan>> {
        Ok(self.0.get(&document.id).cloned().unwrap_or_default())
    }
}

/// One passage a document.
struct Whole;

impl Chunker for Whole {
    fn id(&self) -> String {
        "whole-1".to_owned()
    }

    fn chunk(&self, document: &Document) -> ragtune_retrieve::Result<Vec<ChunkSpan>> {
        let span = Span::new(0, document.text.len());
        let whole = ChunkSpan {
            span,
            headings: Vec::new(),
        };
        Ok((!span.is_empty()).then_some(whole).into_iter().collect())
    }
}
