//! Questions with known answers, and what a reader made of them.

use ragtune_core::text::{Chunk, Document, ScoreKind, ScoredChunk};
use ragtune_train::data::Question;
use serde::{Deserialize, Serialize};

use crate::evaluate::AnswerQuestion;

/// A question whose right answers are known; none where there is no answer to find.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledQuestion {
    /// The question.
    pub question: String,
    /// The right answers, any of which will do.
    #[serde(default)]
    pub answers: Vec<String>,
}

impl LabelledQuestion {
    /// A question with its right answers.
    pub fn new<S: Into<String>>(question: impl Into<String>, answers: impl IntoIterator<Item = S>) -> Self {
        Self {
            question: question.into(),
            answers: answers.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&Question> for LabelledQuestion {
    fn from(question: &Question) -> Self {
        let answers = question.answers.iter().map(|answer| answer.text.clone());
        Self::new(&question.question, answers)
    }
}

/// A question that is not answerable has no right answer.
impl From<&AnswerQuestion> for LabelledQuestion {
    fn from(question: &AnswerQuestion) -> Self {
        Self::new(&question.question, question.answers.iter().cloned())
    }
}

/// What a reader would have answered, and whether that is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The odds of the best span, as a logarithm: the higher, the surer the reader.
    pub log_odds: f64,
    /// Whether the best span is a right answer.
    pub is_right: bool,
}

/// The context of a question as the only hit.
pub(super) fn context(question: &Question) -> ScoredChunk {
    let document = Document::new(
        question.document.as_deref().unwrap_or(&question.id),
        &question.context,
    );
    ScoredChunk::new(Chunk::whole(&document), ScoreKind::Cosine, 1.0)
}
