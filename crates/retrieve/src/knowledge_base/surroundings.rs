//! What surrounds a hit: its document with all passages, and the vectors that are stored of hits.

use ragtune_core::text::{Chunk, Metadata};

use super::handle::KnowledgeBase;
use super::view::chunk_id;
use crate::document_store::{DividedDocument, DocumentPassage, DocumentStore};
use crate::error::Result;
use crate::store::{Generation, StoredDocument, documents, passages, vectors};

impl DocumentStore for KnowledgeBase {
    fn divided(&self, id: &str) -> Result<Option<DividedDocument>> {
        self.base().store.read(|connection| {
            let Some(stored) = StoredDocument::find(connection, id)? else {
                return Ok(None);
            };
            let Some(document) = documents::load(connection, id)? else {
                return Ok(None);
            };
            let listed = passages::of_document(connection, stored.key)?;
            let passages = listed.into_iter().map(|chunk| DocumentPassage {
                span: chunk.span,
                locator: chunk.locator,
                metadata: Metadata::new(),
            });
            Ok(Some(DividedDocument {
                passages: passages.collect(),
                document,
            }))
        })
    }
}

impl KnowledgeBase {
    /// The stored vectors of hits of this base; `None` for a hit that is not stored as it is any more, and for all where
    /// the base has no vectors.
    pub(crate) fn stored_vectors<'c>(
        &self,
        chunks: impl IntoIterator<Item = &'c Chunk>,
    ) -> Result<Vec<Option<Vec<f32>>>> {
        self.base().store.read(|connection| {
            let generation = Generation::active(connection)?;
            let vector = |chunk: &Chunk| {
                let (Some(generation), Some(ordinal)) = (&generation, ordinal_of(chunk)) else {
                    return Ok(None);
                };
                vectors::of_chunk(connection, generation, &chunk.document_id, ordinal, chunk.span)
            };
            chunks.into_iter().map(vector).collect()
        })
    }
}

/// The number of a passage in its document, by its id.
fn ordinal_of(chunk: &Chunk) -> Option<u32> {
    let number = chunk
        .id
        .strip_prefix(chunk.document_id.as_str())?
        .strip_prefix('#')?;
    let ordinal = number.parse().ok()?;
    (chunk_id(&chunk.document_id, ordinal) == chunk.id).then_some(ordinal)
}
