//! One file: fetched into `<tag>.incomplete`, gone on with after a break, checked, and only then renamed to its blob.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use ureq::http::StatusCode;

use super::cache::{Cache, create_parent};
use super::digest::TagDigest;
use super::error::HubError;
use super::event::HubEvent;
use super::http::{About, Http};
use super::listing::{RemoteFile, resolve_path};
use crate::error::{Error, Result};
use crate::http::header_text;
use crate::progress::Cancel;

const BUFFER_BYTES: usize = 128 << 10;
/// A progress event at least every so many bytes.
const EVENT_BYTES: u64 = 1 << 20;
const LOCK_POLL: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What every download of one fetch shares.
pub(super) struct Downloads<'a> {
    pub(super) http: &'a Http,
    pub(super) cache: &'a Cache,
    pub(super) repo: &'a str,
    pub(super) commit: &'a str,
    pub(super) retries: u32,
    pub(super) cancel: &'a Cancel,
    pub(super) emit: &'a dyn Fn(HubEvent),
}

impl Downloads<'_> {
    /// Makes sure that a file's blob is whole, and links it into the snapshot.
    pub(super) fn ensure(&self, file: &RemoteFile) -> Result<()> {
        let blob = self.cache.blob(&file.tag);
        let cached = has_length(&blob, file.bytes_total) || {
            let _lock = self.lock(file)?;
            // Another process may have finished it meanwhile.
            has_length(&blob, file.bytes_total) || {
                self.fetch(file)?;
                false
            }
        };
        self.cache.link(self.commit, &file.path, &file.tag)?;
        (self.emit)(HubEvent::Finished {
            file: file.path.clone(),
            bytes_total: file.bytes_total,
            cached,
        });
        Ok(())
    }

    /// Repeats what the network broke, `retries` times without any progress, with growing pauses.
    pub(super) fn retrying<T>(&self, file: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut failures = 0;
        let mut best = 0;
        loop {
            self.cancel.check()?;
            let error = match attempt() {
                Err(Error::Hub(error)) if error.is_network() => error,
                other => return other,
            };
            if let HubError::Truncated { received, .. } = &error
                && *received > best
            {
                best = *received;
                failures = 0;
            }
            if failures == self.retries {
                return Err(error.into());
            }
            failures += 1;
            (self.emit)(HubEvent::Retry {
                file: file.to_owned(),
                attempt: failures,
                reason: error.to_string(),
            });
            let pause = FIRST_PAUSE * 2u32.pow(failures.min(6));
            let mut waited = Duration::ZERO;
            while waited < pause {
                self.cancel.check()?;
                std::thread::sleep(LOCK_POLL);
                waited += LOCK_POLL;
            }
        }
    }

    /// Holds the file's lock, waiting for another process; a file system without locks is used without.
    fn lock(&self, file: &RemoteFile) -> Result<File> {
        let path = self.cache.lock(&file.tag);
        create_parent(&path)?;
        let lock = File::create(&path).map_err(|source| Error::io(&path, source))?;
        let mut told = false;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        told = true;
                        (self.emit)(HubEvent::Waiting {
                            file: file.path.clone(),
                        });
                    }
                    self.cancel.check()?;
                    std::thread::sleep(LOCK_POLL);
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(lock);
                }
                Err(TryLockError::Error(source)) => return Err(Error::io(path, source)),
            }
        }
    }

    fn fetch(&self, file: &RemoteFile) -> Result<()> {
        let part = self.cache.incomplete(&file.tag);
        create_parent(&part)?;
        let had_part = fs::metadata(&part).is_ok_and(|part| part.len() > 0);
        let received = self.retrying(&file.path, || self.receive(file, &part));
        match received {
            // What an earlier run left behind may be damaged: one clean attempt decides.
            Err(Error::Hub(HubError::WrongDigest { .. })) if had_part => {
                self.retrying(&file.path, || self.receive(file, &part))?;
            }
            other => other?,
        }
        let blob = self.cache.blob(&file.tag);
        fs::rename(&part, &blob).map_err(|source| Error::io(blob, source))
    }

    /// One request for what is still missing of the file, then the check of the whole.
    fn receive(&self, file: &RemoteFile, path: &Path) -> Result<()> {
        let failed = |source| Error::io(path, source);
        let mut part = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed)?;
        let mut have = part.metadata().map_err(failed)?.len();
        let mut digest = TagDigest::for_tag(&file.tag, file.bytes_total);
        if have > file.bytes_total {
            part.set_len(0).map_err(failed)?;
            have = 0;
        }
        digest_part((&mut part).take(have), &mut digest).map_err(failed)?;
        if have < file.bytes_total {
            let about = About {
                repo: self.repo,
                revision: self.commit,
                file: &file.path,
            };
            let url = resolve_path(self.repo, self.commit, &file.path);
            let response = self.http.get(&url, have, about)?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT if range_start(response.headers()) == Some(have) => {}
                StatusCode::OK | StatusCode::PARTIAL_CONTENT if have == 0 => {}
                StatusCode::OK => {
                    // The server knows no ranges: from the start again.
                    part.set_len(0).map_err(failed)?;
                    digest = TagDigest::for_tag(&file.tag, file.bytes_total);
                    have = 0;
                }
                _ => {
                    part.set_len(0).map_err(failed)?;
                    return Err(self.truncated(file, 0));
                }
            }
            let announced =
                header_text(response.headers(), "content-length").and_then(|n| n.parse::<u64>().ok());
            if let Some(announced) = announced.filter(|announced| *announced != file.bytes_total - have) {
                return self.refuse_length(file, path, have.saturating_add(announced));
            }
            let mut body = response.into_body().into_reader();
            let mut buffer = vec![0; BUFFER_BYTES];
            let mut told = have;
            while have < file.bytes_total {
                self.cancel.check()?;
                let count = match body.read(&mut buffer) {
                    Ok(0) | Err(_) => return Err(self.truncated(file, have)),
                    Ok(count) => count,
                };
                if count as u64 > file.bytes_total - have {
                    return self.refuse_length(file, path, have + count as u64);
                }
                io::Write::write_all(&mut part, &buffer[..count])
                    .map_err(|source| self.write_failed(file, path, have, source))?;
                digest.update(&buffer[..count]);
                have += count as u64;
                if have - told >= EVENT_BYTES || have == file.bytes_total {
                    told = have;
                    (self.emit)(HubEvent::Progress {
                        file: file.path.clone(),
                        bytes_done: have,
                        bytes_total: file.bytes_total,
                    });
                }
            }
        }
        part.sync_all()
            .map_err(|source| self.write_failed(file, path, have, source))?;
        match digest.finish() {
            Some(found) if found != file.tag => {
                fs::remove_file(path).map_err(failed)?;
                Err(HubError::WrongDigest {
                    repo: self.repo.to_owned(),
                    file: file.path.clone(),
                    expected: file.tag.clone(),
                    found,
                }
                .into())
            }
            _ => Ok(()),
        }
    }

    fn truncated(&self, file: &RemoteFile, received: u64) -> Error {
        let expected = file.bytes_total;
        HubError::Truncated {
            repo: self.repo.to_owned(),
            file: file.path.clone(),
            received,
            expected,
        }
        .into()
    }

    fn refuse_length(&self, file: &RemoteFile, part: &Path, found: u64) -> Result<()> {
        fs::remove_file(part).map_err(|source| Error::io(part, source))?;
        Err(HubError::WrongLength {
            repo: self.repo.to_owned(),
            file: file.path.clone(),
            expected: file.bytes_total,
            found,
        }
        .into())
    }

    fn write_failed(&self, file: &RemoteFile, path: &Path, have: u64, source: io::Error) -> Error {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(source.kind(), StorageFull | QuotaExceeded) {
            return HubError::DiskFull {
                repo: self.repo.to_owned(),
                file: file.path.clone(),
                path: path.to_owned(),
                needed: file.bytes_total - have,
            }
            .into();
        }
        Error::io(path, source)
    }
}

/// Takes in what is on disk already.
fn digest_part(mut part: impl Read, digest: &mut TagDigest) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match part.read(&mut buffer)? {
            0 => return Ok(()),
            count => digest.update(&buffer[..count]),
        }
    }
}

fn has_length(path: &Path, bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == bytes)
}

/// Where a partial answer begins: `bytes 500-999/1000` at 500.
fn range_start(headers: &ureq::http::HeaderMap) -> Option<u64> {
    let range = header_text(headers, "content-range")?.strip_prefix("bytes ")?;
    range.split('-').next()?.trim().parse().ok()
}
