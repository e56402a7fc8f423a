//! What can go wrong between a repository name and a model folder.

use std::path::PathBuf;

/// What can go wrong with a model hub; every message names the repository, the file and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The name is no repository name.
    #[error("`{name}` is no repository name: {reason}; write `owner/name` or `owner/name@revision`")]
    InvalidName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The endpoint is no address that a request can be sent to.
    #[error("the hub endpoint `{endpoint}` cannot be used: {reason}")]
    InvalidEndpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No cache folder was given and the user has no home folder.
    #[error("no home folder is known for the model cache; name a folder with `Hub::with_cache_folder`")]
    NoCacheFolder,
    /// The hub knows no such repository, or hides it from the caller.
    #[error(
        "repository `{repo}` was not found at {endpoint} (HTTP {status}); check the name, and for a private \
         repository give a token with `Hub::with_token`"
    )]
    RepositoryNotFound {
        /// The repository.
        repo: String,
        /// The hub that was asked.
        endpoint: String,
        /// The answer's status.
        status: u16,
    },
    /// The repository has no such branch, tag or commit.
    #[error("repository `{repo}` has no revision `{revision}`; name a branch, a tag or a commit that it has")]
    RevisionNotFound {
        /// The repository.
        repo: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// A file that the repository lists, or that one of its files names, is not there.
    #[error("`{file}` of repository `{repo}` is missing on the hub; try another revision or tell its owner")]
    FileNotFound {
        /// The repository.
        repo: String,
        /// The file in it.
        file: String,
    },
    /// The hub refuses the repository or one of its files to this caller.
    #[error(
        "access to `{file}` of repository `{repo}` was refused (HTTP {status}); accept its conditions on the \
         repository's page, and give a token that may read it with `Hub::with_token`"
    )]
    AccessDenied {
        /// The repository.
        repo: String,
        /// The file, or what else was asked for.
        file: String,
        /// The answer's status, 401 or 403.
        status: u16,
    },
    /// The hub could not be reached, or failed on its side.
    #[error(
        "`{file}` of repository `{repo}` could not be fetched from {endpoint}; check the network and try again"
    )]
    Network {
        /// The repository.
        repo: String,
        /// The file, or what else was asked for.
        file: String,
        /// The hub that was asked.
        endpoint: String,
        /// What the connection said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection ended before the file did; what arrived is kept, and the next fetch goes on from there.
    #[error(
        "`{file}` of repository `{repo}` stopped after {received} of {expected} bytes; fetch again to go on from there"
    )]
    Truncated {
        /// The repository.
        repo: String,
        /// The file in it.
        file: String,
        /// Bytes that are kept on disk.
        received: u64,
        /// Bytes of the whole file.
        expected: u64,
    },
    /// The hub sends a file of another length than it announced.
    #[error(
        "`{file}` of repository `{repo}` has {found} bytes where the hub announced {expected}; fetch again"
    )]
    WrongLength {
        /// The repository.
        repo: String,
        /// The file in it.
        file: String,
        /// Bytes announced.
        expected: u64,
        /// Bytes that the answer has, or has at least.
        found: u64,
    },
    /// A file's bytes do not have the digest that the hub announced; they were deleted.
    #[error("`{file}` of repository `{repo}` is damaged: its digest is {found}, not {expected}; fetch again")]
    WrongDigest {
        /// The repository.
        repo: String,
        /// The file in it.
        file: String,
        /// The digest announced, in hexadecimal.
        expected: String,
        /// The digest of the bytes that came.
        found: String,
    },
    /// The disk with the cache folder is full; what arrived is kept.
    #[error(
        "the disk is full at {} while `{file}` of repository `{repo}` needs {needed} more bytes; make room or name \
         another folder with `Hub::with_cache_folder`, then fetch again", path.display()
    )]
    DiskFull {
        /// The repository.
        repo: String,
        /// The file in it.
        file: String,
        /// The file that was being written.
        path: PathBuf,
        /// Bytes that were still to come.
        needed: u64,
    },
    /// The repository lists a file that would be written outside its folder; nothing was fetched.
    #[error("repository `{repo}` lists the unsafe path {file:?}; do not use this repository")]
    UnsafePath {
        /// The repository.
        repo: String,
        /// The path as listed.
        file: String,
    },
    /// The repository has no weights in safetensors form.
    #[error(
        "repository `{repo}` has no weights in safetensors form in {folder:?}{}; choose a revision or a repository \
         with *.safetensors, pickle files are never loaded",
        if others.is_empty() { String::new() } else { format!(" (only {})", others.join(", ")) }
    )]
    NoSafetensors {
        /// The repository.
        repo: String,
        /// The folder of the repository that should have weights; empty for its root.
        folder: String,
        /// Weights in other forms that are there.
        others: Vec<String>,
    },
    /// An answer or a file of the repository is not what the hub's protocol says.
    #[error("the answer for `{file}` of repository `{repo}` cannot be used: {reason}")]
    Protocol {
        /// The repository.
        repo: String,
        /// The file, or what else was asked for.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The cache has no whole copy of the model, and the network may not be used.
    #[error(
        "repository `{repo}` at revision `{revision}` is not whole in {}; fetch it once without `Hub::offline`",
        folder.display()
    )]
    NotCached {
        /// The repository.
        repo: String,
        /// The branch, tag or commit.
        revision: String,
        /// The cache folder.
        folder: PathBuf,
    },
}

impl HubError {
    /// Whether the hub could not be reached or broke off, so that a cached copy may stand in and a retry may help.
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::Truncated { .. })
    }
}
