//! What can go wrong with documents, stores and indexes, in terms a caller can act on.

use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with documents, stores and indexes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A contract or model of `ragtune-core` failed.
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
    /// A file holds no text that a loader could take out.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would help.
        reason: String,
    },
    /// A file is encrypted, and the loader has no password that opens it.
    #[error("{} is encrypted: {remedy}", path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
        /// What opens it.
        remedy: &'static str,
    },
    /// A file is whole and has pages, but no text on them, as scans have none.
    #[error("{} has {pages} pages and no text: if they are pictures, as scans are, let an OCR program such as ocrmypdf add the text first", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// How many pages it has.
        pages: usize,
    },
    /// A file asks for more than a loader gives it.
    #[error("{} exceeds the limit of {allowed} {what}; if the file is to be trusted, raise it by LoadLimits::{setter}", path.display())]
    LoadLimit {
        /// The file.
        path: PathBuf,
        /// What is limited.
        what: &'static str,
        /// How much of it is allowed.
        allowed: u64,
        /// The call that raises the limit.
        setter: &'static str,
    },
    /// So many files have not come to an end in time that no further ones of such formats are begun in this process.
    #[error("{} was not read: {running} files before it still keep threads of this process busy beyond their time; restart it, or read such files by a ProcessLoader", path.display())]
    LoadersBusy {
        /// The file.
        path: PathBuf,
        /// Threads that run on.
        running: usize,
    },
    /// The format's reader was left out when the library was compiled.
    #[error("{} is {format}, which needs the feature {feature:?} of ragtune: switch it on in Cargo.toml", path.display())]
    NeedsFeature {
        /// The file.
        path: PathBuf,
        /// The format, with its article.
        format: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// A retriever was asked for something that it cannot honour; it never ignores a condition.
    #[error("{retriever} cannot honour {what}: {remedy}")]
    Unsupported {
        /// The retriever.
        retriever: &'static str,
        /// What was asked for.
        what: String,
        /// What to do instead.
        remedy: String,
    },
    /// The lexical index could not be read or written; it is derived from the store and can be built again.
    #[error("the lexical index could not {action}")]
    LexicalIndex {
        /// What was tried.
        action: &'static str,
        /// What its library said.
        #[source]
        source: ragtune_core::error::BoxError,
    },
    /// Another process writes here; reading is possible all the same.
    #[error("{} is being written by another process: wait for it or stop it", path.display())]
    Locked {
        /// The file or folder.
        path: PathBuf,
    },
    /// A line of a data file is not as its format wants it.
    #[error("{}, line {line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; 0 where it is no single line.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A vector of length zero has no direction, so it has no cosine.
    #[error(
        "{what} has length zero, which the cosine metric cannot compare; use the dot or l2 metric, or an embedder that gives every text a direction"
    )]
    ZeroVector {
        /// Which vector.
        what: String,
    },
    /// A vector index has no such slot.
    #[error("slot {slot} does not exist in an index of {len} vectors")]
    NoSuchSlot {
        /// The slot asked for.
        slot: u32,
        /// Vectors in the index.
        len: usize,
    },
    /// The store's database refused to work.
    #[error("the store {} failed; what was stored before is whole", path.display())]
    Store {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: ragtune_core::error::BoxError,
    },
    /// A file of an index of vectors is not as it was written; it is derived and can be built again.
    #[error("the index of vectors {} cannot be used ({reason}); delete it and build it again", path.display())]
    DamagedIndex {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no room for the store; nothing of the failed write was kept, and all before it is whole.
    #[error("no space is left for the store {}; free some and repeat the call, which goes on where it stopped", path.display())]
    StoreFull {
        /// The database file.
        path: PathBuf,
    },
    /// The store's file is damaged.
    #[error("the store {} is damaged ({reason}); restore it from a copy, or delete its folder and add the documents again", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file or folder at the store's place is something else; it was not touched.
    #[error("{} is not a knowledge base ({found}); it was left untouched, choose another path", path.display())]
    ForeignStore {
        /// The file or folder.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// The store was written by a newer version of the library; it was not touched.
    #[error("the store {} has format {found}, this version of ragtune reads up to {supported}; update ragtune", path.display())]
    NewerStore {
        /// The database file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is known.
        supported: u32,
    },
    /// The embedder is not the one that the base's vectors come from.
    #[error(
        "the knowledge base holds vectors of the embedder {built_with:?} ({built_dim} components), which cannot be compared with those of {given:?} ({given_dim} components); attach the same embedder, or call reembed with the new one"
    )]
    EmbedderMismatch {
        /// Id of the embedder that the base was built with.
        built_with: String,
        /// Components of its vectors.
        built_dim: usize,
        /// Id of the embedder given.
        given: String,
        /// Components of its vectors.
        given_dim: usize,
    },
    /// The metric is not the one that the base was built with.
    #[error(
        "the knowledge base compares by {built_with:?}, not by {given:?}; leave the metric out, or call reembed_with and name the new one"
    )]
    MetricMismatch {
        /// The base's metric.
        built_with: crate::index::Metric,
        /// The metric given.
        given: crate::index::Metric,
    },
    /// The base holds chunks but no vectors, because it was built without an embedder.
    #[error(
        "the knowledge base was built for lexical search and holds no vectors; call reembed with an embedder to make them"
    )]
    NoVectors,
    /// The operation needs an embedder.
    #[error(
        "{operation} needs an embedder; attach one by with_embedder, or set Mode::Lexical by with_search"
    )]
    NoEmbedder {
        /// What was to be done.
        operation: &'static str,
    },
    /// A document's id already belongs to a file of a synced folder.
    #[error("the id {id:?} belongs to a file of the synced folder {folder:?}; choose another id")]
    IdOfSyncedFile {
        /// The id.
        id: String,
        /// The synced folder.
        folder: String,
    },
    /// Two retrievers that are combined give different passages under one id.
    #[error(
        "two of the combined retrievers give different passages under the id {id:?}: they search different documents; wrap each in a NamespaceRetriever, so that their ids differ"
    )]
    ConflictingPassages {
        /// The passage's or document's id.
        id: String,
    },
    /// A part that the caller supplied gave a number that is none of its kind.
    #[error("the {component} gave {value} for {what}")]
    InvalidScore {
        /// The part.
        component: &'static str,
        /// What the number is of, and what it should be.
        what: String,
        /// The number.
        value: f32,
    },
    /// A part that the caller supplied gave another number of answers than it was asked for.
    #[error("the {component} gave {found} answers for {expected} texts")]
    WrongCount {
        /// The part.
        component: &'static str,
        /// Texts given.
        expected: usize,
        /// Answers found.
        found: usize,
    },
    /// A rule chose a route that the router does not have.
    #[error("the rule chose the route {name:?}; the routes are {}", known.join(", "))]
    UnknownRoute {
        /// The name that it gave.
        name: String,
        /// The names of the routes.
        known: Vec<String>,
    },
    /// A chunker gave a passage that does not lie in its document.
    #[error("the chunker {chunker:?} gave the span {span} for {document:?}: {reason}")]
    InvalidChunk {
        /// Fingerprint of the chunker.
        chunker: String,
        /// Id of the document.
        document: String,
        /// The span.
        span: ragtune_core::text::Span,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Error {
    /// Wraps an operating system error with the path that it is about.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
