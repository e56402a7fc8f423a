//! Questions in, answers out.

use std::sync::Arc;

use ragtune_core::text::{Query, Reranker, ScoredChunk, Threshold};
use ragtune_retrieve::Retriever;

use super::builder::RagBuilder;
use super::limits::Limits;
use super::retrieval::Retrieval;
use super::stream::RagStream;
use crate::answer::Answer;
use crate::answerer::Answerer;
use crate::error::Result;

/// Answers questions from the passages that a retriever finds, with checked citations, or says why it does not.
///
/// Cloning it is cheap, and clones work in parallel. Without a generator or answerer, it quotes the sentences that
/// answer the question ([`crate::ExtractiveAnswerer`]).
///
/// ```
/// # use ragtune::testing::OneDocument;
/// use ragtune::Rag;
///
/// let tea = "Green tea is steeped at 80 degrees. Black tea takes boiling water.";
/// let rag = Rag::builder().retriever(OneDocument::new("tea.md", tea)).build()?;
/// let answer = rag.ask("At how many degrees is green tea steeped?")?;
/// assert_eq!(answer.citations[0].text, "Green tea is steeped at 80 degrees.");
/// assert_eq!(&tea[..answer.citations[0].span.end], answer.citations[0].text);
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone)]
pub struct Rag {
    parts: Arc<Parts>,
}

/// What a pipeline is made of.
pub(super) struct Parts {
    pub retriever: Arc<dyn Retriever>,
    pub reranker: Option<Arc<dyn Reranker>>,
    pub answerer: Arc<dyn Answerer>,
    pub limits: Limits,
    pub threshold: Option<Threshold>,
}

impl Rag {
    /// Plugs a pipeline together.
    pub fn builder() -> RagBuilder {
        RagBuilder::default()
    }

    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
        }
    }

    /// The answer to a question, or an abstention with its reason.
    ///
    /// # Errors
    /// [`crate::Error::EmptyQuestion`], and whatever keeps retriever or models from working; that there is no answer
    /// is no error but [`Answer::abstention`].
    pub fn ask(&self, question: impl Into<Query>) -> Result<Answer> {
        self.stream(question)?.collect_all()
    }

    /// The answer while it is made: its sources first, then its text, then the whole with checked citations.
    ///
    /// The passages are found before this returns; pulling the stream makes the answer, dropping it stops the model.
    ///
    /// # Errors
    /// Those of [`Rag::ask`], here or in the stream.
    pub fn stream(&self, question: impl Into<Query>) -> Result<RagStream> {
        let question = question.into();
        let retrieval = Retrieval::run(&self.parts, &question)?;
        let retriever = Arc::clone(&self.parts.retriever);
        RagStream::new(question.text.clone(), retriever, retrieval, |retrieval| {
            self.parts.answerer.answer(&question, retrieval.hits.clone())
        })
    }

    /// The passages that an answer would be made from, best first: found, checked, reranked and cut.
    ///
    /// # Errors
    /// Those of [`Rag::ask`].
    pub fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        Ok(Retrieval::run(&self.parts, query)?.hits)
    }
}

impl std::fmt::Debug for Rag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rag")
            .field("limits", &self.parts.limits)
            .field("threshold", &self.parts.threshold)
            .finish_non_exhaustive()
    }
}
