//! Plugging a pipeline together.

use std::sync::Arc;

use ragtune_core::text::{GenerateOptions, Generator, Reranker, ScoreKind, Threshold};
use ragtune_retrieve::Retriever;

use super::limits::Limits;
use super::pipeline::{Parts, Rag};
use crate::answerer::Answerer;
use crate::error::{BuildProblem, Error, Result};
use crate::extractive::ExtractiveAnswerer;
use crate::generative::{GenerativeAnswerer, PromptTemplate};

/// Takes the parts of a pipeline; [`RagBuilder::build`] names everything that is missing or contradicts itself.
///
/// ```
/// use ragtune::{Error, PromptTemplate, Rag};
/// let Err(Error::Build { problems }) = Rag::builder().prompt(PromptTemplate::default()).build() else { panic!() };
/// assert_eq!(problems.len(), 2); // no retriever, and a prompt without a generator to send it to
/// assert_eq!(problems[0].remedy, "call .retriever(..), for example with a KnowledgeBase");
/// ```
#[derive(Default)]
#[must_use = "a builder does nothing before build()"]
pub struct RagBuilder {
    retriever: Option<Arc<dyn Retriever>>,
    reranker: Option<Arc<dyn Reranker>>,
    generator: Option<Arc<dyn Generator>>,
    answerer: Option<Arc<dyn Answerer>>,
    prompt: Option<PromptTemplate>,
    options: Option<GenerateOptions>,
    limits: Limits,
    threshold: Option<Threshold>,
}

impl RagBuilder {
    /// What finds passages.
    pub fn retriever(mut self, retriever: impl Retriever + 'static) -> Self {
        self.retriever = Some(Arc::new(retriever));
        self
    }

    /// What judges the passages that were found, reading them together with the question.
    pub fn reranker(mut self, reranker: impl Reranker + 'static) -> Self {
        self.reranker = Some(Arc::new(reranker));
        self
    }

    /// The language model that writes the answer.
    pub fn generator(mut self, generator: impl Generator + 'static) -> Self {
        self.generator = Some(Arc::new(generator));
        self
    }

    /// What makes the answer, in place of a language model behind a prompt.
    pub fn answerer(mut self, answerer: impl Answerer + 'static) -> Self {
        self.answerer = Some(Arc::new(answerer));
        self
    }

    /// How the generator is asked.
    pub fn prompt(mut self, prompt: PromptTemplate) -> Self {
        self.prompt = Some(prompt);
        self
    }

    /// How the generator continues its prompt: tokens of the answer, temperature, seed.
    pub fn generate_options(mut self, options: GenerateOptions) -> Self {
        self.options = Some(options);
        self
    }

    /// How much is found, judged and shown.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The least score of one kind, for questions that bring no threshold of their own.
    pub fn threshold(mut self, threshold: Threshold) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// [`Error::Build`] with every missing or contradicting part and the call that mends it.
    pub fn build(self) -> Result<Rag> {
        let problems = self.problems();
        let embedder = self.retriever.as_ref().and_then(|retriever| retriever.embedder());
        let answerer: Option<Arc<dyn Answerer>> = match (self.answerer, self.generator, embedder) {
            (Some(answerer), ..) => Some(answerer),
            (None, Some(generator), _) => {
                let prompt = self.prompt.unwrap_or_default();
                let mut answerer = GenerativeAnswerer::new(generator, prompt);
                if let Some(options) = self.options {
                    answerer = answerer.with_options(options);
                }
                if let Some(tokens) = self.limits.source_tokens {
                    answerer = answerer.with_source_tokens(tokens);
                }
                Some(Arc::new(answerer))
            }
            (None, None, Some(embedder)) => Some(Arc::new(ExtractiveAnswerer::new(embedder))),
            (None, None, None) => None,
        };
        match (self.retriever, answerer) {
            (Some(retriever), Some(answerer)) if problems.is_empty() => Ok(Rag::new(Parts {
                retriever,
                reranker: self.reranker,
                answerer,
                limits: self.limits,
                threshold: self.threshold,
            })),
            _ => Err(Error::Build { problems }),
        }
    }

    fn problems(&self) -> Vec<BuildProblem> {
        let mut problems = Vec::new();
        let mut problem = |applies: bool, problem: &str, remedy: &'static str| {
            if applies {
                problems.push(BuildProblem {
                    problem: problem.to_owned(),
                    remedy,
                });
            }
        };
        let no_model = self.generator.is_none() && self.answerer.is_none();
        let no_embedder = self
            .retriever
            .as_ref()
            .is_some_and(|retriever| retriever.embedder().is_none());
        problem(
            self.retriever.is_none(),
            "nothing finds passages",
            "call .retriever(..), for example with a KnowledgeBase",
        );
        problem(
            no_model && no_embedder,
            "nothing makes the answer, and the retriever has no embedder with which sentences could be quoted",
            "call .generator(..) with a language model, or .answerer(..), for example with an \
             ExtractiveAnswerer::new(embedder)",
        );
        problem(
            self.generator.is_some() && self.answerer.is_some(),
            "both a generator and an answerer are to make the answer",
            "call only one of .generator(..) and .answerer(..)",
        );
        problem(
            self.generator.is_none() && self.prompt.is_some(),
            "there is a prompt and no generator to send it to",
            "call .generator(..), or leave .prompt(..) out",
        );
        problem(
            self.generator.is_none() && self.options.is_some(),
            "there are generate options and no generator to use them",
            "call .generator(..), or leave .generate_options(..) out",
        );
        problem(
            self.generator.is_none() && self.limits.source_tokens.is_some(),
            "the sources' tokens are limited and there is no generator that counts tokens",
            "call .generator(..), or leave .with_source_tokens(..) out of .limits(..)",
        );
        problem(
            self.limits.top_k == Some(0),
            "the limits let no passage through",
            "call .limits(..) with a top_k of at least 1",
        );
        problem(
            self.reranker.is_some() && self.limits.candidates == 0,
            "the limits leave the reranker nothing to judge",
            "call .limits(..) with at least 1 candidate",
        );
        let on_rerank = self
            .threshold
            .as_ref()
            .is_some_and(|t| *t.kind() == ScoreKind::Rerank);
        problem(
            on_rerank && self.reranker.is_none(),
            "the threshold is on the reranker's probability and there is no reranker",
            "call .reranker(..), or set the threshold on the Query when the retriever itself gives that score",
        );
        problems
    }
}

impl std::fmt::Debug for RagBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RagBuilder")
            .field("retriever", &self.retriever.is_some())
            .field("reranker", &self.reranker.is_some())
            .field("generator", &self.generator.is_some())
            .field("answerer", &self.answerer.is_some())
            .field("prompt", &self.prompt)
            .field("limits", &self.limits)
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}
