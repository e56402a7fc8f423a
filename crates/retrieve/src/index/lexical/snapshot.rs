//! One committed state of the index with the statistics that scores are made of.
//!
//! A deleted passage stays in its segment until a merge, and the library's own counts include it. The statistics here
//! count living passages only, so that scores do not depend on the history of updates: they equal those of an index
//! built afresh.

use std::sync::Arc;

use tantivy::columnar::Column;
use tantivy::fastfield::AliveBitSet;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::schema::{Field, IndexRecordOption, Term};
use tantivy::{DocId, DocSet, InvertedIndexReader, Searcher, SegmentReader, TERMINATED};

use super::directory::Fields;

/// A segment of a snapshot.
pub(super) struct SegmentView {
    pub(super) body: Arc<InvertedIndexReader>,
    pub(super) lengths: FieldNormReader,
    pub(super) max_doc: DocId,
    chunk_index: Arc<InvertedIndexReader>,
    chunks: Column<i64>,
    alive: Option<AliveBitSet>,
}

impl SegmentView {
    fn open(reader: &SegmentReader, fields: Fields) -> tantivy::Result<Self> {
        Ok(Self {
            body: reader.inverted_index(fields.body)?,
            lengths: reader.get_fieldnorms_reader(fields.body)?,
            max_doc: reader.max_doc(),
            chunk_index: reader.inverted_index(fields.chunk)?,
            chunks: reader.fast_fields().i64(Fields::CHUNK)?,
            alive: reader.alive_bitset().cloned(),
        })
    }

    /// Whether the document was not deleted.
    pub(super) fn is_alive(&self, doc: DocId) -> bool {
        self.alive.as_ref().is_none_or(|alive| alive.is_alive(doc))
    }

    /// Whether no document was deleted.
    pub(super) fn is_whole(&self) -> bool {
        self.alive.is_none()
    }

    /// The passage that a document is.
    pub(super) fn chunk(&self, doc: DocId) -> i64 {
        self.chunks.first(doc).unwrap_or(i64::MAX)
    }

    /// The living document of a passage.
    pub(super) fn find(&self, chunk: i64, field: Field) -> tantivy::Result<Option<DocId>> {
        let term = Term::from_field_i64(field, chunk);
        let Some(mut docs) = self.chunk_index.read_postings(&term, IndexRecordOption::Basic)? else {
            return Ok(None);
        };
        let mut doc = docs.doc();
        while doc != TERMINATED && !self.is_alive(doc) {
            doc = docs.advance();
        }
        Ok((doc != TERMINATED).then_some(doc))
    }
}

/// One committed state.
pub(super) struct Snapshot {
    pub(super) searcher: Searcher,
    pub(super) segments: Vec<SegmentView>,
    /// Store sequence number of the commit.
    pub(super) stamp: u64,
    /// Living passages.
    pub(super) count: u64,
    /// Mean number of terms of a living passage, lengths rounded as the index keeps them.
    pub(super) average_length: f32,
}

impl Snapshot {
    /// The state that a searcher sees.
    pub(super) fn new(searcher: Searcher, fields: Fields, stamp: u64) -> tantivy::Result<Self> {
        let segments = searcher
            .segment_readers()
            .iter()
            .map(|reader| SegmentView::open(reader, fields))
            .collect::<tantivy::Result<Vec<_>>>()?;
        let (mut count, mut terms) = (0u64, 0u64);
        for segment in &segments {
            for doc in (0..segment.max_doc).filter(|&doc| segment.is_alive(doc)) {
                count += 1;
                terms += u64::from(segment.lengths.fieldnorm(doc));
            }
        }
        Ok(Self {
            searcher,
            segments,
            stamp,
            count,
            average_length: average_length(terms, count),
        })
    }

    /// Whether a living passage has this id.
    pub(super) fn contains(&self, chunk: i64, field: Field) -> tantivy::Result<bool> {
        for segment in &self.segments {
            if segment.find(chunk, field)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The passages of a snapshot that someone may see, and their statistics.
pub(super) struct Seen {
    /// For each segment, which documents are living and seen.
    docs: Vec<Vec<bool>>,
    pub(super) count: u64,
    pub(super) average_length: f32,
}

impl Seen {
    /// Counts the passages that `seen` says.
    pub(super) fn new(snapshot: &Snapshot, seen: &(dyn Fn(i64) -> bool + Sync)) -> Self {
        let (mut count, mut terms) = (0u64, 0u64);
        let mut docs = Vec::with_capacity(snapshot.segments.len());
        for segment in &snapshot.segments {
            let sees = |doc| segment.is_alive(doc) && seen(segment.chunk(doc));
            let of_segment: Vec<bool> = (0..segment.max_doc).map(sees).collect();
            for (doc, _) in (0..).zip(&of_segment).filter(|(_, sees)| **sees) {
                count += 1;
                terms += u64::from(segment.lengths.fieldnorm(doc));
            }
            docs.push(of_segment);
        }
        Self {
            docs,
            count,
            average_length: average_length(terms, count),
        }
    }

    /// Whether a document of a segment is living and seen.
    pub(super) fn contains(&self, segment: usize, doc: DocId) -> bool {
        let of_segment = self.docs.get(segment);
        of_segment
            .and_then(|docs| docs.get(doc as usize))
            .is_some_and(|sees| *sees)
    }
}

/// Mean number of terms of a passage, as the formula needs it: never 0.
fn average_length(terms: u64, count: u64) -> f32 {
    let average = match count {
        0 => 1.0,
        count => (terms as f64 / count as f64) as f32,
    };
    average.max(f32::MIN_POSITIVE)
}
