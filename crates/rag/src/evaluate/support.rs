//! Whether the sentences of an answer are carried by the texts that they cite.
//!
//! Statement by statement against its own citations, as Gao, Yen, Yu, Chen: Enabling Large Language Models to Generate Text
//! with Citations, 2023, section 4; the evidence here is lexical and an encoder's, and a judge's where one is given.

use std::collections::BTreeSet;

use ragtune_core::Cancel;
use ragtune_core::text::{Embedder, Span};

use super::answers::Vectors;
use super::measure::name;
use super::record::{Record, SentenceSupport, without_marks};
use super::thresholds::SupportThresholds;
use crate::error::Result;
use crate::extractive::strangers;
use crate::sentences::sentences;
use crate::words;

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
        let cited: Vec<&str> = cited(record, span);
        let Some(lexical) = covered(&text, &cited) else {
            continue;
        };
        found.push(SentenceSupport {
            is_cited: !cited.is_empty(),
            lexical,
            encoder: None,
            judged: None,
            is_carried: false,
            text,
            span,
        });
    }
    record.sentences = found;
}

/// The share of a sentence's content words that some texts have; none where it has no content words.
pub(super) fn covered(sentence: &str, cited: &[&str]) -> Option<f64> {
    let wanted = words::content_set(sentence);
    if wanted.is_empty() {
        return None;
    }
    let has: BTreeSet<String> = cited.iter().flat_map(|text| words::content(text)).collect();
    Some(wanted.intersection(&has).count() as f64 / wanted.len() as f64)
}

/// Measures how near each sentence is to the nearest sentence that it cites.
pub(super) fn encoder(embedder: &dyn Embedder, records: &mut [Record], cancel: &Cancel) -> Result<()> {
    let pairs: Vec<Vec<Pair>> = records.iter().map(pairs).collect();
    let flat: Vec<&Pair> = pairs.iter().flatten().collect();
    let mut near = nearness(embedder, &flat, cancel)?.into_iter();
    for sentence in records.iter_mut().flat_map(|record| &mut record.sentences) {
        sentence.encoder = near.next();
    }
    Ok(())
}

/// How near each sentence is to the nearest part of its cited texts, counted from unrelated texts.
pub(super) fn nearness(embedder: &dyn Embedder, pairs: &[&Pair], cancel: &Cancel) -> Result<Vec<f64>> {
    let texts: Vec<&str> = pairs
        .iter()
        .flat_map(|pair| pair.cited.iter().chain([&pair.sentence]))
        .map(String::as_str)
        .collect();
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let unrelated = f64::from(strangers(embedder)?.0);
    let vectors = Vectors::of(embedder, &texts, cancel)?;
    let near = pairs.iter().map(|pair| {
        let cosines = pair
            .cited
            .iter()
            .map(|cited| vectors.cosine(&pair.sentence, cited));
        (cosines.fold(unrelated, f64::max) - unrelated) / (1.0 - unrelated)
    });
    Ok(near.collect())
}

/// The means over the sentences of an answer.
pub(super) fn summarise(record: &mut Record, thresholds: &SupportThresholds) {
    let mut sentences = std::mem::take(&mut record.sentences);
    for sentence in &mut sentences {
        sentence.is_carried = sentence.is_cited && thresholds.are_met(sentence.lexical, sentence.encoder);
    }
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
        record.set(name::SUPPORTED, mean(&|sentence| f64::from(sentence.is_carried)));
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

/// A sentence with the sentences of its cited texts and those texts whole.
pub(super) struct Pair {
    sentence: String,
    cited: Vec<String>,
}

impl Pair {
    pub(super) fn new(sentence: &str, cited: &[&str]) -> Self {
        let mut parts: Vec<String> = Vec::new();
        for cited in cited {
            let whole = spans(cited).into_iter().filter_map(|span| span.of(cited));
            parts.extend(whole.chain([*cited]).map(|part| part.trim().to_owned()));
        }
        Self {
            sentence: sentence.to_owned(),
            cited: parts,
        }
    }
}

fn pairs(record: &Record) -> Vec<Pair> {
    let pair = |sentence: &SentenceSupport| Pair::new(&sentence.text, &cited(record, sentence.span));
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
        summarise(&mut records[0], &SupportThresholds::default());
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
        let carried: Vec<bool> = record
            .sentences
            .iter()
            .map(|sentence| sentence.is_carried)
            .collect();
        assert_eq!(carried, [true, false, false]);
        assert_eq!(record.sentences[0].text, "Green tea is steeped at 80 degrees.");
        assert_eq!(record.sentences[0].lexical, 1.0);
        assert_eq!(record.sentences[0].encoder, Some(1.0), "no rounding is left");
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
