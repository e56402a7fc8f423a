//! A disk that fills up, by a database that may not grow.

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::Document;

use super::KnowledgeBase;
use crate::chunk::{ChunkSpan, Chunker};
use crate::error::{Error, Result};

struct Whole;

impl Chunker for Whole {
    fn id(&self) -> String {
        "whole-1".to_owned()
    }
    fn chunk(&self, document: &Document) -> Result<Vec<ChunkSpan>> {
        let span = ragtune_core::text::Span::new(0, document.text.len());
        let headings = Vec::new();
        Ok(vec![ChunkSpan { span, headings }])
    }
}

fn documents(count: usize) -> Vec<Document> {
    let text = |i: usize| format!("Document {i}. {}", "It is rather long. ".repeat(100));
    (0..count)
        .map(|i| Document::new(format!("{i:04}"), text(i)))
        .collect()
}

#[test]
fn a_full_disk_is_an_error_that_keeps_what_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let open = || KnowledgeBase::open(folder.path()).unwrap();
    let kb = open()
        .with_embedder(HashingEmbedder::new(32))
        .unwrap()
        .with_chunker(Whole);
    kb.add(documents(50)).unwrap();
    kb.base().store.limit_growth(Some(250));
    let error = kb.add(documents(2000)).unwrap_err();
    assert!(matches!(error, Error::StoreFull { .. }), "{error:?}");
    let stored = kb.document_ids().unwrap();
    assert!((50..2000).contains(&stored.len()), "{}", stored.len());
    assert!(kb.check().unwrap().is_whole());
    // There is room again, in this process and in the next.
    kb.base().store.limit_growth(None);
    assert_eq!(kb.add(documents(100)).unwrap().unchanged, 100.min(stored.len()));
    drop(kb);
    let kb = open()
        .with_embedder(HashingEmbedder::new(32))
        .unwrap()
        .with_chunker(Whole);
    kb.add(documents(2000)).unwrap();
    assert_eq!(kb.document_ids().unwrap().len(), 2000);
    assert!(kb.check().unwrap().is_whole());
}
