//! What can go wrong in `ragtune-train`, in terms a caller can act on.

use std::path::PathBuf;

use crate::data::Origin;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a file of examples and a tuned model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model, a tokenizer or a chat template failed.
    #[error(transparent)]
    Core(#[from] ragtune_core::Error),
    /// A file or folder could not be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// An argument lies outside what the function takes.
    #[error("{argument}: {reason}")]
    InvalidArgument {
        /// The argument or option.
        argument: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A file of examples is larger than what is read into memory.
    #[error("{} has {bytes} bytes; at most {limit} are read, divide it", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A file of examples is not UTF-8.
    #[error("{}, line {line}, column {column}: not UTF-8; save the file as UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The byte in the line, counted from 1.
        column: usize,
    },
    /// A line of a file of examples is not what its format asks for.
    #[error("{}, line {line}, column {column}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The character in the line, counted from 1.
        column: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A table has no column for a field of the examples.
    #[error(
        "{}: no column for the {field}; the columns are {}; name one with `{option}`",
        path.display(),
        columns.join(", ")
    )]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The field, such as "label".
        field: &'static str,
        /// The option that names its column.
        option: &'static str,
        /// The columns that there are.
        columns: Vec<String>,
    },
    /// There is no example where at least one is needed.
    #[error("{what} has no examples{}", if hint.is_empty() { String::new() } else { format!("; {hint}") })]
    Empty {
        /// The file, or the step that left nothing over.
        what: String,
        /// What to do; may be empty.
        hint: String,
    },
    /// A label is not among those that the model knows.
    #[error("{origin}: label {label:?} is not known; known are {}", known.join(", "))]
    UnknownLabel {
        /// The example.
        origin: Origin,
        /// The label found.
        label: String,
        /// The labels of the map, the first of them where there are many.
        known: Vec<String>,
    },
    /// An example has more tokens than fit, and the policy is to refuse it.
    #[error(
        "{origin}: {tokens} tokens, and at most {limit} fit; raise the limit, or choose `Overflow::Truncate` or \
         `Overflow::Drop`"
    )]
    TooLong {
        /// The example.
        origin: Origin,
        /// Its tokens.
        tokens: usize,
        /// The limit.
        limit: usize,
    },
    /// An example cannot be turned into tokens with targets.
    #[error("{origin}: {reason}")]
    Unencodable {
        /// The example.
        origin: Origin,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Nothing would train.
    #[error("{what} fits nothing that can train{}", hint(suggestions))]
    NothingTrains {
        /// The name, pattern or method.
        what: String,
        /// What may have been meant.
        suggestions: Vec<String>,
    },
    /// A selection names every weight.
    #[error(
        "the selection names all {weights} weights; choose `Tuning::Full` if that is meant, or fewer patterns"
    )]
    EverythingTrains {
        /// How many tensors it names.
        weights: usize,
    },
    /// A saved state cannot be used.
    #[error("{}: {reason}; remove the folder to begin anew", path.display())]
    State {
        /// The state.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another run has the folder.
    #[error("{} is in use by another run; wait for its end, or name another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A saved state is of another run than the one that is to go on.
    #[error(
        "{} is of another run ({}); go on with its settings and data, or name another folder",
        path.display(),
        differences.join("; ")
    )]
    OtherRun {
        /// The state.
        path: PathBuf,
        /// In what the runs differ.
        differences: Vec<String>,
    },
    /// There are more or fewer predictions than true answers.
    #[error(
        "{metric}: {predictions} predictions for {truths} true ones; give one for each, in the same order"
    )]
    LengthMismatch {
        /// What was to be measured.
        metric: &'static str,
        /// True answers.
        truths: usize,
        /// Predictions.
        predictions: usize,
    },
    /// A number stands for no label.
    #[error("example {index}: label number {label}, where {labels} labels are numbered from 0")]
    LabelOutOfRange {
        /// The example, counted from 0.
        index: usize,
        /// The number.
        label: usize,
        /// How many labels there are.
        labels: usize,
    },
    /// A tag of a word cannot be read.
    #[error("word {word}: tag {tag:?} begins with none of the letters {expected}")]
    InvalidTag {
        /// The word in its sentence, counted from 0.
        word: usize,
        /// The tag.
        tag: String,
        /// The letters that tags of the scheme begin with.
        expected: &'static str,
    },
    /// No settings hold a limit of memory.
    #[error(
        "{limit} bytes of memory do not suffice: with one example at a time and layers computed again it takes {least}, \
         with {trained} trained weights; shorten the examples, train fewer weights (LoRA), or load the base in int8"
    )]
    Memory {
        /// The limit.
        limit: u64,
        /// The least that some setting takes.
        least: u64,
        /// Trained weights.
        trained: usize,
    },
    /// The loss is no number any more.
    #[error(
        "step {step}: the loss of {} is {loss}; lower the learning rate, or look at these examples{}",
        examples.join(", "),
        saved.as_ref().map(|path| format!("; the state before it is in {}", path.display())).unwrap_or_default()
    )]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// The loss.
        loss: f64,
        /// The examples of the batch.
        examples: Vec<String>,
        /// Where the state before the step was saved.
        saved: Option<PathBuf>,
    },
}

fn hint(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        some => format!("; there are {}", some.join(", ")),
    }
}

impl Error {
    /// An access to a file or folder that failed.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    /// An argument outside what a function takes.
    pub fn invalid(argument: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidArgument {
            argument,
            reason: reason.into(),
        }
    }
}
