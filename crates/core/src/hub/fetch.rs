//! A whole fetch: what the revision is, which files it needs, each of them, and the record that all are there.

use std::fs;
use std::path::Path;

use super::cache::Cache;
use super::download::Downloads;
use super::error::HubError;
use super::event::{HubEvent, Origin, Snapshot};
use super::http::Http;
use super::listing::{self, Listing};
use super::name::Name;
use super::select::{self, Weights};
use crate::error::{Error, Result};
use crate::progress::Cancel;

/// One call of [`Hub::snapshot`](super::Hub::snapshot).
pub(super) struct Fetch<'a> {
    pub(super) name: Name,
    pub(super) cache: Cache,
    pub(super) cache_folder: &'a Path,
    pub(super) retries: u32,
    pub(super) cancel: &'a Cancel,
    pub(super) emit: &'a dyn Fn(HubEvent),
}

impl Fetch<'_> {
    /// The snapshot from the cache alone.
    pub(super) fn offline(&self) -> Result<Snapshot> {
        match self.cache.whole_commit_of(&self.name) {
            Some(commit) => Ok(self.snapshot(commit, Origin::Cache)),
            None => Err(HubError::NotCached {
                repo: self.name.repo.clone(),
                revision: self.name.revision.clone(),
                folder: self.cache_folder.to_owned(),
            }
            .into()),
        }
    }

    /// The snapshot as the hub has it now, or the cached one when the hub cannot be reached.
    pub(super) fn online(&self, http: &Http) -> Result<Snapshot> {
        if self.name.is_commit()
            && let Some(commit) = self.cache.whole_commit_of(&self.name)
        {
            return Ok(self.snapshot(commit, Origin::Cache));
        }
        match self.fetch_all(http) {
            Err(Error::Hub(error)) if error.is_network() => {
                let Some(commit) = self.cache.whole_commit_of(&self.name) else {
                    return Err(error.into());
                };
                let reason = error.to_string();
                (self.emit)(HubEvent::Fallback {
                    repo: self.name.repo.clone(),
                    commit: commit.clone(),
                    reason: reason.clone(),
                });
                Ok(self.snapshot(commit, Origin::Fallback(reason)))
            }
            other => other,
        }
    }

    fn snapshot(&self, commit: String, origin: Origin) -> Snapshot {
        Snapshot {
            folder: self.cache.snapshot(&commit),
            repo: self.name.repo.clone(),
            commit,
            origin,
        }
    }

    fn fetch_all(&self, http: &Http) -> Result<Snapshot> {
        self.cancel.check()?;
        let listing = listing::list(http, &self.name)?;
        (self.emit)(HubEvent::Resolved {
            repo: self.name.repo.clone(),
            commit: listing.commit.clone(),
        });
        let downloads = Downloads {
            http,
            cache: &self.cache,
            repo: &self.name.repo,
            commit: &listing.commit,
            retries: self.retries,
            cancel: self.cancel,
            emit: self.emit,
        };
        let mut done = Vec::new();
        let weights = self.small_files(&downloads, &listing, &mut done)?;
        for file in weights {
            self.file(&downloads, &listing, &file, &mut done)?;
        }
        self.cache.complete(&self.name, &listing.commit, &done)?;
        Ok(self.snapshot(listing.commit, Origin::Hub))
    }

    /// Fetches configurations, tokenizers and indexes, and says which weights they ask for.
    fn small_files(
        &self,
        downloads: &Downloads<'_>,
        listing: &Listing,
        done: &mut Vec<(String, u64)>,
    ) -> Result<Vec<String>> {
        let mut folders = vec![String::new()];
        if listing.files.contains(select::MODULES) {
            let json = self.read(downloads, listing, select::MODULES, done)?;
            folders =
                select::module_folders(&json).map_err(|reason| self.protocol(select::MODULES, reason))?;
        }
        let mut small = select::side_files(&listing.files, "");
        let mut weights = Vec::new();
        for folder in &folders {
            if !folder.is_empty() {
                small.extend(select::side_files(&listing.files, folder));
            }
            match select::weights(&listing.files, folder) {
                Weights::Files(files) => weights.extend(files),
                Weights::Index(index) => {
                    let json = self.read(downloads, listing, &index, done)?;
                    let shards =
                        select::shards(&json, folder).map_err(|reason| self.protocol(&index, reason))?;
                    weights.extend(shards);
                }
                Weights::Missing(others) if others.is_empty() => {}
                Weights::Missing(others) => return Err(self.no_safetensors(folder, others)),
            }
        }
        if weights.is_empty() {
            return Err(self.no_safetensors("", Vec::new()));
        }
        for file in &small {
            self.file(downloads, listing, file, done)?;
        }
        Ok(weights)
    }

    fn file(
        &self,
        downloads: &Downloads<'_>,
        listing: &Listing,
        file: &str,
        done: &mut Vec<(String, u64)>,
    ) -> Result<()> {
        if done.iter().any(|(path, _)| path == file) {
            return Ok(());
        }
        if !listing.files.contains(file) {
            return Err(HubError::FileNotFound {
                repo: self.name.repo.clone(),
                file: file.to_owned(),
            }
            .into());
        }
        let remote = downloads.retrying(file, || {
            Ok(listing::identify(
                downloads.http,
                &self.name.repo,
                &listing.commit,
                file,
            )?)
        })?;
        downloads.ensure(&remote)?;
        done.push((remote.path, remote.bytes_total));
        Ok(())
    }

    fn read(
        &self,
        downloads: &Downloads<'_>,
        listing: &Listing,
        file: &str,
        done: &mut Vec<(String, u64)>,
    ) -> Result<Vec<u8>> {
        self.file(downloads, listing, file, done)?;
        let path = self.cache.snapshot(&listing.commit).join(file);
        fs::read(&path).map_err(|source| Error::io(path, source))
    }

    fn no_safetensors(&self, folder: &str, others: Vec<String>) -> Error {
        HubError::NoSafetensors {
            repo: self.name.repo.clone(),
            folder: if folder.is_empty() { "/" } else { folder }.to_owned(),
            others,
        }
        .into()
    }

    fn protocol(&self, file: &str, reason: String) -> Error {
        HubError::Protocol {
            repo: self.name.repo.clone(),
            file: file.to_owned(),
            reason,
        }
        .into()
    }
}
