//! What can go wrong in `ragtune-core`, in terms a caller can act on.

use std::path::PathBuf;

use crate::text::Overflow;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that a user's own implementation of a trait raised.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong with contracts, models and their files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A part that the caller supplied (an embedder, a generator, ...) failed.
    #[error("{component} failed")]
    External {
        /// The name of the part.
        component: String,
        /// Its own error.
        #[source]
        source: BoxError,
    },
    /// The caller asked the work to stop.
    #[error("the work was cancelled")]
    Cancelled,
    /// An argument lies outside what the function takes.
    #[error("{argument}: {reason}")]
    InvalidArgument {
        /// The argument or option.
        argument: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A vector has another number of components than its space.
    #[error("{what} has {found} components where {expected} are expected")]
    Dimension {
        /// Which vector.
        what: String,
        /// Components of the space.
        expected: usize,
        /// Components found.
        found: usize,
    },
    /// A number that must be finite is NaN or infinite.
    #[error("{what} is not a finite number: {value}")]
    NotFinite {
        /// Which number.
        what: String,
        /// The value found.
        value: f32,
    },
    /// A checkpoint names an activation function that does not exist here.
    #[error("unknown activation function {found:?}; known are {}", known.join(", "))]
    UnknownActivation {
        /// The name found, usually `hidden_act` of `config.json`.
        found: String,
        /// The names that exist.
        known: Vec<&'static str>,
    },
    /// An id points behind the last row of an embedding table.
    #[error("{table} has {rows} rows, so it has no id {id}; do tokenizer and weights belong together?")]
    UnknownId {
        /// The table's module path in the checkpoint.
        table: String,
        /// The id asked for.
        id: u32,
        /// Rows of the table.
        rows: usize,
    },
    /// A file that a model needs is not in its folder.
    #[error("{} does not exist: {remedy}", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A file is not the JSON that is expected.
    #[error("cannot read {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A field of a model's configuration is missing, or has a value that no such model has.
    #[error("{}: the field {field:?} is {found} where {expected} is expected", path.display())]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value, or "missing".
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A model is of an architecture (or a part of it of a kind) that is not supported.
    #[error("{}: {field} {found:?} is not supported; supported are {}", path.display(), supported.join(", "))]
    Unsupported {
        /// The file that names it.
        path: PathBuf,
        /// The field that names it.
        field: String,
        /// Its value.
        found: String,
        /// The values that are supported.
        supported: &'static [&'static str],
    },
    /// A tokenizer cannot be read, or failed on a text.
    #[error("the tokenizer {} failed", path.display())]
    Tokenizer {
        /// The tokenizer's file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: BoxError,
    },
    /// A chat template is not Jinja, or refuses a conversation.
    #[error("the chat template {}{} failed: {remedy}", path.display(), at_line(*line))]
    ChatTemplate {
        /// The file that it stands in.
        path: PathBuf,
        /// The line of the template, from 1, where it is known.
        line: Option<usize>,
        /// What to do about it.
        remedy: &'static str,
        /// What the template or its engine said.
        #[source]
        source: BoxError,
    },
    /// A prompt has no message, or no text at all.
    #[error("the prompt is empty: give a language model something to continue")]
    EmptyPrompt,
    /// A prompt and the answer that is asked for are longer than the model's context.
    #[error(
        "the prompt has {prompt_tokens} tokens and the answer may have {max_tokens}: that is {excess} more than the \
         context of {context_tokens}; {}", overflow_remedy(*overflow)
    )]
    ContextOverflow {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Tokens that the answer may have.
        max_tokens: usize,
        /// Tokens that the model reads at most.
        context_tokens: usize,
        /// Tokens too many.
        excess: usize,
        /// The policy that was set, which did not help.
        overflow: Overflow,
    },
    /// A language model gave numbers that no token can be chosen by.
    #[error("the model's logits for the next token hold {found} at token {token}; are its weights damaged?")]
    BadLogits {
        /// NaN or an infinity.
        found: f32,
        /// The token id.
        token: usize,
    },
    /// A constraint cannot be followed.
    #[error("the constraint on the answer cannot be followed: {reason}")]
    Constraint {
        /// What is wrong with it.
        reason: String,
    },
    /// A generator cannot do what the options ask for.
    #[error("the generator {generator} has no {option}; leave it out, or use another generator")]
    UnsupportedOption {
        /// The generator's id.
        generator: String,
        /// The option's name.
        option: &'static str,
    },
    /// A checkpoint file is damaged, or is not of the model that its configuration describes.
    #[cfg(feature = "models")]
    #[error("cannot load the checkpoint {}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: crate::weights::CheckpointError,
    },
    /// A model that is to be tuned further has a head for other labels.
    #[error(
        "{} has a head for other labels ({}); take the labels of the head, or ask for a new head",
        path.display(),
        differences.join("; ")
    )]
    OtherLabels {
        /// The model's folder.
        path: PathBuf,
        /// In what they differ.
        differences: Vec<String>,
    },
    /// A checkpoint lacks tensors that its model needs.
    #[cfg(feature = "models")]
    #[error("{} lacks tensors of the model that its configuration describes: {report}", path.display())]
    MissingTensors {
        /// The file.
        path: PathBuf,
        /// What was applied, what is missing, what is left over.
        report: Box<crate::weights::LoadReport>,
    },
    /// A device does not exist, or the program was built without its kind.
    #[cfg(feature = "models")]
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    /// An adapter is damaged, or does not belong to the base model.
    #[cfg(feature = "models")]
    #[error("cannot use the adapter {}", path.display())]
    Adapter {
        /// Its folder or file, or "in memory".
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: crate::adapters::AdapterError,
    },
    /// The model inside the library is not the one that was published.
    #[cfg(feature = "builtin")]
    #[error(
        "the built-in model is damaged: {what} has the BLAKE3 {found}, not {expected}; build the program again from \
         clean sources"
    )]
    BuiltinDamaged {
        /// Which part of it.
        what: &'static str,
        /// The checksum that was published.
        expected: &'static str,
        /// The checksum found.
        found: String,
    },
    /// A model could not be fetched from a hub.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),
    /// An OpenAI-compatible server did not answer as it should.
    #[cfg(feature = "openai")]
    #[error(transparent)]
    OpenAi(#[from] crate::openai::OpenAiError),
}

impl Error {
    /// Wraps an error of a user's own part.
    pub fn external(component: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::External {
            component: component.into(),
            source: source.into(),
        }
    }

    /// Wraps an operating system error with the path that it is about.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}

fn overflow_remedy(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::Error => "shorten the prompt, lower max_tokens, or set an overflow policy",
        Overflow::ShortenAnswer => "the prompt alone leaves no room for an answer, so shorten it",
        Overflow::DropOldest => "the answer leaves no room for the end of the prompt, so lower max_tokens",
    }
}

fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line},"))
}
