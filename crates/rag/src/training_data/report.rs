//! What was made, what was dropped and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::question::QuestionKind;

/// Examples of each cause that are kept for the report.
const EXAMPLES: usize = 3;

/// Why a question did not become training data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropCause {
    /// The language model did not give question and answer in the form that it was asked for.
    Form,
    /// The model's answer does not stand in the passage.
    Ungrounded,
    /// The same question with the same text was there already.
    Copy,
    /// The same question is answered in two places, so that neither is the one to find.
    Ambiguous,
    /// There were more than the caller wants; the seed chose.
    Limit,
    /// It is, or nearly is, one of the questions that the caller keeps for measuring.
    Guarded,
    /// The retriever did not find its passage.
    RoundTrip,
    /// It is, or nearly is, a question of a held-out document.
    HeldOutQuestion,
    /// Its passage is, or nearly is, one of a held-out document.
    HeldOutPassage,
}

impl fmt::Display for DropCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not in the form that was asked for",
            Self::Ungrounded => "answered from elsewhere",
            Self::Copy => "copies",
            Self::Ambiguous => "answered in several places",
            Self::Limit => "over the limit",
            Self::Guarded => "kept for measuring",
            Self::RoundTrip => "passage not found",
            Self::HeldOutQuestion => "question held out",
            Self::HeldOutPassage => "passage held out",
        })
    }
}

/// How many questions of a kind were dropped for a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Their kind.
    pub kind: QuestionKind,
    /// Why.
    pub cause: DropCause,
    /// How many.
    pub count: usize,
    /// The first of them.
    pub examples: Vec<String>,
}

/// Drops while they are counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Drops(BTreeMap<(QuestionKind, DropCause), (usize, Vec<String>)>);

impl Drops {
    pub fn add(&mut self, kind: QuestionKind, cause: DropCause, question: &str) {
        let (count, examples) = self.0.entry((kind, cause)).or_default();
        *count += 1;
        if examples.len() < EXAMPLES && !question.is_empty() {
            examples.push(question.to_owned());
        }
    }

    pub fn listed(self) -> Vec<Dropped> {
        let dropped = self
            .0
            .into_iter()
            .map(|((kind, cause), (count, examples))| Dropped {
                kind,
                cause,
                count,
                examples,
            });
        dropped.collect()
    }

    #[cfg(test)]
    pub fn count(&self, cause: DropCause) -> usize {
        let of = |((_, known), (count, _)): (&(QuestionKind, DropCause), &(usize, _))| {
            (*known == cause).then_some(*count)
        };
        self.0.iter().filter_map(of).sum()
    }

    #[cfg(test)]
    pub fn total(&self) -> usize {
        self.0.values().map(|(count, _)| count).sum()
    }
}

/// How many examples a part has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Documents that they are of.
    pub documents: usize,
    /// Question and passage, with negatives.
    pub pairs: usize,
    /// Question, passage and judgement.
    pub judged: usize,
    /// Prompts with their answers.
    pub conversations: usize,
    /// Those of them that show no answer and end with the abstention.
    pub abstentions: usize,
    /// Questions on a passage with the answer's place, or with none.
    pub questions: usize,
}

/// What mining of negatives found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MiningCounts {
    /// Negatives that the encoder has near.
    pub dense: usize,
    /// Negatives that share words.
    pub lexical: usize,
    /// Candidates that were too near to the positive to be trusted.
    pub guarded: usize,
    /// Questions with fewer negatives than were asked for.
    pub fewer: usize,
    /// Mean cosine of question and positive, by the encoder that mined.
    pub positive_score: f64,
    /// Mean cosine of question and dense negative, before the lexical ones take places.
    pub negative_score: f64,
}

/// A pair to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Where the question comes from.
    pub kind: QuestionKind,
    /// The question.
    pub question: String,
    /// The document.
    pub document: String,
    /// The beginning of the passage to be found.
    pub positive: String,
    /// The beginning of the first negative.
    pub negative: Option<String>,
    /// The answer, where there is one in words.
    pub answer: Option<String>,
}

/// What was made of a base.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainingDataReport {
    /// Documents of the base with text.
    pub documents: usize,
    /// Their passages.
    pub passages: usize,
    /// The seed.
    pub seed: u64,
    /// Hits among which a question had to find its passage.
    pub top_k: usize,
    /// Questions that were made, by kind.
    pub made: BTreeMap<QuestionKind, usize>,
    /// Questions that stayed, by kind.
    pub kept: BTreeMap<QuestionKind, usize>,
    /// Questions that did not, with the reasons.
    pub dropped: Vec<Dropped>,
    /// Share of the questions that found their passage, of those that were asked.
    pub round_trip: f64,
    /// What there is to learn from.
    pub train: Counts,
    /// What is held out, of other documents.
    pub held_out: Counts,
    /// Questions of the held-out benchmark.
    pub benchmark_questions: usize,
    /// Negatives of the part to learn from.
    pub mining: MiningCounts,
    /// A few pairs of each kind.
    pub samples: Vec<Sample>,
}

impl TrainingDataReport {
    /// Questions that were dropped for a cause.
    pub fn count(&self, cause: DropCause) -> usize {
        let own = self.dropped.iter().filter(|dropped| dropped.cause == cause);
        own.map(|dropped| dropped.count).sum()
    }
}

impl fmt::Display for TrainingDataReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} documents, {} passages; questions by kind (kept of made):",
            self.documents, self.passages
        )?;
        for (kind, made) in &self.made {
            let kept = self.kept.get(kind).copied().unwrap_or(0);
            writeln!(f, "  {kind}: {kept} of {made}")?;
        }
        let mut causes: BTreeMap<DropCause, usize> = BTreeMap::new();
        for dropped in &self.dropped {
            *causes.entry(dropped.cause).or_default() += dropped.count;
        }
        let causes: Vec<String> = causes
            .iter()
            .map(|(cause, count)| format!("{count} {cause}"))
            .collect();
        if !causes.is_empty() {
            writeln!(f, "dropped: {}", causes.join(", "))?;
        }
        writeln!(
            f,
            "round trip: {:.1} % found their passage among {} hits",
            100.0 * self.round_trip,
            self.top_k
        )?;
        for (name, counts) in [("train", &self.train), ("held out", &self.held_out)] {
            writeln!(
                f,
                "{name}: {} documents, {} pairs, {} judged, {} conversations ({} abstain), {} questions with contexts",
                counts.documents,
                counts.pairs,
                counts.judged,
                counts.conversations,
                counts.abstentions,
                counts.questions
            )?;
        }
        let mining = &self.mining;
        writeln!(
            f,
            "negatives: {} dense (mean cosine {:.3}; positives {:.3}), {} lexical, {} candidates too near, {} questions \
             with too few",
            mining.dense,
            mining.negative_score,
            mining.positive_score,
            mining.lexical,
            mining.guarded,
            mining.fewer
        )?;
        write!(f, "held-out benchmark: {} questions", self.benchmark_questions)
    }
}
