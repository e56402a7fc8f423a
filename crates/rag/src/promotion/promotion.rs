//! The decision, and what it rests on.

use std::fmt;
use std::sync::Arc;

use ragtune_core::Cancel;
use ragtune_core::statistics::Bootstrap;
use ragtune_core::text::Embedder;
use ragtune_retrieve::measure::{
    BeirDataset, Comparison, Evaluation, Measure, QuestionSet, RunOptions, compare, evaluate, run,
};
use ragtune_retrieve::retrievers::HybridRetriever;
use ragtune_retrieve::{EmbeddingReport, KnowledgeBase, Mode, ReembedOptions, Retriever};

use super::event::{Listener, PromotionEvent};
use super::trial;
use crate::error::{Error, Result};
use crate::remembering::Remembering;

/// What a trial shows beside what decides.
const SHOWN: [Measure; 4] = [
    Measure::Ndcg(10),
    Measure::Map,
    Measure::Mrr(10),
    Measure::Recall(10),
];

/// When a candidate takes the place of what serves.
///
/// Both are asked the same questions; the difference has the interval of the paired bootstrap. A candidate that is
/// significantly worse (the whole interval below 0) is refused with the numbers; so is one without a significant gain,
/// where a gain is asked for.
///
/// ```
/// use ragtune::promotion::Promotion;
/// use ragtune::retrieve::measure::QuestionSet;
/// use ragtune::testing::HashingEmbedder;
/// use ragtune::{Document, Error, KnowledgeBase};
///
/// let words = ["tea", "coffee", "milk", "water", "juice", "wine", "beer", "cider", "cocoa", "broth"];
/// let base = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// base.add(words.map(|word| Document::new(word, format!("How {word} is made, and who drinks {word}."))))?;
/// let questions = QuestionSet::new(words.map(|word| (format!("who drinks {word}"), [word])));
/// let promotion = Promotion::default().with_min_questions(10);
///
/// // Two components cannot tell ten drinks apart.
/// let refused = promotion.promote(&base, HashingEmbedder::new(2), &questions);
/// let Err(Error::NotPromoted { comparison, .. }) = refused else { panic!() };
/// assert!(comparison.difference.interval.high < 0.0);
///
/// let promoted = promotion.promote(&base, HashingEmbedder::new(512), &questions)?;
/// println!("{}", promoted.comparison); // and the base searches with the new encoder
/// assert_eq!(base.stats()?.dim, Some(512));
/// # Ok::<(), ragtune::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Promotion {
    /// What is compared; nDCG@10 where nothing is said.
    pub measure: Measure,
    /// How sure the difference is.
    pub bootstrap: Bootstrap,
    /// Whether a candidate must be significantly better, not only not worse.
    pub requires_gain: bool,
    /// Questions below which nothing is decided: intervals of fewer are too narrow.
    pub min_questions: usize,
    /// What decides: vectors alone ([`Mode::Dense`]), or fused with words ([`Mode::Hybrid`]).
    pub mode: Mode,
    /// How the questions are asked.
    pub run: RunOptions,
    cancel: Cancel,
    listener: Listener,
}

/// What a candidate is beside the encoder that serves, before anything changes.
#[must_use = "a trial changes nothing until it is promoted"]
pub struct Trial {
    /// Candidate beside encoder, measure by measure, by vectors alone.
    pub dense: Vec<Comparison>,
    /// The same fused with words.
    pub hybrid: Vec<Comparison>,
    /// Questions that both were asked.
    pub questions: usize,
    promotion: Promotion,
    candidate: Arc<dyn Embedder>,
    /// The candidate with the vectors that it made already.
    remembering: Arc<dyn Embedder>,
}

/// A candidate that took its place.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Promoted {
    /// Candidate beside the one before, in what decided.
    pub comparison: Comparison,
    /// What it cost to embed the base anew.
    pub embedding: EmbeddingReport,
}

impl Default for Promotion {
    /// Not significantly worse in nDCG@10 of dense retrieval, by at least 20 questions.
    fn default() -> Self {
        Self {
            measure: Measure::Ndcg(10),
            bootstrap: Bootstrap::default(),
            requires_gain: false,
            min_questions: 20,
            mode: Mode::Dense,
            run: RunOptions::default(),
            cancel: Cancel::new(),
            listener: Listener::default(),
        }
    }
}

impl Promotion {
    /// Compares by another measure.
    #[must_use]
    pub fn with_measure(mut self, measure: Measure) -> Self {
        self.measure = measure;
        self
    }

    /// Another level or seed of the interval.
    #[must_use]
    pub fn with_bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }

    /// Refuses a candidate without a significant gain.
    #[must_use]
    pub fn with_requires_gain(mut self, requires_gain: bool) -> Self {
        self.requires_gain = requires_gain;
        self
    }

    /// Decides nothing by fewer questions.
    #[must_use]
    pub fn with_min_questions(mut self, questions: usize) -> Self {
        self.min_questions = questions;
        self
    }

    /// Decides by vectors alone, or fused with words.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Asks the questions in another way.
    #[must_use]
    pub fn with_run(mut self, run: RunOptions) -> Self {
        self.run = run;
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
    pub fn with_on_event(mut self, on_event: impl Fn(&PromotionEvent) + Send + Sync + 'static) -> Self {
        self.listener = Listener(Some(Arc::new(on_event)));
        self
    }

    /// Measures a candidate on the base's documents, and embeds the base with it if it may take the place.
    ///
    /// # Errors
    /// Those of [`Promotion::try_questions`] and [`Trial::promote`].
    pub fn promote(
        &self,
        base: &KnowledgeBase,
        candidate: impl Embedder + 'static,
        questions: &QuestionSet,
    ) -> Result<Promoted> {
        self.try_questions(base, candidate, questions)?.promote(base)
    }

    /// Measures a candidate on the documents of a base, by questions of one's own.
    ///
    /// The candidate is tried on a copy in memory; when it is promoted the base takes its vectors, so that nothing is
    /// embedded twice.
    ///
    /// # Errors
    /// [`Error::TooFewQuestions`], `NoEmbedder` for a base without an encoder, [`ragtune_core::Error::Cancelled`], and what
    /// keeps encoder and base from working.
    pub fn try_questions(
        &self,
        base: &KnowledgeBase,
        candidate: impl Embedder + 'static,
        questions: &QuestionSet,
    ) -> Result<Trial> {
        self.check(questions.len())?;
        encoder_of(base)?;
        let candidate: Arc<dyn Embedder> = Arc::new(candidate);
        let remembering: Arc<dyn Embedder> = Arc::new(Remembering::new(Arc::clone(&candidate)));
        let total = base.document_ids()?.len();
        let tell = |done| self.listener.tell(PromotionEvent::Embedded { done, total });
        let copy = trial::copy(
            base,
            Arc::clone(&remembering),
            base.stats()?.metric,
            &self.cancel,
            &tell,
        )?;
        // Words stay the base's own, with its language.
        let old = [dense(base), hybrid(base, base)];
        let new = [dense(&copy), hybrid(&copy, base)];
        self.trial(old, new, questions, candidate, remembering)
    }

    /// Measures a candidate on a benchmark, such as [`TrainingSets::benchmark`](crate::training_data::TrainingSets), beside the
    /// encoder of a base; each document of the benchmark is one passage.
    ///
    /// # Errors
    /// As [`Promotion::try_questions`].
    pub fn try_benchmark(
        &self,
        base: &KnowledgeBase,
        candidate: impl Embedder + 'static,
        benchmark: &BeirDataset,
    ) -> Result<Trial> {
        let questions = QuestionSet::from(benchmark);
        self.check(questions.len())?;
        let own = encoder_of(base)?;
        let candidate: Arc<dyn Embedder> = Arc::new(candidate);
        let metric = base.stats()?.metric;
        let documents = benchmark.documents.len();
        let embed = |embedder: Arc<dyn Embedder>, before: usize| {
            let tell = |done| {
                self.listener.tell(PromotionEvent::Embedded {
                    done: before + done,
                    total: 2 * documents,
                });
            };
            trial::corpus(benchmark, embedder, metric, &self.cancel, &tell)
        };
        let (old, new) = (embed(own, 0)?, embed(Arc::clone(&candidate), documents)?);
        let (old, new) = (
            [dense(&old), hybrid(&old, &old)],
            [dense(&new), hybrid(&new, &new)],
        );
        self.trial(old, new, &questions, Arc::clone(&candidate), candidate)
    }

    /// Measures one retriever beside another by the deciding measure, and says whether it may take its place.
    ///
    /// # Errors
    /// [`Error::NotPromoted`] with the numbers, [`Error::TooFewQuestions`], and what keeps the retrievers from searching.
    pub fn judge(
        &self,
        old: &dyn Retriever,
        new: &dyn Retriever,
        questions: &QuestionSet,
    ) -> Result<Comparison> {
        self.check(questions.len())?;
        let compared = self.compared(old, new, questions, &[self.measure], (0, 2))?;
        self.verdict(&compared, questions.len()).cloned()
    }

    fn trial(
        &self,
        old: [Box<dyn Retriever>; 2],
        new: [Box<dyn Retriever>; 2],
        questions: &QuestionSet,
        candidate: Arc<dyn Embedder>,
        remembering: Arc<dyn Embedder>,
    ) -> Result<Trial> {
        // The one that decides comes first.
        let mut measures = vec![self.measure];
        measures.extend(SHOWN.into_iter().filter(|measure| *measure != self.measure));
        let compared = |at: usize| {
            self.compared(
                old[at].as_ref(),
                new[at].as_ref(),
                questions,
                &measures,
                (2 * at, 4),
            )
        };
        Ok(Trial {
            dense: compared(0)?,
            hybrid: compared(1)?,
            questions: questions.len(),
            promotion: self.clone(),
            candidate,
            remembering,
        })
    }

    fn compared(
        &self,
        old: &dyn Retriever,
        new: &dyn Retriever,
        questions: &QuestionSet,
        measures: &[Measure],
        (before, total): (usize, usize),
    ) -> Result<Vec<Comparison>> {
        let measured = |retriever: &dyn Retriever, number: usize| -> Result<Evaluation> {
            self.cancel.check()?;
            self.listener.tell(PromotionEvent::Asking {
                number: before + number,
                total,
                questions: questions.len(),
            });
            let found = run(retriever, questions, &self.run)?;
            Ok(evaluate(&questions.qrels, &found, measures))
        };
        Ok(compare(&measured(new, 1)?, &measured(old, 2)?, &self.bootstrap)?)
    }

    /// The first comparison, if it lets the candidate pass.
    fn verdict<'c>(&self, compared: &'c [Comparison], questions: usize) -> Result<&'c Comparison> {
        let comparison = compared.first().ok_or(Error::TooFewQuestions {
            found: 0,
            needed: self.min_questions,
        })?;
        let interval = &comparison.difference.interval;
        let reason = match (interval.high < 0.0, interval.low > 0.0) {
            (true, _) => "it is significantly worse",
            (false, false) if self.requires_gain => "it has no significant gain",
            _ => return Ok(comparison),
        };
        Err(Error::NotPromoted {
            reason,
            questions,
            comparison: Box::new(comparison.clone()),
        })
    }

    fn check(&self, questions: usize) -> Result<()> {
        let needed = self.min_questions.max(1);
        if questions < needed {
            return Err(Error::TooFewQuestions {
                found: questions,
                needed,
            });
        }
        match self.mode {
            Mode::Lexical => Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "mode",
                reason: "lexical search has no encoder that could be compared; choose dense or hybrid"
                    .to_owned(),
            })),
            _ => Ok(()),
        }
    }
}

impl Trial {
    /// The comparison that decides.
    ///
    /// # Errors
    /// [`Error::NotPromoted`] with the numbers, where the candidate may not take the place.
    pub fn verdict(&self) -> Result<&Comparison> {
        let compared = match self.promotion.mode {
            Mode::Hybrid => &self.hybrid,
            _ => &self.dense,
        };
        self.promotion.verdict(compared, self.questions)
    }

    /// Embeds the base with the candidate, if it may take the place.
    ///
    /// # Errors
    /// [`Error::NotPromoted`] with the numbers, and those of [`KnowledgeBase::reembed_with`]. Whatever the error, the base
    /// serves as before.
    pub fn promote(self, base: &KnowledgeBase) -> Result<Promoted> {
        let comparison = self.verdict()?.clone();
        let options = ReembedOptions::default().with_cancel(self.promotion.cancel.clone());
        let embedding = base.reembed_with(self.remembering, &options)?;
        // The base is not to keep all vectors in memory for good.
        let _ = base.clone().with_embedder(self.candidate)?;
        Ok(Promoted {
            comparison,
            embedding,
        })
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial")
            .field("dense", &self.dense)
            .field("hybrid", &self.hybrid)
            .field("questions", &self.questions)
            .field("candidate", &self.candidate.id())
            .finish_non_exhaustive()
    }
}

fn dense(base: &KnowledgeBase) -> Box<dyn Retriever> {
    Box::new(base.dense())
}

fn hybrid(vectors: &KnowledgeBase, words: &KnowledgeBase) -> Box<dyn Retriever> {
    Box::new(HybridRetriever::new(vectors.dense(), words.lexical()))
}

fn encoder_of(base: &KnowledgeBase) -> Result<Arc<dyn Embedder>> {
    base.embedder()
        .ok_or(Error::Retrieve(ragtune_retrieve::Error::NoEmbedder {
            operation: "comparing encoders",
        }))
}
