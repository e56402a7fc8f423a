//! How strongly a sentence answers the question.
//!
//! Two linear models read the same measures: one ranks the sentences of a question, the other says from the best of
//! them whether there is an answer at all. Their weights were fitted on questions with known answers;
//! `docs/extractive.md` tells with what data and how well they do.

use std::collections::BTreeSet;
use std::time::Instant;

use ragtune_core::text::{Embedder, Role};

use super::candidates::{Candidate, Candidates, by_rank};
use crate::answer::{Component, ModelCall};
use crate::error::Result;
use crate::words;

/// Unrelated questions and statements: the mean cosine between them is what an encoder gives to strangers. Cosines
/// are counted from there, because encoders differ in it (0.0 to 0.8) far more than in their order.
const STRANGERS: [(&str, &str); 8] = [
    (
        "How tall is a giraffe?",
        "The library closes at eight in the evening.",
    ),
    (
        "Which key opens the settings?",
        "Bread rises faster in a warm kitchen.",
    ),
    (
        "Who painted the ceiling?",
        "The parser returns an error for an empty file.",
    ),
    (
        "When does the train leave?",
        "Cells store energy in the form of fat.",
    ),
    (
        "How do I boil an egg?",
        "The committee approved the budget for the year.",
    ),
    (
        "What is the speed of light?",
        "Click the button to create a new account.",
    ),
    ("Why do leaves turn red?", "The function takes two arguments."),
    (
        "Where is the contract kept?",
        "The river is deepest near the old bridge.",
    ),
];

/// What is measured of a sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measures {
    /// Cosine of question and sentence, counted from that of strangers.
    pub sentence: f32,
    /// The same for the sentence in its context.
    pub in_context: f32,
    /// Share of the question's content words, by rarity, that the sentence has.
    pub words: f32,
    /// The same with the words of its headings.
    pub words_in_context: f32,
    /// Rank of its passage: 1, 1/2, 1/3, ...
    pub rank: f32,
    /// 1 for a question, which answers none.
    pub asks: f32,
    /// Logarithm of its number of content words, scaled to 1 for [`MANY_WORDS`].
    pub length: f32,
}

/// Content words from which on a sentence gains nothing by its length.
const MANY_WORDS: usize = 30;

/// Weights of the log-odds that a sentence is the best one, in the order of [`Measures::values`].
const RANKING: [f32; 7] = [2.44, 1.48, 2.12, 3.07, 1.92, -0.94, 3.69];

/// Weights of the log-odds that there is an answer: for the greatest cosine of a sentence, and the greatest of one in its
/// context; and the constant. Words in common did not help to tell questions apart that the passages do not answer.
const ANSWERING: [f32; 2] = [14.58, 23.86];
const ANSWERING_CONSTANT: f32 = -18.74;

impl Measures {
    pub fn values(self) -> [f32; 7] {
        [
            self.sentence,
            self.in_context,
            self.words,
            self.words_in_context,
            self.rank,
            self.asks,
            self.length,
        ]
    }

    /// Log-odds that this sentence is the best one of its question, up to a constant of the question.
    fn odds(self) -> f32 {
        self.values()
            .iter()
            .zip(RANKING)
            .map(|(value, weight)| value * weight)
            .sum()
    }
}

/// The odds of each sentence to be the best one, relative to those of the best one, 0 to 1.
pub(super) fn shares(measures: &[Measures]) -> Vec<f32> {
    let best = measures
        .iter()
        .map(|measures| measures.odds())
        .fold(f32::NEG_INFINITY, f32::max);
    measures
        .iter()
        .map(|measures| (measures.odds() - best).exp())
        .collect()
}

/// Probability that there is an answer among the sentences; 0 without any.
pub(super) fn strength(measures: &[Measures]) -> f32 {
    let most = |of: fn(&Measures) -> f32| measures.iter().map(of).fold(0.0, f32::max);
    let evidence = [most(|m| m.sentence), most(|m| m.in_context)];
    let odds: f32 = evidence
        .iter()
        .zip(ANSWERING)
        .map(|(value, weight)| value * weight)
        .sum();
    1.0 / (1.0 + (-(odds + ANSWERING_CONSTANT)).exp())
}

/// The cosine that the encoder gives to strangers, and the call that found it out.
pub(crate) fn strangers(embedder: &dyn Embedder) -> Result<(f32, ModelCall)> {
    let questions: Vec<_> = STRANGERS.iter().map(|(question, _)| *question).collect();
    let statements: Vec<_> = STRANGERS.iter().map(|(_, statement)| *statement).collect();
    let started = Instant::now();
    let (questions, _) = embed(embedder, &questions, Role::Query)?;
    let (statements, _) = embed(embedder, &statements, Role::Document)?;
    let all = questions
        .iter()
        .flat_map(|question| statements.iter().map(|other| cosine(question, other)));
    let mean = all.sum::<f32>() / (questions.len() * statements.len()) as f32;
    Ok((
        mean.clamp(-1.0, 0.99),
        called(embedder, 2 * STRANGERS.len(), started),
    ))
}

/// Each candidate's measures and vector.
pub(super) struct Measured {
    pub measures: Vec<Measures>,
    pub vectors: Vec<Vec<f32>>,
    pub calls: Vec<ModelCall>,
}

/// Measures every candidate.
pub(super) fn measure(
    embedder: &dyn Embedder,
    strangers: f32,
    question: &str,
    stems: &BTreeSet<String>,
    candidates: &Candidates,
) -> Result<Measured> {
    let (asked, query_call) = embed(embedder, &[question], Role::Query)?;
    let asked = asked.first().map(Vec::as_slice).unwrap_or_default();
    let list = &candidates.list;
    let texts: Vec<&str> = list
        .iter()
        .flat_map(|candidate| [candidate.said.as_str(), candidate.in_context.as_str()])
        .collect();
    let (vectors, call) = embed(embedder, &texts, Role::Document)?;
    let related = |vector: &[f32]| ((cosine(asked, vector) - strangers) / (1.0 - strangers)).max(0.0);
    let measure = |(candidate, vectors): (&Candidate, &[Vec<f32>])| {
        let with_heading: BTreeSet<_> = candidate.stems.union(&candidate.heading_stems).cloned().collect();
        let words = words::content(&candidate.said).len();
        Measures {
            sentence: vectors.first().map_or(0.0, |vector| related(vector)),
            in_context: vectors.last().map_or(0.0, |vector| related(vector)),
            words: candidates.rarity.coverage(stems, &candidate.stems),
            words_in_context: candidates.rarity.coverage(stems, &with_heading),
            rank: by_rank(candidate.hit),
            asks: f32::from(u8::from(candidate.asks())),
            length: ((1 + words.min(MANY_WORDS)) as f32).ln() / ((1 + MANY_WORDS) as f32).ln(),
        }
    };
    Ok(Measured {
        measures: list.iter().zip(vectors.chunks(2)).map(measure).collect(),
        vectors: vectors.into_iter().step_by(2).collect(),
        calls: vec![query_call, call],
    })
}

/// Vectors of unit length; the same text is embedded once.
fn embed(embedder: &dyn Embedder, texts: &[&str], role: Role) -> Result<(Vec<Vec<f32>>, ModelCall)> {
    let mut distinct: Vec<&str> = texts.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let started = Instant::now();
    let embeddings = embedder.embed(&distinct, role)?;
    embeddings.check(embedder.dim(), distinct.len())?;
    let vectors = texts.iter().filter_map(|text| {
        let row = embeddings.row(distinct.binary_search(text).ok()?)?;
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        Some(
            row.iter()
                .map(|x| if norm > 0.0 { x / norm } else { 0.0 })
                .collect(),
        )
    });
    Ok((vectors.collect(), called(embedder, distinct.len(), started)))
}

/// The cosine of two vectors of unit length.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn called(embedder: &dyn Embedder, texts: usize, since: Instant) -> ModelCall {
    ModelCall {
        component: Component::Embedder,
        id: Some(embedder.id().to_owned()),
        texts,
        usage: None,
        finish: None,
        ms: since.elapsed().as_secs_f64() * 1e3,
    }
}
