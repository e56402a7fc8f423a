//! What happened with one question.

use std::collections::{BTreeMap, BTreeSet};

use ragtune_core::text::{Span, Usage};
use serde::{Deserialize, Serialize};

use super::question::AnswerQuestion;
use super::system::Response;
use crate::generative::Marks;

/// A question, what the system said, and what was measured of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The question's id.
    pub id: String,
    /// The question.
    pub question: String,
    /// Whether the documents hold an answer.
    pub answerable: bool,
    /// The right answers that are known.
    pub answers: Vec<String>,
    /// The documents that are known to hold the answer.
    pub gold_sources: Vec<String>,
    /// How relevant they are, where that is more than 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gold_grades: BTreeMap<String, i32>,
    /// Whether there was an answer.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The answer as it was given.
    pub text: String,
    /// The answer without the marks of its sources: what was measured.
    pub measured_text: String,
    /// How sure the system was.
    #[serde(default)]
    pub confidence: Option<f64>,
    /// What was looked up, best first; `None` where the system looks nothing up.
    #[serde(default)]
    pub sources: Option<Vec<SourceRecord>>,
    /// What was cited.
    pub citations: Vec<CitationRecord>,
    /// Citations that proved wrong.
    pub rejected_citations: usize,
    /// The sentences of the answer, with what speaks for each in the texts that it cites.
    pub sentences: Vec<SentenceSupport>,
    /// What was measured, by the names of [`super::name`]; what cannot be measured of this question is not there.
    pub measures: BTreeMap<String, f64>,
    /// Wall-clock time from question to answer.
    pub latency_ms: f64,
    /// Tokens that language models read and wrote.
    pub usage: Usage,
    /// Calls of models.
    pub model_calls: usize,
}

/// Whether there was an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum Outcome {
    /// There was.
    Answered,
    /// The system said that it does not know, and why.
    Abstained(String),
    /// The system broke, and with what.
    Failed(String),
}

/// Something that was looked up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The document.
    pub document_id: String,
    /// Its path for people.
    pub path: String,
    /// The passage.
    pub chunk_id: String,
    /// How well it suits the question, where that is a number.
    #[serde(default)]
    pub score: Option<f32>,
    /// Whether it is one of the right ones.
    pub is_gold: bool,
}

/// Something that was cited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CitationRecord {
    /// Place of the source, counted from 1 as in the answer.
    pub source: usize,
    /// The cited text.
    pub text: String,
    /// Bytes of [`Record::text`].
    pub answer_span: Span,
    /// Whether it is from one of the right documents.
    pub is_gold: bool,
}

/// A sentence of an answer with what speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentenceSupport {
    /// The sentence, without marks.
    pub text: String,
    /// Its bytes of [`Record::text`], marks included.
    pub span: Span,
    /// Whether it cites anything.
    pub is_cited: bool,
    /// The share of its content words that the cited texts have.
    pub lexical: f64,
    /// Its cosine to the nearest cited sentence, counted from that of unrelated texts; where an encoder was given.
    #[serde(default)]
    pub encoder: Option<f64>,
    /// What the judge said: 1, 0.5 or 0; where one was given and kept to its format.
    #[serde(default)]
    pub judged: Option<f64>,
    /// Whether the words or the encoder say, by the thresholds of the evaluation, that the cited texts carry it.
    #[serde(default)]
    pub is_carried: bool,
}

impl Record {
    /// The record of a question before anything is measured.
    pub(super) fn new(
        question: &AnswerQuestion,
        response: Result<Response, String>,
        latency_ms: f64,
    ) -> Self {
        let (response, failure) = match response {
            Ok(response) => (response, None),
            Err(failure) => (Response::default(), Some(failure)),
        };
        let gold: BTreeSet<&str> = question.sources.iter().map(String::as_str).collect();
        let sources: Option<Vec<SourceRecord>> = response.sources.map(|sources| {
            let record = |source: super::system::ResponseSource| SourceRecord {
                is_gold: [&source.document_id, &source.path, &source.chunk_id]
                    .iter()
                    .any(|name| gold.contains(name.as_str())),
                document_id: source.document_id,
                path: source.path,
                chunk_id: source.chunk_id,
                score: Some(source.score).filter(|score| score.is_finite()),
            };
            sources.into_iter().map(record).collect()
        });
        let listed = sources.as_deref().unwrap_or_default();
        let citations: Vec<CitationRecord> = response
            .citations
            .into_iter()
            .map(|citation| CitationRecord {
                is_gold: listed.get(citation.source).is_some_and(|source| source.is_gold),
                source: citation.source.saturating_add(1),
                text: citation.text,
                answer_span: citation.answer_span,
            })
            .collect();
        let outcome = match (failure, response.abstained) {
            (Some(failure), _) => Outcome::Failed(failure),
            (None, Some(reason)) => Outcome::Abstained(reason),
            (None, None) if response.text.trim().is_empty() => {
                Outcome::Abstained("the answer is empty".to_owned())
            }
            (None, None) => Outcome::Answered,
        };
        let measured_text = match outcome {
            Outcome::Answered => without_marks(&response.text, listed.len()),
            _ => String::new(),
        };
        Self {
            id: question.id.clone(),
            question: question.question.clone(),
            answerable: question.answerable,
            answers: question.answers.clone(),
            gold_sources: question.sources.clone(),
            gold_grades: question.grades.clone(),
            outcome,
            text: response.text,
            measured_text,
            confidence: response.confidence.filter(|confidence| confidence.is_finite()),
            sources,
            citations,
            rejected_citations: response.rejected_citations,
            sentences: Vec::new(),
            measures: BTreeMap::new(),
            latency_ms,
            usage: response.usage,
            model_calls: response.model_calls,
        }
    }

    /// Whether the system gave an answer.
    pub fn is_answered(&self) -> bool {
        self.outcome == Outcome::Answered
    }

    /// Whether the system broke.
    pub fn is_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    pub(super) fn set(&mut self, name: impl Into<String>, value: f64) {
        self.measures.insert(name.into(), value);
    }
}

/// A text without the marks that name some of `sources` sources, and without the spaces before them.
pub(super) fn without_marks(text: &str, sources: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for mark in Marks::default().scan(text, true) {
        let names_sources = mark.numbers.iter().all(|number| (1..=sources).contains(number));
        if !names_sources || mark.numbers.is_empty() {
            continue;
        }
        out.push_str(
            text.get(from..mark.span.start)
                .unwrap_or_default()
                .trim_end_matches([' ', '\n']),
        );
        from = mark.span.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_sources_go_and_others_stay() {
        let clean = |text| without_marks(text, 2);
        assert_eq!(
            clean("Eighty degrees [1]. Not [3]. See `a[1]`."),
            "Eighty degrees. Not [3]. See `a[1]`."
        );
        assert_eq!(clean("One. [1]\n\nTwo. [1, 2]"), "One.\n\nTwo.");
        assert_eq!(without_marks("Array [1]", 0), "Array [1]");
        assert_eq!(clean(""), "");
    }

    #[test]
    fn a_failure_an_abstention_and_an_empty_answer_are_told_apart() {
        let question = AnswerQuestion::new("a", "q").with_sources(["x.md"]);
        let outcome = |response| Record::new(&question, response, 1.0).outcome;
        assert_eq!(outcome(Err("broke".into())), Outcome::Failed("broke".into()));
        assert_eq!(
            outcome(Ok(Response::abstain("no"))),
            Outcome::Abstained("no".into())
        );
        assert!(matches!(outcome(Ok(Response::new(" "))), Outcome::Abstained(_)));
        assert_eq!(outcome(Ok(Response::new("x"))), Outcome::Answered);
        let mut response = Response::new("x");
        response.confidence = Some(f64::NAN);
        let record = Record::new(&question, Ok(response), 1.0);
        assert_eq!(record.confidence, None);
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }
}
