//! Asking a retriever every question of a set.

use ragtune_core::text::{Filter, Query, ScoredChunk};

use super::qrels::{Ranking, Run};
use super::questions::QuestionSet;
use crate::error::Result;
use crate::retriever::Retriever;

/// How a set of questions is asked.
///
/// ```
/// use ragtune_retrieve::measure::RunOptions;
/// let options = RunOptions::default().with_depth(10).with_passages(50);
/// assert_eq!(options.depth, 10);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunOptions {
    /// Documents that are kept for each question; 100 by default.
    pub depth: usize,
    /// Passages that are asked for, so that they are of about `depth` documents; 500 by default.
    pub passages: usize,
    /// The access rule of every question.
    pub access: Option<Filter>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            depth: 100,
            passages: 500,
            access: None,
        }
    }
}

impl RunOptions {
    /// Keeps so many documents for each question.
    pub fn with_depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Asks for so many passages.
    pub fn with_passages(mut self, passages: usize) -> Self {
        self.passages = passages;
        self
    }

    /// Asks as a user who may see only documents that meet this condition.
    pub fn with_access(mut self, access: Filter) -> Self {
        self.access = Some(access);
        self
    }
}

/// Asks a retriever every question, and ranks documents by their best passage, as the judgements are of documents.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::KnowledgeBase;
/// use ragtune_retrieve::measure::{Measure, QuestionSet, RunOptions, evaluate, run};
///
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// kb.add([Document::new("green", "Green tea is steeped at 80 degrees."), Document::new("black", "Black tea boils.")])?;
/// let questions = QuestionSet::new([("How hot is green tea steeped?", ["green"]), ("Which tea boils?", ["black"])]);
/// let found = run(&kb, &questions, &RunOptions::default())?;
/// assert_eq!(evaluate(&questions.qrels, &found, &[Measure::Success(1)]).means[&Measure::Success(1)], 1.0);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
///
/// # Errors
/// Whatever keeps the retriever from searching.
pub fn run(retriever: &dyn Retriever, questions: &QuestionSet, options: &RunOptions) -> Result<Run> {
    let mut run = Run::new();
    for question in &questions.questions {
        let mut query = Query::new(&question.text).with_top_k(options.passages.max(options.depth));
        query.access = options.access.clone();
        let hits = retriever.retrieve(&query)?;
        let ids = hits
            .iter()
            .map(|hit: &ScoredChunk| (hit.chunk.document_id.as_str(), hit.score()));
        run.insert(question.id.clone(), best_passages(ids, options.depth));
    }
    Ok(run)
}

/// The first `depth` documents of passages that come best first, each with the score of its best passage.
pub(crate) fn best_passages<'h>(passages: impl Iterator<Item = (&'h str, f32)>, depth: usize) -> Ranking {
    let mut ranking = Ranking::new();
    let mut seen = std::collections::HashSet::new();
    for (document, score) in passages {
        if ranking.len() == depth {
            break;
        }
        if seen.insert(document) {
            ranking.push((document.to_owned(), score));
        }
    }
    ranking
}
