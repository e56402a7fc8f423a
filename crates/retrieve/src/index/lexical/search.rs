//! BM25 over a snapshot, term by term.
//!
//! S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), equation 3.15 with
//! the idf of Lucene and tantivy, which is never negative:
//! `score = Σ qtf · ln(1 + (N - n + 0.5) / (n + 0.5)) · tf · (k1 + 1) / (tf + k1 · (1 - b + b · length / average))`.
//!
//! Terms are added in their alphabetical order for every passage, so a score is the same to the last bit whatever the
//! segments are.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::query::{EnableScoring, PhraseQuery, Query};
use tantivy::schema::{IndexRecordOption, Term};
use tantivy::{DocId, DocSet, TERMINATED};

use super::directory::Fields;
use super::question::Question;
use super::snapshot::{Seen, SegmentView, Snapshot};

/// How soon repeating a term stops counting.
const K1: f32 = 1.2;
/// How much a passage's length counts.
const B: f32 = 0.75;

/// A question against one snapshot.
pub(super) struct Search<'a> {
    snapshot: &'a Snapshot,
    fields: Fields,
    /// Terms that occur, with idf times (k1 + 1) times their count in the question.
    terms: Vec<(Term, f32)>,
    /// `k1 (1 - b + b length / average)` for each length code.
    saturation: Vec<f32>,
    /// Documents of each segment that contain every quoted phrase; `None` where no phrase limits the search.
    within: Option<Vec<Vec<DocId>>>,
}

impl<'a> Search<'a> {
    /// Looks the question's terms up; only passages that are `seen` are counted, where that is said.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        fields: Fields,
        question: &Question,
        seen: Option<&(dyn Fn(i64) -> bool + Sync)>,
    ) -> tantivy::Result<Self> {
        let seen = seen.map(|seen| Seen::new(snapshot, seen));
        let seen = seen.as_ref();
        let (count, average_length) = match seen {
            Some(seen) => (seen.count, seen.average_length),
            None => (snapshot.count, snapshot.average_length),
        };
        let mut terms = Vec::with_capacity(question.terms.len());
        for (text, times) in &question.terms {
            let term = Term::from_field_text(fields.body, text);
            let found = document_frequency(snapshot, &term, seen)?;
            if found > 0 {
                let (n, all) = (found as f64, count as f64);
                let idf = (1.0 + (all - n + 0.5) / (n + 0.5)).ln();
                terms.push((term, (idf * f64::from(K1 + 1.0) * f64::from(*times)) as f32));
            }
        }
        let saturation = (0..=u8::MAX).map(|code| {
            let length = FieldNormReader::id_to_fieldnorm(code) as f32;
            K1 * (1.0 - B + B * length / average_length)
        });
        Ok(Self {
            snapshot,
            fields,
            terms,
            saturation: saturation.collect(),
            within: phrase_documents(snapshot, fields, &question.phrases, seen)?,
        })
    }

    /// The best passages, ties by passage id.
    pub(super) fn top(
        &self,
        top_k: usize,
        allowed: Option<&(dyn Fn(i64) -> bool + Sync)>,
    ) -> tantivy::Result<Vec<(i64, f32)>> {
        let mut best: BinaryHeap<Reverse<Ranked>> = BinaryHeap::new();
        if top_k == 0 || self.terms.is_empty() {
            return Ok(Vec::new());
        }
        for (at, segment) in self.snapshot.segments.iter().enumerate() {
            let scores = self.score_segment(segment)?;
            let mut offer = |doc: DocId, score: f32| {
                if score <= 0.0
                    || best.len() >= top_k && best.peek().is_some_and(|worst| score < worst.0.score)
                {
                    return;
                }
                if !segment.is_alive(doc) {
                    return;
                }
                let chunk = segment.chunk(doc);
                if allowed.is_none_or(|allowed| allowed(chunk)) {
                    best.push(Reverse(Ranked { score, chunk }));
                    if best.len() > top_k {
                        best.pop();
                    }
                }
            };
            match &self.within {
                Some(within) => within[at]
                    .iter()
                    .for_each(|&doc| offer(doc, scores[doc as usize])),
                None => (0..).zip(scores).for_each(|(doc, score)| offer(doc, score)),
            }
        }
        let best = best.into_sorted_vec();
        Ok(best
            .into_iter()
            .map(|Reverse(hit)| (hit.chunk, hit.score))
            .collect())
    }

    /// The score of each of these passages, 0 without a match.
    pub(super) fn scores_of(&self, chunks: &[i64]) -> tantivy::Result<Vec<f32>> {
        let mut scores = vec![0.0; chunks.len()];
        for (at, segment) in self.snapshot.segments.iter().enumerate() {
            let mut docs = Vec::new();
            for (i, &chunk) in chunks.iter().enumerate() {
                let doc = segment.find(chunk, self.fields.chunk)?;
                let within = |doc: &DocId| {
                    self.within
                        .as_ref()
                        .is_none_or(|within| within[at].binary_search(doc).is_ok())
                };
                docs.extend(doc.filter(within).map(|doc| (doc, i)));
            }
            docs.sort_unstable();
            if docs.is_empty() {
                continue;
            }
            for (term, weight) in &self.terms {
                let Some(mut postings) = segment.body.read_postings(term, IndexRecordOption::WithFreqs)?
                else {
                    continue;
                };
                for &(doc, i) in &docs {
                    let found = if postings.doc() < doc {
                        postings.seek(doc)
                    } else {
                        postings.doc()
                    };
                    if found == TERMINATED {
                        break;
                    }
                    if found == doc {
                        use tantivy::postings::Postings;
                        scores[i] += self.weigh(segment, doc, postings.term_freq(), *weight);
                    }
                }
            }
        }
        Ok(scores)
    }

    /// The score of every document of a segment, deleted ones too.
    fn score_segment(&self, segment: &SegmentView) -> tantivy::Result<Vec<f32>> {
        let mut scores = vec![0.0f32; segment.max_doc as usize];
        for (term, weight) in &self.terms {
            let Some(mut block) = segment
                .body
                .read_block_postings(term, IndexRecordOption::WithFreqs)?
            else {
                continue;
            };
            while !block.docs().is_empty() {
                for (&doc, &times) in block.docs().iter().zip(block.freqs()) {
                    if let Some(score) = scores.get_mut(doc as usize) {
                        *score += self.weigh(segment, doc, times, *weight);
                    }
                }
                block.advance();
            }
        }
        Ok(scores)
    }

    fn weigh(&self, segment: &SegmentView, doc: DocId, times: u32, weight: f32) -> f32 {
        let code = usize::from(segment.lengths.fieldnorm_id(doc));
        let times = times as f32;
        weight * times / (times + self.saturation[code])
    }
}

/// A candidate; the greater is the better, and of equal scores the smaller passage id.
struct Ranked {
    score: f32,
    chunk: i64,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self.score.total_cmp(&other.score);
        by_score.then_with(|| other.chunk.cmp(&self.chunk))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// Living passages that contain a term, among the `seen` ones where that is said.
fn document_frequency(snapshot: &Snapshot, term: &Term, seen: Option<&Seen>) -> tantivy::Result<u64> {
    let mut found = 0;
    for (at, segment) in snapshot.segments.iter().enumerate() {
        let Some(info) = segment.body.get_term_info(term)? else {
            continue;
        };
        if segment.is_whole() && seen.is_none() {
            found += u64::from(info.doc_freq);
            continue;
        }
        let mut block = segment
            .body
            .read_block_postings_from_terminfo(&info, IndexRecordOption::Basic)?;
        while !block.docs().is_empty() {
            let counts =
                |doc: DocId| seen.map_or_else(|| segment.is_alive(doc), |seen| seen.contains(at, doc));
            found += block.docs().iter().filter(|&&doc| counts(doc)).count() as u64;
            block.advance();
        }
    }
    Ok(found)
}

/// The documents of each segment, ascending, that contain all phrases; `None` without phrases, or where no living
/// passage has them all: then the quotes say nothing more than their words. Passages that are not `seen` do not exist.
fn phrase_documents(
    snapshot: &Snapshot,
    fields: Fields,
    phrases: &[Vec<(usize, String)>],
    seen: Option<&Seen>,
) -> tantivy::Result<Option<Vec<Vec<DocId>>>> {
    let mut within: Option<Vec<Vec<DocId>>> = None;
    for phrase in phrases {
        let terms = phrase
            .iter()
            .map(|(place, text)| (*place, Term::from_field_text(fields.body, text)));
        let query = PhraseQuery::new_with_offset(terms.collect());
        let weight = query.weight(EnableScoring::disabled_from_searcher(&snapshot.searcher))?;
        let mut found = Vec::with_capacity(snapshot.segments.len());
        for (at, reader) in snapshot.searcher.segment_readers().iter().enumerate() {
            let segment = &snapshot.segments[at];
            let mut docs = Vec::new();
            let mut matches = weight.scorer(reader, 1.0)?;
            while matches.doc() != TERMINATED {
                let doc = matches.doc();
                let before = |within: &Vec<Vec<DocId>>| within[at].binary_search(&doc).is_ok();
                let sees = seen.is_none_or(|seen| seen.contains(at, doc));
                if segment.is_alive(doc) && sees && within.as_ref().is_none_or(before) {
                    docs.push(doc);
                }
                matches.advance();
            }
            found.push(docs);
        }
        within = Some(found);
    }
    Ok(within.filter(|within| within.iter().any(|docs| !docs.is_empty())))
}
