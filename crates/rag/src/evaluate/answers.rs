//! How near an answer is to the right ones.

use std::collections::BTreeMap;

use ragtune_core::Cancel;
use ragtune_core::text::{Embedder, Role};
use ragtune_train::metrics::{Bleu, BleuScore, Rouge, Squad};

use super::measure::name;
use super::record::{Outcome, Record};
use crate::error::{Error, Result};
use crate::extractive::cosine;

/// Texts that are embedded at a time, between two looks at the cancel flag.
const WINDOW: usize = 128;

/// Measures the words of an answer; a question that was not answered has the worst values, and an abstention the best ones
/// where there is no answer (Rajpurkar, Jia, Liang: Know What You Don't Know, 2018, section 4).
pub(super) fn words(record: &mut Record) -> Result<()> {
    if !record.answerable {
        let right = f64::from(matches!(record.outcome, Outcome::Abstained(_)));
        record.set(name::EXACT_MATCH, right);
        record.set(name::F1, right);
        return Ok(());
    }
    if record.answers.is_empty() {
        return Ok(());
    }
    let (exact, f1) = match record.is_answered() {
        true => Squad::default().score(&record.answers, &record.measured_text),
        false => (0.0, 0.0),
    };
    let rouge = Rouge::default().score_multi(&record.answers, &record.measured_text)?;
    let bleu = Bleu::default()
        .with_effective_order(true)
        .sentence(&record.answers, &record.measured_text)?;
    record.set(name::EXACT_MATCH, exact);
    record.set(name::F1, f1);
    record.set(name::ROUGE_L, rouge.rouge_l.f1);
    record.set(name::BLEU, bleu.score);
    Ok(())
}

/// The counts of each answer that BLEU of a set is made of, for the records that have right answers.
pub(super) fn bleu_counts(records: &[Record]) -> Result<Vec<BleuScore>> {
    let count = |record: &Record| Bleu::default().sentence(&record.answers, &record.measured_text);
    let with_answers = records
        .iter()
        .filter(|record| record.measures.contains_key(name::BLEU));
    Ok(with_answers.map(count).collect::<Result<_, _>>()?)
}

/// Measures the cosine of each answer to the nearest right one; 0 where there was no answer.
pub(super) fn similarity(embedder: &dyn Embedder, records: &mut [Record], cancel: &Cancel) -> Result<()> {
    let wanted = |record: &Record| record.answerable && !record.answers.is_empty();
    let mut texts: Vec<&str> = Vec::new();
    for record in records
        .iter()
        .filter(|record| wanted(record) && record.is_answered())
    {
        texts.push(&record.measured_text);
        texts.extend(record.answers.iter().map(String::as_str));
    }
    let vectors = Vectors::of(embedder, &texts, cancel)?;
    let values: Vec<Option<f64>> = records
        .iter()
        .map(|record| {
            let best = record
                .answers
                .iter()
                .map(|answer| vectors.cosine(&record.measured_text, answer))
                .fold(f64::NEG_INFINITY, f64::max);
            wanted(record).then_some(if record.is_answered() { best } else { 0.0 })
        })
        .collect();
    for (record, value) in records.iter_mut().zip(values) {
        if let Some(value) = value {
            record.set(name::SIMILARITY, value);
        }
    }
    Ok(())
}

/// Vectors of unit length, each text once.
#[derive(Default)]
pub(super) struct Vectors(BTreeMap<String, Vec<f32>>);

impl Vectors {
    pub fn of(embedder: &dyn Embedder, texts: &[&str], cancel: &Cancel) -> Result<Self> {
        let mut distinct: Vec<&str> = texts.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut vectors = BTreeMap::new();
        for window in distinct.chunks(WINDOW) {
            cancel.check()?;
            let embeddings = embedder.embed(window, Role::Document)?;
            embeddings.check(embedder.dim(), window.len())?;
            for (at, text) in window.iter().enumerate() {
                let row = embeddings.row(at).unwrap_or_default();
                let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                if !norm.is_finite() {
                    return Err(Error::InvalidScore {
                        component: "encoder",
                        what: "a component of a vector".to_owned(),
                        value: norm,
                    });
                }
                let unit = |x: &f32| if norm > 0.0 { x / norm } else { 0.0 };
                vectors.insert((*text).to_owned(), row.iter().map(unit).collect());
            }
        }
        Ok(Self(vectors))
    }

    /// The cosine of two texts; 0 where one was not embedded.
    pub fn cosine(&self, first: &str, second: &str) -> f64 {
        match (self.0.get(first), self.0.get(second)) {
            // What is behind the sixth digit is rounding of f32; a text is as near to itself as can be.
            (Some(first), Some(second)) => {
                let cosine = f64::from(cosine(first, second)).clamp(-1.0, 1.0);
                (cosine * 1e6).round() / 1e6
            }
            _ => 0.0,
        }
    }
}
