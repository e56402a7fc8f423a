//! The call: what is made of a base, and how.

use std::collections::BTreeSet;

use ragtune_core::Cancel;
use ragtune_core::text::{Embedder, GenerateOptions, Generator};
use ragtune_retrieve::{KnowledgeBase, Retriever};

use super::question::QuestionKind;
use crate::error::{Error, Result};
use crate::generative::PromptTemplate;

/// Hears of the progress.
pub(super) type OnEvent<'a> = Box<dyn Fn(&TrainingDataEvent) + 'a>;

/// Makes training data of the documents of a base.
///
/// Questions come from titles, headings, definitions and sentences of the documents, and from a language model where one is
/// given. Each is asked back, and stays only if the retriever finds its passage. Documents, not questions, are divided into
/// a part to learn from and a part that is held out.
///
/// ```
/// use ragtune::testing::HashingEmbedder;
/// use ragtune::training_data::TrainingData;
/// use ragtune::{Document, KnowledgeBase};
///
/// let base = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// # let page = |name: &str, hot: u32| Document::new(format!("{name}.md"), format!(
/// #     "# {name} tea\n\n## Steeping {name} tea\n\nA {name} pot is a vessel for {name} tea leaves. The {name} leaves are \
/// #      steeped at {hot} degrees. Then the {name} tea is poured into small {name} cups at once.\n"
/// # )).with_metadata("title", format!("{name} tea"));
/// # let pages = [page("green", 80), page("black", 95), page("white", 75), page("yellow", 77), page("red", 99)];
/// base.add(pages)?; // five pages about tea
/// let sets = TrainingData::from(&base).with_seed(42).make()?;
/// assert!(sets.train.pairs.len() > sets.held_out.pairs.len());
/// println!("{}", sets.report);
/// # let folder = tempfile::tempdir()?;
/// # let out = folder.path().join("out");
/// sets.write(&out)?; // pairs.train.jsonl, chat.train.jsonl, held-out/ ...
/// # assert!(out.join("pairs.train.jsonl").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TrainingData<'a> {
    pub(super) base: &'a KnowledgeBase,
    pub(super) retriever: Option<Box<dyn Retriever + 'a>>,
    pub(super) encoder: Option<Box<dyn Embedder + 'a>>,
    pub(super) generator: Option<Box<dyn Generator + 'a>>,
    pub(super) generate_options: GenerateOptions,
    pub(super) generated_passages: usize,
    pub(super) generated_each: usize,
    pub(super) template: PromptTemplate,
    pub(super) kinds: BTreeSet<QuestionKind>,
    pub(super) seed: u64,
    pub(super) held_out: f64,
    pub(super) top_k: usize,
    pub(super) max_questions: usize,
    pub(super) negatives: usize,
    pub(super) margin: f32,
    pub(super) prompt_sources: usize,
    pub(super) unanswerable: f64,
    pub(super) guard: Vec<String>,
    pub(super) cancel: Cancel,
    pub(super) on_event: Option<OnEvent<'a>>,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainingDataEvent {
    /// The documents were read.
    Read {
        /// Documents with text.
        documents: usize,
        /// Their passages.
        passages: usize,
    },
    /// The language model wrote questions for a passage.
    Generated {
        /// Passages that are done.
        done: usize,
        /// Passages in all.
        total: usize,
    },
    /// Questions were asked back.
    Asked {
        /// Questions that are done.
        done: usize,
        /// Questions in all.
        total: usize,
    },
    /// Negatives are looked for.
    Mining {
        /// Questions that get them.
        questions: usize,
    },
}

impl<'a> From<&'a KnowledgeBase> for TrainingData<'a> {
    /// Two negatives a question, a fifth of the documents held out, 10 hits to find the passage in.
    fn from(base: &'a KnowledgeBase) -> Self {
        Self {
            base,
            retriever: None,
            encoder: None,
            generator: None,
            generate_options: GenerateOptions::default().with_max_tokens(256),
            generated_passages: 200,
            generated_each: 2,
            template: PromptTemplate::default(),
            kinds: QuestionKind::ALL.into(),
            seed: 42,
            held_out: 0.2,
            top_k: 10,
            max_questions: 20_000,
            negatives: 2,
            margin: 0.05,
            prompt_sources: 5,
            unanswerable: 0.2,
            guard: Vec::new(),
            cancel: Cancel::new(),
            on_event: None,
        }
    }
}

impl<'a> TrainingData<'a> {
    /// Also asks this language model for questions.
    #[must_use]
    pub fn with_generator(mut self, generator: impl Generator + 'a) -> Self {
        self.generator = Some(Box::new(generator));
        self
    }

    /// Asks it with these options; greedily, for at most 256 tokens, where none are named.
    #[must_use]
    pub fn with_generate_options(mut self, options: GenerateOptions) -> Self {
        self.generate_options = options;
        self
    }

    /// Asks it about so many passages, drawn by the seed, for `each` questions; 200 and 2 where nothing is said.
    #[must_use]
    pub fn with_generated(mut self, passages: usize, each: usize) -> Self {
        (self.generated_passages, self.generated_each) = (passages, each);
        self
    }

    /// Asks questions back with this retriever instead of the base as it is searched.
    #[must_use]
    pub fn with_retriever(mut self, retriever: impl Retriever + 'a) -> Self {
        self.retriever = Some(Box::new(retriever));
        self
    }

    /// Mines negatives with this encoder instead of the base's.
    #[must_use]
    pub fn with_encoder(mut self, encoder: impl Embedder + 'a) -> Self {
        self.encoder = Some(Box::new(encoder));
        self
    }

    /// The prompts of the conversations; the default one of `Rag` where none is named.
    #[must_use]
    pub fn with_template(mut self, template: PromptTemplate) -> Self {
        self.template = template;
        self
    }

    /// Makes questions of these kinds only.
    #[must_use]
    pub fn with_kinds(mut self, kinds: impl IntoIterator<Item = QuestionKind>) -> Self {
        self.kinds = kinds.into_iter().collect();
        self
    }

    /// The seed of all choices.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The share of the documents that is held out; 0 for none.
    #[must_use]
    pub fn with_held_out(mut self, share: f64) -> Self {
        self.held_out = share;
        self
    }

    /// A question must find its passage among so many hits.
    #[must_use]
    pub fn with_round_trip(mut self, top_k: usize) -> Self {
        self.top_k = top_k;
        self
    }

    /// At most so many questions, chosen by the seed.
    #[must_use]
    pub fn with_max_questions(mut self, questions: usize) -> Self {
        self.max_questions = questions;
        self
    }

    /// Hard negatives of each question, one of them by words in common where there is one; 0 for none.
    #[must_use]
    pub fn with_negatives(mut self, negatives: usize) -> Self {
        self.negatives = negatives;
        self
    }

    /// By which share of the positive's cosine a negative's is below it, so that it is no answer that nobody marked.
    #[must_use]
    pub fn with_margin(mut self, margin: f32) -> Self {
        self.margin = margin;
        self
    }

    /// Passages of a prompt, and the share of prompts without the one that answers.
    #[must_use]
    pub fn with_prompts(mut self, sources: usize, unanswerable: f64) -> Self {
        (self.prompt_sources, self.unanswerable) = (sources, unanswerable);
        self
    }

    /// Leaves out questions that are, or nearly are, among these: the ones that are kept for measuring.
    #[must_use]
    pub fn with_guarded<S: Into<String>>(mut self, questions: impl IntoIterator<Item = S>) -> Self {
        self.guard.extend(questions.into_iter().map(Into::into));
        self
    }

    /// Stops when the flag is set.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Tells of the progress.
    #[must_use]
    pub fn with_on_event(mut self, on_event: impl Fn(&TrainingDataEvent) + 'a) -> Self {
        self.on_event = Some(Box::new(on_event));
        self
    }

    pub(super) fn tell(&self, event: TrainingDataEvent) {
        if let Some(on_event) = &self.on_event {
            on_event(&event);
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let invalid = |argument, reason: String| {
            Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument,
                reason,
            }))
        };
        if !(0.0..1.0).contains(&self.held_out) {
            return invalid(
                "held_out",
                format!("{}; it is a share from 0 to below 1", self.held_out),
            );
        }
        if !(0.0..1.0).contains(&self.unanswerable) {
            return invalid(
                "unanswerable",
                format!("{}; it is a share from 0 to below 1", self.unanswerable),
            );
        }
        if self.unanswerable > 0.0 && self.template.no_answer.trim().is_empty() {
            let reason = "the template agrees on no sentence for \"no answer\"; name one by with_no_answer, or make the \
                          share of unanswerable prompts 0";
            return invalid("template", reason.to_owned());
        }
        if self.prompt_sources < 2 {
            return invalid(
                "sources",
                format!("{}; a prompt shows at least 2", self.prompt_sources),
            );
        }
        if self.top_k == 0 {
            return invalid(
                "round_trip",
                "0 hits hold no passage; ask for at least 1".to_owned(),
            );
        }
        if !(0.0..1.0).contains(&self.margin) {
            return invalid(
                "margin",
                format!("{}; it is a share from 0 to below 1", self.margin),
            );
        }
        match self.kinds.is_empty() || self.max_questions == 0 {
            true => invalid(
                "kinds",
                "no question is wanted; name a kind and a limit above 0".to_owned(),
            ),
            false => Ok(()),
        }
    }
}

impl std::fmt::Debug for TrainingData<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrainingData")
            .field("base", &self.base)
            .field("kinds", &self.kinds)
            .field("seed", &self.seed)
            .field("held_out", &self.held_out)
            .field("top_k", &self.top_k)
            .finish_non_exhaustive()
    }
}
