//! Whether the sentences of an answer are carried by the texts that they cite.
//!
//! Statement by statement against its own citations, as Gao, Yen, Yu, Chen: Enabling Large Language Models to Generate Text
//! with Citations, 2023, section 4; the evidence here is lexical and an encoder's, and a judge's where one is given.

use ragtune_core::Cancel;
use ragtune_core::text::{Embedder, Span};

use super::answers::Vectors;
use super::measure::name;
use super::record::{Record, SentenceSupport, without_marks};
use crate::error::Result;
use crate::extractive::strangers;
use crate::sentences::sentences;
use crate::words;

/// A sentence is carried when its cited texts have at least this share of its content words ..
const LEXICAL: f64 = 0.6;

/// .. or when a cited sentence is at least so near to it, counted from unrelated texts.
const NEAR: f64 = 0.75;

/// Divides an answer into sentences with the texts that each cites, and measures the words. Sentences without content words
/// are left out.
pub(super) fn lexical(record: &mut Record) {
    if !record.is_answered() || record.sources.is_none() {
        return;
    }
    let listed = record.sources.as_ref().map_or(0, Vec::len);
    let mut found = Vec::new();
    for span in spans(&record.text) {
        let raw = span.of(&record.text).unwrap_or_default();
        let text = without_marks(raw, listed);
        let wanted = words::content_set(&text);
        if wanted.is_empty() {
            continue;
        }
        let cited: Vec<&str> = cited(record, span);
        let has: std::collections::BTreeSet<String> =
            cited.iter().flat_map(|text| words::content(text)).collect();
        found.push(SentenceSupport {
            is_cited: !cited.is_empty(),
            lexical: wanted.intersection(&has).count() as f64 / wanted.len() as f64,
            encoder: None,
            judged: None,
            text,
            span,
        });
    }
    record.sentences = found;
}

/// Measures how near each sentence is to the nearest sentence that it cites.
pub(super) fn encoder(embedder: &dyn Embedder, records: &mut [Record], cancel: &Cancel) -> Result<()> {
    let pairs: Vec<Vec<Pair>> = records.iter().map(pairs).collect();
    let texts: Vec<&str> = pairs
        .iter()
        .flatten()
        .flat_map(|pair| pair.cited.iter().chain([&pair.sentence]))
        .map(String::as_str)
        .collect();
    if texts.is_empty() {
        return Ok(());
    }
    let unrelated = f64::from(strangers(embedder)?.0);
    let vectors = Vectors::of(embedder, &texts, cancel)?;
    for (record, pairs) in records.iter_mut().zip(&pairs) {
        for (sentence, pair) in record.sentences.iter_mut().zip(pairs) {
            let best = pair
                .cited
                .iter()
                .map(|cited| vectors.cosine(&pair.sentence, cited))
                .fold(unrelated, f64::max);
            sentence.encoder = Some((best - unrelated) / (1.0 - unrelated));
        }
    }
    Ok(())
}

/// The means over the sentences of an answer.
pub(super) fn summarise(record: &mut Record) {
    let sentences = std::mem::take(&mut record.sentences);
    let count = sentences.len() as f64;
    if count > 0.0 {
        let mean = |of: &dyn Fn(&SentenceSupport) -> f64| sentences.iter().map(of).sum::<f64>() / count;
        record.set(name::SUPPORT_LEXICAL, mean(&|sentence| sentence.lexical));
        if sentences.iter().any(|sentence| sentence.encoder.is_some()) {
            record.set(
                name::SUPPORT_ENCODER,
                mean(&|sentence| sentence.encoder.unwrap_or(0.0)),
            );
        }
        record.set(
            name::SUPPORTED,
            mean(&|sentence| f64::from(sentence.is_carried())),
        );
    }
    // What the judge did not say in its format is left out, and counted in its report.
    let judged: Vec<f64> = sentences.iter().filter_map(|sentence| sentence.judged).collect();
    if !judged.is_empty() {
        record.set(
            name::SUPPORT_JUDGED,
            judged.iter().sum::<f64>() / judged.len() as f64,
        );
    }
    record.sentences = sentences;
}

impl SentenceSupport {
    /// Whether the words or the encoder say that the cited texts carry it.
    pub fn is_carried(&self) -> bool {
        self.is_cited && (self.lexical >= LEXICAL || self.encoder.is_some_and(|encoder| encoder >= NEAR))
    }
}

/// The sentences of all paragraphs of a text. A mark right behind a sentence belongs to it.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut start = 0;
    for paragraph in text.split_inclusive("\n\n") {
        let within = sentences(paragraph);
        spans.extend(within.into_iter().map(|span| span.shifted(start)));
        start += paragraph.len();
    }
    spans
}

/// The texts that the part of an answer under this span cites.
pub(super) fn cited(record: &Record, span: Span) -> Vec<&str> {
    let overlaps = |other: Span| other.start < span.end && span.start < other.end;
    let citations = record
        .citations
        .iter()
        .filter(|citation| overlaps(citation.answer_span));
    citations.map(|citation| citation.text.as_str()).collect()
}

struct Pair {
    sentence: String,
    cited: Vec<String>,
}

/// Each sentence with the sentences of its cited texts and those texts whole.
fn pairs(record: &Record) -> Vec<Pair> {
    let pair = |sentence: &SentenceSupport| {
        let mut parts: Vec<String> = Vec::new();
        for cited in cited(record, sentence.span) {
            let whole = spans(cited).into_iter().filter_map(|span| span.of(cited));
            parts.extend(whole.chain([cited]).map(|part| part.trim().to_owned()));
        }
        Pair {
            sentence: sentence.text.clone(),
            cited: parts,
        }
    };
    record.sentences.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::super::question::AnswerQuestion;
    use super::super::system::{Response, ResponseCitation, ResponseSource};
    use super::*;
    use ragtune_core::testing::HashingEmbedder;

    fn answered(text: &str, citations: &[(&str, &str)]) -> Record {
        let mut response = Response::new(text);
        response.sources = Some(vec![ResponseSource::default()]);
        response.citations = citations
            .iter()
            .map(|(part, cited)| {
                let start = text.find(part).unwrap();
                ResponseCitation {
                    source: 0,
                    text: (*cited).to_owned(),
                    answer_span: Span::new(start, start + part.len()),
                }
            })
            .collect();
        let mut records = [Record::new(&AnswerQuestion::new("q", "?"), Ok(response), 1.0)];
        lexical(&mut records[0]);
        encoder(&HashingEmbedder::new(512), &mut records, &Cancel::new()).unwrap();
        summarise(&mut records[0]);
        let [record] = records;
        record
    }

    #[test]
    fn each_sentence_is_held_against_its_own_citation() {
        let tea = "Green tea is steeped at 80 degrees.";
        let record = answered(
            "Green tea is steeped at 80 degrees [1]. Coffee grows in Brazil [1]. Nobody cites this.",
            &[
                ("Green tea is steeped at 80 degrees", tea),
                ("Coffee grows in Brazil", tea),
            ],
        );
        let carried: Vec<bool> = record.sentences.iter().map(SentenceSupport::is_carried).collect();
        assert_eq!(carried, [true, false, false]);
        assert_eq!(record.sentences[0].text, "Green tea is steeped at 80 degrees.");
        assert_eq!(record.sentences[0].lexical, 1.0);
        assert!(record.sentences[0].encoder.unwrap() > 0.99);
        assert_eq!(
            (record.sentences[2].is_cited, record.sentences[2].lexical),
            (false, 0.0)
        );
        assert_eq!(record.sentences[2].encoder, Some(0.0));
        assert!((record.measures[name::SUPPORTED] - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn marks_alone_are_no_sentence() {
        let record = answered(
            "`a`\n[1]\n\nIt is so [1].",
            &[("`a`", "a"), ("It is so", "It is so.")],
        );
        assert!(
            record
                .sentences
                .iter()
                .all(|sentence| !sentence.text.starts_with('[')),
            "{record:?}"
        );
        assert!(answered("Is it?", &[]).sentences.is_empty());
    }
}
