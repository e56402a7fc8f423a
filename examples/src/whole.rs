//! Documents that are not divided.

use ragtune::Document;
use ragtune::core::text::Span;
use ragtune::retrieve::{ChunkSpan, Chunker};

/// One passage a document: the whole text.
pub struct Whole;

impl Chunker for Whole {
    fn id(&self) -> String {
        "whole-1".to_owned()
    }

    fn chunk(&self, document: &Document) -> ragtune::retrieve::Result<Vec<ChunkSpan>> {
        let span = Span::new(0, document.text.len());
        Ok((!span.is_empty())
            .then(|| ChunkSpan {
                span,
                headings: Vec::new(),
            })
            .into_iter()
            .collect())
    }
}
