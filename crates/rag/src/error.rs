//! What can go wrong between a question and its answer, in terms a caller can act on.

use std::fmt;
#[cfg(feature = "train")]
use std::path::{Path, PathBuf};

use ragtune_core::text::ScoreKind;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a question and its answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A contract or model of `ragtune-core` failed.
    #[error(transparent)]
    Core(#[from] ragtune_core::Error),
    /// A document, store or index failed.
    #[error(transparent)]
    Retrieve(#[from] ragtune_retrieve::Error),
    /// Training, its data, a measure or a report of `ragtune-train` failed.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] ragtune_train::Error),
    /// A file or folder could not be read or written.
    #[cfg(feature = "train")]
    #[error("cannot access {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The record of a run cannot be read or written.
    #[cfg(feature = "train")]
    #[error("{}: {reason}", path.display())]
    BadExperiment {
        /// The file.
        path: PathBuf,
        /// What is wrong and what helps.
        reason: String,
    },
    /// A question of a set is not as it must be.
    #[cfg(feature = "train")]
    #[error("{}, line {line}{}: {reason}", path.display(), named(field))]
    BadQuestion {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; 0 for the whole file.
        line: usize,
        /// The field; empty for the whole line.
        field: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Something is where results are to be written.
    #[cfg(feature = "train")]
    #[error("{} has something in it; name another folder, or remove it", path.display())]
    OutputExists {
        /// The folder.
        path: PathBuf,
    },
    /// The base holds no text.
    #[error("the base holds no document with text; add some, or sync a folder")]
    EmptyBase,
    /// Too few documents to hold some of them out.
    #[error(
        "{} gave questions, and {needed} are needed to hold one out; add documents, or hold none out (a share of 0)",
        counted(*found, "document")
    )]
    TooFewDocuments {
        /// Documents with questions.
        found: usize,
        /// Documents that are needed.
        needed: usize,
    },
    /// No question is left to learn from.
    #[error(
        "of {made} questions {asked} were asked back and none is left to learn from; look at the retriever, allow more hits \
         for the round trip, or give a language model that writes questions"
    )]
    NoQuestions {
        /// Questions that were made.
        made: usize,
        /// Questions that were asked back.
        asked: usize,
    },
    /// Too few questions to decide by.
    #[error(
        "{} are too few to decide by, {needed} are needed; add some, or lower the limit",
        counted(*found, "question")
    )]
    TooFewQuestions {
        /// Questions that there are.
        found: usize,
        /// Questions that are needed.
        needed: usize,
    },
    /// A candidate may not take the place of what serves.
    #[error("the candidate is not promoted: {reason} over {questions} questions ({comparison})")]
    NotPromoted {
        /// Why.
        reason: &'static str,
        /// Questions that both were asked.
        questions: usize,
        /// The candidate beside the one that serves.
        comparison: Box<ragtune_retrieve::measure::Comparison>,
    },
    /// No threshold keeps the share of wrong answers as low as the caller wants.
    #[error(
        "with {questions} labelled questions no threshold keeps wrong answers at {max_error} with confidence {}; the best \
         bound is {bound:.3}: allow more errors, label more questions, or take a better reader",
        1.0 - delta
    )]
    NotCalibrated {
        /// The share of wrong answers that the caller allows.
        max_error: f64,
        /// The probability with which the promise may fail.
        delta: f64,
        /// Labelled questions.
        questions: usize,
        /// The lowest bound that any threshold has.
        bound: f64,
    },
    /// Parts of a pipeline are missing or contradict each other; all of them are named.
    #[error("this pipeline cannot be built: {}", joined(problems))]
    Build {
        /// Every problem with the call that mends it.
        problems: Vec<BuildProblem>,
    },
    /// A question has no text.
    #[error("the question is empty; ask for something")]
    EmptyQuestion,
    /// A threshold looks at a kind of score that a hit does not have.
    #[error(
        "the threshold is on {kind}, which the hit {chunk_id:?} does not have (it has: {found}); set the threshold \
         on a kind that the retriever or reranker gives to every hit"
    )]
    MissingScore {
        /// The kind of the threshold.
        kind: ScoreKind,
        /// The hit without it.
        chunk_id: String,
        /// The kinds that it has, by name.
        found: String,
    },
    /// A part answered with another number of results than it was asked for.
    #[error("the {component} gave {found} results for {expected} texts")]
    WrongCount {
        /// The part.
        component: &'static str,
        /// Texts that it was given.
        expected: usize,
        /// Results that it gave.
        found: usize,
    },
    /// A part gave a number that is not finite, or lies outside its range.
    #[error("the {component} gave {value} for {what}")]
    InvalidScore {
        /// The part.
        component: &'static str,
        /// What the number is of.
        what: String,
        /// The number.
        value: f32,
    },
    /// The prompt does not fit the model even without any source.
    #[error(
        "instructions and question alone take {needed} tokens of the {available} that {generator} leaves for a \
         prompt; shorten them, or lower the number of the answer's tokens"
    )]
    PromptTooLong {
        /// The generator.
        generator: String,
        /// Tokens of the prompt without sources.
        needed: usize,
        /// Tokens that a prompt may have.
        available: usize,
    },
    /// Not one source fits into the prompt.
    #[error(
        "none of the {sources} sources fits: the smallest needs a prompt of {needed} tokens, {available} are left; \
         use smaller chunks, a model with a longer context, or other limits for the tokens of sources"
    )]
    NoSourceFits {
        /// Sources that were found.
        sources: usize,
        /// Tokens that the smallest would have needed.
        needed: usize,
        /// Tokens that there were.
        available: usize,
    },
    /// An answerer broke its contract.
    #[error("the answerer {reason}")]
    Answerer {
        /// What it did.
        reason: String,
    },
    /// Two systems cannot be compared.
    #[error("{first:?} and {second:?} {reason}")]
    UnlikeSystems {
        /// The first system.
        first: String,
        /// The second system.
        second: String,
        /// What is not alike.
        reason: String,
    },
    /// A labelled example was needed, and none was found.
    #[error("there is no labelled example to go by; add some to the retriever")]
    NoExample,
    /// An example has no label.
    #[error("the document {document_id:?} has no text as its metadata value {field:?}, which is its label")]
    NoLabel {
        /// The example's document.
        document_id: String,
        /// The metadata value that was looked for.
        field: String,
    },
    /// A language model answered with something else than a label.
    #[error("the model answered {answer:?}, which is none of the labels")]
    NotALabel {
        /// What it answered.
        answer: String,
    },
    /// An asynchronous call was made outside of a tokio runtime.
    #[error("there is no tokio runtime here; call this from a task of one, or use the synchronous Rag")]
    #[cfg(feature = "tokio")]
    NoRuntime {
        /// What tokio said.
        #[source]
        source: tokio::runtime::TryCurrentError,
    },
    /// A task of the asynchronous runtime ended without its result.
    #[error("the background task ended without a result")]
    #[cfg(feature = "tokio")]
    Task {
        /// What the runtime said.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl Error {
    /// A file or folder that could not be read or written.
    #[cfg(feature = "train")]
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// A part that a pipeline lacks, or two that exclude each other, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildProblem {
    /// What is wrong.
    pub problem: String,
    /// The builder's call that mends it.
    pub remedy: &'static str,
}

impl fmt::Display for BuildProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.problem, self.remedy)
    }
}

/// A number with its noun, which is singular for one.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// The name of a field behind its line.
#[cfg(feature = "train")]
fn named(field: &str) -> String {
    match field {
        "" => String::new(),
        field => format!(", field {field:?}"),
    }
}

fn joined(problems: &[BuildProblem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
