//! What the hub says about a repository and its files.

use std::collections::BTreeSet;
use std::io::Read;

use serde::Deserialize;

use super::error::HubError;
use super::http::{About, Http};
use super::name::{Name, is_safe_path, is_safe_tag, percent_encode};
use crate::http::header_text;

/// What a request for the file list is about.
pub(super) const WHAT: &str = "(the list of files)";

/// No file list is longer, in bytes.
const MAX_LISTING_BYTES: u64 = 32 << 20;

/// The files of a repository at one commit.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: BTreeSet<String>,
}

/// A file's identity on the hub.
#[derive(Clone, Debug)]
pub(super) struct RemoteFile {
    pub(super) path: String,
    /// The entity tag: its name among the cache's blobs.
    pub(super) tag: String,
    pub(super) bytes_total: u64,
}

#[derive(Deserialize)]
struct RepoInfo {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Asks for the commit and the files of a revision, and refuses a list with a path that leads out of its folder.
pub(super) fn list(http: &Http, name: &Name) -> Result<Listing, HubError> {
    let about = About {
        repo: &name.repo,
        revision: &name.revision,
        file: WHAT,
    };
    let revision = percent_encode(&name.revision, false);
    let path = format!("/api/models/{}/revision/{revision}", name.repo);
    let response = http.get(&path, 0, about)?;
    let mut body = Vec::new();
    response
        .into_body()
        .into_reader()
        .take(MAX_LISTING_BYTES)
        .read_to_end(&mut body)
        .map_err(|source| HubError::Network {
            repo: name.repo.clone(),
            file: WHAT.to_owned(),
            endpoint: http.endpoint().to_owned(),
            source: Box::new(source),
        })?;
    let info: RepoInfo = serde_json::from_slice(&body)
        .map_err(|error| protocol(about, format!("it is no file list: {error}")))?;
    if !is_safe_tag(&info.sha) {
        return Err(protocol(about, format!("{:?} is no commit", info.sha)));
    }
    let files: BTreeSet<String> = info
        .siblings
        .into_iter()
        .map(|sibling| sibling.rfilename)
        .collect();
    match files.iter().find(|file| !is_safe_path(file)) {
        Some(file) => Err(HubError::UnsafePath {
            repo: name.repo.clone(),
            file: file.clone(),
        }),
        None => Ok(Listing {
            commit: info.sha,
            files,
        }),
    }
}

/// The path of a file's bytes on the hub.
pub(super) fn resolve_path(repo: &str, commit: &str, file: &str) -> String {
    format!("/{repo}/resolve/{commit}/{}", percent_encode(file, true))
}

/// Asks for a file's tag and length. For a large file they stand in the `x-linked-` headers of a redirect.
pub(super) fn identify(http: &Http, repo: &str, commit: &str, file: &str) -> Result<RemoteFile, HubError> {
    let about = About {
        repo,
        revision: commit,
        file,
    };
    let response = http.head(&resolve_path(repo, commit, file), about)?;
    let headers = response.headers();
    let tag = header_text(headers, "x-linked-etag")
        .or_else(|| header_text(headers, "etag"))
        .map(|tag| tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_owned())
        .filter(|tag| is_safe_tag(tag))
        .ok_or_else(|| protocol(about, "it comes without a usable entity tag".to_owned()))?;
    let length = match header_text(headers, "x-linked-size") {
        Some(length) => Some(length),
        None if response.status().is_redirection() => None,
        None => header_text(headers, "content-length"),
    };
    let bytes_total = length
        .and_then(|length| length.parse().ok())
        .ok_or_else(|| protocol(about, "it comes without a length".to_owned()))?;
    Ok(RemoteFile {
        path: file.to_owned(),
        tag,
        bytes_total,
    })
}

fn protocol(about: About<'_>, reason: String) -> HubError {
    HubError::Protocol {
        repo: about.repo.to_owned(),
        file: about.file.to_owned(),
        reason,
    }
}
