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
