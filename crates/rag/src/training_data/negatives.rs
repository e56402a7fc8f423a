//! Passages that are near to a question and do not answer it.
//!
//! Candidates are the passages of other questions, so that positives and negatives have the same form. They come from the
//! encoder (`ragtune_train::mining`) and from words in common (BM25). What is nearly as near as the positive may be an answer
//! that nobody marked, and is left out: the positive-aware mining of NV-Retriever (Moreira et al. 2024, arXiv:2407.15831,
//! section 3.2, "TopK-PercPos").

use std::collections::BTreeMap;

use ragtune_core::Cancel;
use ragtune_core::text::{Embedder, Query, Role};
use ragtune_retrieve::Retriever;
use ragtune_train::data::{Dataset, Pair};
use ragtune_train::mining::HardNegatives;

use super::corpus::Source;
use super::question::QuestionKind;
use super::report::MiningCounts;
use super::round_trip::Found;
use crate::error::Result;

/// Passages beyond the wanted ones that the encoder is asked for, since some are the question's own under another form.
const SPARE: usize = 8;
/// Hits by words in common that are looked at.
const LEXICAL_HITS: usize = 30;
/// Questions between two looks at the cancel flag.
const CHECKED: usize = 64;

/// How negatives are looked for.
pub(super) struct Miner<'a> {
    /// The encoder; its vectors are asked for more than once.
    pub embedder: &'a dyn Embedder,
    /// The base by words in common.
    pub lexical: &'a dyn Retriever,
    pub sources: &'a [Source],
    /// Negatives of each question.
    pub wanted: usize,
    /// The share of the positive's cosine by which a negative's is below it.
    pub margin: f32,
    pub seed: u64,
}

/// The texts of a part and where they stand.
struct Pool<'p> {
    part: &'p [Found],
    /// The questions that a text is the positive of.
    by_text: BTreeMap<&'p str, Vec<usize>>,
    /// The questions of each document.
    by_source: BTreeMap<usize, Vec<usize>>,
    by_id: BTreeMap<&'p str, usize>,
}

impl Miner<'_> {
    /// The negatives of each question of a part, from the part's own passages.
    pub fn mine(&self, part: &[Found], cancel: &Cancel) -> Result<(Vec<Vec<String>>, MiningCounts)> {
        let mut counts = MiningCounts::default();
        if part.is_empty() || self.wanted == 0 {
            return Ok((vec![Vec::new(); part.len()], counts));
        }
        let pool = Pool::new(part, self.sources);
        // 1. By the encoder.
        let pairs: Dataset<Pair> = part
            .iter()
            .map(|found| Pair::new(&found.question.text, &found.question.positive))
            .collect();
        let mined = HardNegatives::default()
            .with_num_negatives(self.wanted + SPARE)
            .with_relative_margin(self.margin)
            .with_sampling(ragtune_train::mining::Sampling::Top, self.seed)
            .mine(&pairs, &[] as &[&str], self.embedder)?;
        counts.guarded = mined.report.left_out;
        counts.positive_score = mined.report.positive_score;
        counts.negative_score = mined.report.negative_score;
        // 2. By words, one of the places.
        let mut negatives = Vec::with_capacity(part.len());
        for (number, record) in mined.set.records.iter().enumerate() {
            if number.is_multiple_of(CHECKED) {
                cancel.check()?;
            }
            let mut own: Vec<String> = Vec::with_capacity(self.wanted);
            if let Some(other) = self.by_words(number, &pool, &mut counts)? {
                counts.lexical += 1;
                own.push(other.to_owned());
            }
            let near = record.value.negatives.iter();
            for text in near.filter(|text| !pool.is_own(number, text)) {
                if own.len() == self.wanted {
                    break;
                }
                if !own.contains(text) {
                    counts.dense += 1;
                    own.push(text.clone());
                }
            }
            counts.fewer += usize::from(own.len() < self.wanted);
            negatives.push(own);
        }
        Ok((negatives, counts))
    }

    /// The passage with most words in common that is no answer.
    fn by_words<'p>(
        &self,
        number: usize,
        pool: &Pool<'p>,
        counts: &mut MiningCounts,
    ) -> Result<Option<&'p str>> {
        let question = &pool.part[number].question;
        let hits = self
            .lexical
            .retrieve(&Query::new(&question.text).with_top_k(LEXICAL_HITS))?;
        for hit in hits {
            let Some(other) = pool.at(&hit.chunk.document_id, hit.chunk.span, question.kind) else {
                continue;
            };
            let text = pool.part[other].question.positive.as_str();
            if pool.is_own(number, text) {
                continue;
            }
            if self.is_below(&question.text, &question.positive, text)? {
                return Ok(Some(text));
            }
            counts.guarded += 1;
        }
        Ok(None)
    }

    /// Whether a text is clearly farther from the question than the positive; the rule of
    /// `HardNegatives::with_relative_margin`.
    fn is_below(&self, question: &str, positive: &str, negative: &str) -> Result<bool> {
        let asked = self.embedder.embed(&[question], Role::Query)?;
        let given = self.embedder.embed(&[positive, negative], Role::Document)?;
        asked.check(self.embedder.dim(), 1)?;
        given.check(self.embedder.dim(), 2)?;
        let cosine = |row: usize| match (asked.row(0), given.row(row)) {
            (Some(a), Some(b)) => cosine(a, b),
            _ => 0.0,
        };
        let (positive, negative) = (cosine(0), cosine(1));
        Ok(negative <= positive - positive.abs() * self.margin)
    }
}

impl<'p> Pool<'p> {
    fn new(part: &'p [Found], sources: &'p [Source]) -> Self {
        let mut pool = Self {
            part,
            by_text: BTreeMap::new(),
            by_source: BTreeMap::new(),
            by_id: BTreeMap::new(),
        };
        for (number, found) in part.iter().enumerate() {
            let question = &found.question;
            pool.by_text.entry(&question.positive).or_default().push(number);
            pool.by_source.entry(question.source).or_default().push(number);
            pool.by_id.insert(&sources[question.source].id, question.source);
        }
        pool
    }

    /// Whether a text stands, for any question, where the answer to this one stands.
    fn is_own(&self, number: usize, text: &str) -> bool {
        let own = &self.part[number].question;
        let others = self.by_text.get(text).into_iter().flatten();
        let mut others = others.map(|other| &self.part[*other].question);
        others.any(|other| other.source == own.source && other.place.overlaps(own.place))
    }

    /// A question whose passage is at these bytes, of the same kind where there is one; never a whole document.
    fn at(&self, document: &str, span: ragtune_core::text::Span, kind: QuestionKind) -> Option<usize> {
        let there = self.by_source.get(self.by_id.get(document)?)?;
        let fits = |number: &&usize| {
            let question = &self.part[**number].question;
            question.kind != QuestionKind::Title && question.place.overlaps(span)
        };
        let of_kind = |number: &&usize| self.part[**number].question.kind == kind;
        let like = there.iter().filter(fits).find(of_kind);
        like.or_else(|| there.iter().find(fits)).copied()
    }
}

/// The cosine of two vectors; 0 where one has no length.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}
