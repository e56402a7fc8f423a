//! Bringing a base up to date with a folder.
//!
//! Files are read, hashed, loaded and divided in parallel, a window of them at a time, and stored in their order.
//! What is gone is removed last, so that a file that moved finds its vectors still there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::{fs, io};

use ragtune_core::text::{Document, Locator, Marker};
use rayon::prelude::*;

use super::handle::KnowledgeBase;
use super::ingest::Ingest;
use super::options::SyncOptions;
use super::prepare::prepare;
use super::report::{FileOutcome, PartlyRead, Skipped, SyncEvent, SyncReport};
use super::walk::{FoundFile, is_hidden, read_file, walk};
use crate::chunk::Chunker;
use crate::error::{Error, Result};
use crate::load::Loader;
use crate::store::{NewDocument, StoredDocument, SyncedFile, documents};

/// Files, and bytes of them, that are in memory at once. The first windows are smaller, so that something is stored soon.
const FIRST_WINDOW_FILES: usize = 8;
const WINDOW_FILES: usize = 64;
const WINDOW_BYTES: u64 = 64 << 20;
/// Deletions in one transaction.
const REMOVE_BATCH: usize = 1024;
/// The metadata value that every file of a folder has.
const PATH: &str = "path";

/// Syncs a folder.
pub(super) fn sync(kb: &KnowledgeBase, folder: &Path, options: &SyncOptions) -> Result<SyncReport> {
    let base = kb.base();
    base.lock.acquire()?;
    let _alone = base.long_work.lock().unwrap_or_else(PoisonError::into_inner);
    let root = root_of(folder).map_err(|error| Error::io(folder, error))?;
    if base.folder.as_ref().is_some_and(|own| root.starts_with(own)) {
        return Err(Error::Core(ragtune_core::Error::InvalidArgument {
            argument: "folder",
            reason: format!(
                "{} belongs to the knowledge base itself; name the folder of the documents",
                root.display()
            ),
        }));
    }
    let name = folder_name(&root, options)?;
    let walked = walk(&root, base.folder.as_deref(), options)?;
    let emit = |event: &SyncEvent<'_>| {
        if let Some(on_event) = &options.on_event {
            on_event(event);
        }
    };
    emit(&SyncEvent::Scanned {
        files: walked.files.len(),
    });
    let stored = base
        .store
        .read(|connection| StoredDocument::of_folder(connection, &name))?;
    let stored: BTreeMap<String, StoredDocument> = stored
        .into_iter()
        .filter_map(|document| Some((document.path.clone()?, document)))
        .collect();
    let on_embedded = |done, total| emit(&SyncEvent::Embedded { done, total });
    let mut run = Run {
        kb,
        name,
        chunker: kb.chunker()?,
        ids: Ids::new(kb, &walked.files, &stored),
        stored: &stored,
        options,
        report: SyncReport::default(),
        done: 0,
        total: walked.files.len(),
    };
    let mut ingest = Ingest::begin(base, kb.metric(), kb.is_lexical(), &options.cancel, &on_embedded)?;
    for window in windows(&walked.files) {
        options.cancel.check()?;
        run.sync_window(window, &mut ingest)?;
    }
    run.report.embedding = ingest.finish()?;
    options.cancel.check()?;
    let hiding: BTreeSet<String> = walked
        .problems
        .iter()
        .filter(|problem| problem.hides)
        .map(|problem| problem.path.clone())
        .collect();
    for problem in walked.problems {
        let kept = match problem.hides {
            true => stored
                .keys()
                .any(|path| is_hidden(path, &BTreeSet::from([problem.path.clone()]))),
            false => false,
        };
        run.report.skipped.push(Skipped {
            path: problem.path,
            reason: problem.reason,
            kept,
        });
    }
    run.remove_missing(&walked.files, &hiding)?;
    let mut report = run.report;
    report.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    kb.update_derived()?;
    emit(&SyncEvent::Finished { report: &report });
    Ok(report)
}

/// Where a folder, or a single file, lies. A file keeps the name that it was called by, which says what it holds, though
/// it may be a link to another.
fn root_of(path: &Path) -> io::Result<PathBuf> {
    let whole = fs::canonicalize(path)?;
    if !whole.is_file() {
        fs::read_dir(&whole)?;
        return Ok(whole);
    }
    let called = std::path::absolute(path)?;
    match (called.parent(), called.file_name()) {
        (Some(parent), Some(name)) => Ok(fs::canonicalize(parent)?.join(name)),
        _ => Ok(whole),
    }
}

/// The name under which the base knows a folder.
fn folder_name(root: &Path, options: &SyncOptions) -> Result<String> {
    if let Some(name) = &options.name {
        return Ok(name.clone());
    }
    root.to_str().map(str::to_owned).ok_or_else(|| {
        Error::Core(ragtune_core::Error::InvalidArgument {
            argument: "folder",
            reason: format!(
                "the path {} is not valid Unicode; name the folder by with_name",
                root.display()
            ),
        })
    })
}

/// Files in groups that fit into memory together.
fn windows(files: &[FoundFile]) -> impl Iterator<Item = &[FoundFile]> {
    let mut rest = files;
    let mut most = FIRST_WINDOW_FILES;
    std::iter::from_fn(move || {
        let mut bytes = 0u64;
        let fits = |file: &&FoundFile| {
            bytes = bytes.saturating_add(file.bytes);
            bytes <= WINDOW_BYTES
        };
        let count = rest.iter().take(most).take_while(fits).count();
        most = WINDOW_FILES.min(most * 2);
        let (window, after) = rest.split_at_checked(count.max(1))?;
        rest = after;
        Some(window)
    })
}

/// A sync in progress.
struct Run<'a> {
    kb: &'a KnowledgeBase,
    name: String,
    chunker: Arc<dyn Chunker>,
    ids: Ids<'a>,
    stored: &'a BTreeMap<String, StoredDocument>,
    options: &'a SyncOptions,
    report: SyncReport,
    done: usize,
    total: usize,
}

/// What reading a file gave.
enum Read {
    Unchanged,
    Document(Box<NewDocument>),
    Skipped(String),
}

impl Run<'_> {
    fn sync_window(&mut self, window: &[FoundFile], ingest: &mut Ingest<'_>) -> Result<()> {
        let ids = window
            .iter()
            .map(|file| self.ids.of(&file.path, &self.name))
            .collect::<Result<Vec<_>>>()?;
        let chunker_id = self.chunker.id();
        let read = window
            .par_iter()
            .zip(ids)
            .map(|(file, id)| self.read(file, id, &chunker_id));
        let read: Vec<Read> = read.collect();
        for (file, read) in window.iter().zip(read) {
            let was_stored = self.stored.contains_key(&file.path);
            let outcome = match read {
                Read::Unchanged => {
                    self.report.unchanged += 1;
                    FileOutcome::Unchanged
                }
                Read::Skipped(reason) => {
                    self.report.skipped.push(Skipped {
                        path: file.path.clone(),
                        reason,
                        kept: was_stored,
                    });
                    FileOutcome::Skipped
                }
                Read::Document(document) => {
                    if document.chunks.is_empty() {
                        self.report.empty.push(file.path.clone());
                    }
                    let partly = PartlyRead::of(&file.path, &document.document.metadata);
                    self.report.partly_read.extend(partly);
                    ingest.push(*document)?;
                    match was_stored {
                        true => {
                            self.report.changed += 1;
                            FileOutcome::Changed
                        }
                        false => {
                            self.report.added += 1;
                            FileOutcome::Added
                        }
                    }
                }
            };
            self.done += 1;
            self.emit(&file.path, outcome);
        }
        Ok(())
    }

    fn read(&self, file: &FoundFile, id: String, chunker_id: &str) -> Read {
        let Some(loader) = self
            .kb
            .loaders()
            .iter()
            .find(|loader| loader.accepts(&file.location))
        else {
            return Read::Skipped(
                "no loader reads files of this name; supply one by with_loaders".to_owned(),
            );
        };
        let bytes = match read_file(&file.location, self.options.max_file_bytes) {
            Ok(bytes) => bytes,
            Err(reason) => return Read::Skipped(reason),
        };
        let hash = *blake3::hash(&bytes).as_bytes();
        let loader_id = loader.id();
        if let Some(stored) = self.stored.get(&file.path)
            && stored.file_hash == Some(hash)
            && stored.loader.as_ref() == Some(&loader_id)
            && stored.chunker == chunker_id
        {
            return Read::Unchanged;
        }
        match self.load(file, id, loader.as_ref(), &bytes, hash) {
            Ok(document) => Read::Document(Box::new(document)),
            Err(Error::Unreadable { reason, .. }) => Read::Skipped(reason),
            Err(error) => Read::Skipped(explain(&error)),
        }
    }

    fn load(
        &self,
        file: &FoundFile,
        id: String,
        loader: &dyn Loader,
        bytes: &[u8],
        hash: [u8; 32],
    ) -> Result<NewDocument> {
        let mut loaded = loader.load(&file.location, bytes)?;
        loaded.metadata.insert(PATH.to_owned(), file.path.clone().into());
        if loaded.markers.is_empty() {
            // A loader that does not say where its text comes from has lines to name only when the text is the file.
            let is_verbatim = loaded.text.as_bytes() == bytes;
            loaded.markers.push(Marker {
                at: 0,
                locator: Locator {
                    line: is_verbatim.then_some(1),
                    ..Locator::default()
                },
            });
        }
        let document = Document {
            id,
            text: loaded.text,
            metadata: loaded.metadata,
            markers: loaded.markers,
        };
        let file = SyncedFile {
            folder: self.name.clone(),
            path: file.path.clone(),
            hash,
            loader: loader.id(),
        };
        prepare(document, Some(file), self.chunker.as_ref())
    }

    /// Removes the documents of files that are gone.
    fn remove_missing(&mut self, files: &[FoundFile], hiding: &BTreeSet<String>) -> Result<()> {
        let present: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let stored = self.stored.iter();
        let gone: Vec<_> = stored
            .filter(|(path, _)| !present.contains(path.as_str()) && !is_hidden(path, hiding))
            .collect();
        for batch in gone.chunks(REMOVE_BATCH) {
            self.kb.base().store.write(|connection, seq| {
                for (path, _) in batch {
                    // Looked up again, since it may have been stored anew under another key.
                    if let Some(found) = StoredDocument::of_file(connection, &self.name, path)? {
                        documents::delete(connection, seq, found.key)?;
                    }
                }
                Ok(())
            })?;
            for (path, _) in batch {
                self.report.removed += 1;
                self.emit(path, FileOutcome::Removed);
            }
        }
        Ok(())
    }

    fn emit(&self, path: &str, outcome: FileOutcome) {
        if let Some(on_event) = &self.options.on_event {
            on_event(&SyncEvent::File {
                path,
                outcome,
                done: self.done,
                total: self.total,
            });
        }
    }
}

/// Chooses ids of new documents such that none takes another's place.
struct Ids<'a> {
    kb: &'a KnowledgeBase,
    stored: &'a BTreeMap<String, StoredDocument>,
    /// Ids of the folder's stored documents.
    of_folder: HashSet<&'a str>,
    /// Ids that this run gave or will give.
    taken: HashSet<String>,
}

impl<'a> Ids<'a> {
    fn new(kb: &'a KnowledgeBase, files: &[FoundFile], stored: &'a BTreeMap<String, StoredDocument>) -> Self {
        let paths = files.iter().map(|file| file.path.clone());
        let ids = stored.values().map(|document| document.id.clone());
        Self {
            kb,
            stored,
            of_folder: stored.values().map(|document| document.id.as_str()).collect(),
            taken: paths.chain(ids).collect(),
        }
    }

    /// The id of a file's document: the one that it has, or its path, or where another document has that, the
    /// folder's name and its path, with a number behind it where even that is taken.
    fn of(&mut self, path: &str, folder: &str) -> Result<String> {
        if let Some(stored) = self.stored.get(path) {
            return Ok(stored.id.clone());
        }
        let is_stored = |id: &str| {
            let found = self
                .kb
                .base()
                .store
                .read(|connection| StoredDocument::find(connection, id))?;
            Ok::<_, Error>(found.is_some())
        };
        // A document of this folder may carry this path as its id only through an older clash.
        if !self.of_folder.contains(path) && !is_stored(path)? {
            return Ok(path.to_owned());
        }
        let mut number = 1;
        loop {
            let id = match number {
                1 => format!("{folder}/{path}"),
                number => format!("{folder}/{path}~{number}"),
            };
            if !self.taken.contains(&id) && !is_stored(&id)? {
                self.taken.insert(id.clone());
                return Ok(id);
            }
            number += 1;
        }
    }
}

/// An error with its causes in one line.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
