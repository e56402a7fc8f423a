//! The lexical index: opened, updated in whole commits, searched from any thread.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tantivy::indexer::LogMergePolicy;
use tantivy::query::AllQuery;
use tantivy::schema::Term;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError};

use super::analyzer::{Analyzer, Side};
use super::directory::{self, Fields, patiently};
use super::language::Language;
use super::question::Question;
use super::search::Search;
use super::snapshot::Snapshot;
use crate::error::{Error, Result};

/// Bytes of new terms that a writing thread keeps before it writes a segment.
const THREAD_MEMORY_BYTES: usize = 64 << 20;
/// Threads that write at most.
const MAX_THREADS: usize = 4;
/// Share of deleted passages from which on a segment is rewritten without them.
const MAX_DELETED_SHARE: f32 = 0.25;

/// How texts are indexed; an index made with other options is rebuilt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LexicalOptions {
    /// Language of the stemmer.
    pub language: Language,
}

impl LexicalOptions {
    /// With another language.
    pub fn with_language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }
}

/// A passage to index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LexicalEntry {
    /// The store's number of the passage.
    pub chunk: i64,
    /// Headings above the passage, searched together with its text.
    pub heading: String,
    /// The passage.
    pub text: String,
}

/// An inverted index of passages, ranked by BM25 (k1 1.2, b 0.75).
///
/// It is derived from the store: each commit carries the store's sequence number ([`LexicalIndex::stamp`]), and an
/// index that lags, is damaged or was made with other options is filled again. Rankings and scores do not depend on
/// the history of updates: they equal those of an index built afresh from the same passages.
///
/// ```
/// use ragtune_retrieve::index::lexical::{LexicalEntry, LexicalIndex, LexicalOptions};
/// let index = LexicalIndex::open(None, &LexicalOptions::default())?;
/// let entry = |chunk, text: &str| Ok(LexicalEntry { chunk, heading: String::new(), text: text.into() });
/// index.update(&[], &mut [entry(1, "Steeping green tea"), entry(2, "Roasting coffee")].into_iter(), 7)?;
/// assert_eq!(index.search("How is tea steeped?", 10, None)?[0].0, 1);
/// assert_eq!(index.stamp(), 7);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
pub struct LexicalIndex {
    dir: Option<PathBuf>,
    language: Language,
    fields: Fields,
    question_analyzer: Analyzer,
    rebuilt_because: Option<String>,
    state: RwLock<State>,
    writer: Mutex<Writer>,
}

/// What searches see.
struct State {
    index: Index,
    reader: IndexReader,
    snapshot: Arc<Snapshot>,
}

/// The writing side.
struct Writer {
    /// Opened by the first update, since only one process can have it.
    open: Option<IndexWriter>,
    /// Whether the folder holds no usable index yet; until the first update an empty one in memory stands for it, so
    /// that a process that only reads changes nothing on disk.
    create: bool,
}

impl LexicalIndex {
    /// Opens the index in a folder, or one in memory.
    ///
    /// Without an index there, or with one that is damaged, foreign, or made with other options or by another version,
    /// it starts empty with stamp 0; [`LexicalIndex::rebuilt_because`] says so. Nothing on disk changes before the
    /// first update, and any number of processes may read while one writes.
    ///
    /// # Errors
    /// [`Error::LexicalIndex`] when not even an empty index can be made.
    pub fn open(dir: Option<&Path>, options: &LexicalOptions) -> Result<Self> {
        let language = options.language;
        let fields = Fields::schema(language).1;
        let found = match dir {
            Some(dir) => directory::open(dir, language),
            None => Ok(None),
        };
        let (found, mut rebuilt_because) = match found {
            Ok(found) => (found, None),
            Err(reason) => (None, Some(reason)),
        };
        let state = match found.map(|index| State::load(index, fields)).transpose() {
            Ok(state) => state,
            Err(error) => {
                rebuilt_because = Some(error.to_string());
                None
            }
        };
        let create = dir.is_some() && state.is_none();
        let state = match state {
            Some(state) => state,
            None => State::load(directory::in_memory(language), fields)
                .map_err(|source| failed("open an empty index", source))?,
        };
        if let Some(reason) = &rebuilt_because {
            tracing::warn!(%reason, "the lexical index starts empty");
        }
        Ok(Self {
            dir: dir.map(Path::to_owned),
            language,
            fields,
            question_analyzer: Analyzer::new(language, Side::Question),
            rebuilt_because,
            state: RwLock::new(state),
            writer: Mutex::new(Writer { open: None, create }),
        })
    }

    /// Why the index that was found could not be used; `None` where it could, or there was none.
    pub fn rebuilt_because(&self) -> Option<&str> {
        self.rebuilt_because.as_deref()
    }

    /// The store's sequence number that searches see: that of the last commit of this process, or of the last
    /// [`LexicalIndex::refresh`]; 0 for an empty index.
    pub fn stamp(&self) -> u64 {
        self.snapshot().stamp
    }

    /// Number of passages.
    pub fn len(&self) -> usize {
        usize::try_from(self.snapshot().count).unwrap_or(usize::MAX)
    }

    /// Whether there is no passage.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a passage is in the index.
    ///
    /// # Errors
    /// [`Error::LexicalIndex`] when the index cannot be read.
    pub fn contains(&self, chunk: i64) -> Result<bool> {
        self.snapshot()
            .contains(chunk, self.fields.chunk)
            .map_err(|source| failed("search", source))
    }

    /// Takes in what another process committed, and returns the stamp.
    ///
    /// # Errors
    /// [`Error::LexicalIndex`] when the files cannot be read.
    pub fn refresh(&self) -> Result<u64> {
        let writer = self.lock_writer();
        if writer.open.is_none() && writer.create {
            return self.replace_by_what_is_on_disk(writer);
        }
        drop(writer);
        self.write_state()
            .reload(self.fields)
            .map_err(|source| failed("reload", source))
    }

    /// Removes and adds passages in one commit that carries the store's sequence number; an added passage replaces
    /// one with the same id. After an error nothing of it is visible.
    ///
    /// # Errors
    /// The iterator's error; [`Error::Locked`] while another process writes; [`Error::LexicalIndex`] otherwise.
    pub fn update(
        &self,
        removed: &[i64],
        added: &mut dyn Iterator<Item = Result<LexicalEntry>>,
        stamp: u64,
    ) -> Result<()> {
        self.commit(false, removed, added, stamp)
    }

    /// Removes every passage; the stamp becomes 0.
    ///
    /// # Errors
    /// As [`LexicalIndex::update`].
    pub fn clear(&self) -> Result<()> {
        self.commit(true, &[], &mut std::iter::empty(), 0)
    }

    /// The best passages for a question with their BM25 scores, best first, ties by passage id; among the `allowed`
    /// ones only.
    ///
    /// The question is plain words: no character of it is an operator. Only a phrase in double quotes means more: a
    /// passage must contain it, unless no passage does.
    ///
    /// # Errors
    /// [`Error::LexicalIndex`] when the index cannot be read; no text is an error.
    pub fn search(
        &self,
        text: &str,
        top_k: usize,
        allowed: Option<&(dyn Fn(i64) -> bool + Sync)>,
    ) -> Result<Vec<(i64, f32)>> {
        self.search_seen(text, top_k, allowed, None)
    }

    /// As [`LexicalIndex::search`], for someone who may see only passages that `seen` says: to the last bit what an index
    /// of these alone would give. Counts and lengths of hidden passages change no score, and a quoted phrase that only
    /// hidden ones have is one that no passage has.
    pub(crate) fn search_seen(
        &self,
        text: &str,
        top_k: usize,
        allowed: Option<&(dyn Fn(i64) -> bool + Sync)>,
        seen: Option<&(dyn Fn(i64) -> bool + Sync)>,
    ) -> Result<Vec<(i64, f32)>> {
        let snapshot = self.snapshot();
        let question = Question::new(&self.question_analyzer, text);
        Search::new(&snapshot, self.fields, &question, seen)
            .and_then(|search| search.top(top_k, allowed))
            .map_err(|source| failed("search", source))
    }

    /// The BM25 score of each of these passages, the same value as [`LexicalIndex::search`] gives, 0 for a passage
    /// that it does not find.
    ///
    /// # Errors
    /// As [`LexicalIndex::search`].
    pub fn scores(&self, text: &str, chunks: &[i64]) -> Result<Vec<f32>> {
        self.scores_seen(text, chunks, None)
    }

    /// As [`LexicalIndex::scores`], the same values as [`LexicalIndex::search_seen`] gives.
    pub(crate) fn scores_seen(
        &self,
        text: &str,
        chunks: &[i64],
        seen: Option<&(dyn Fn(i64) -> bool + Sync)>,
    ) -> Result<Vec<f32>> {
        let snapshot = self.snapshot();
        let question = Question::new(&self.question_analyzer, text);
        Search::new(&snapshot, self.fields, &question, seen)
            .and_then(|search| search.scores_of(chunks))
            .map_err(|source| failed("search", source))
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state.snapshot)
    }

    fn write_state(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_writer(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks again for an index that was missing or unusable when this one was opened.
    fn replace_by_what_is_on_disk(&self, mut writer: std::sync::MutexGuard<'_, Writer>) -> Result<u64> {
        let found = self
            .dir
            .as_deref()
            .and_then(|dir| directory::open(dir, self.language).ok().flatten());
        if let Some(index) = found {
            let state =
                State::load(index, self.fields).map_err(|source| failed("open the index on disk", source))?;
            *self.write_state() = state;
            writer.create = false;
        }
        drop(writer);
        Ok(self.stamp())
    }

    fn commit(
        &self,
        clear: bool,
        removed: &[i64],
        added: &mut dyn Iterator<Item = Result<LexicalEntry>>,
        stamp: u64,
    ) -> Result<()> {
        let mut writer = self.lock_writer();
        let mut open = match writer.open.take() {
            Some(open) => open,
            None => self.open_writer(&mut writer)?,
        };
        match self.write(&mut open, clear, removed, added, stamp) {
            Ok(()) => writer.open = Some(open),
            Err(error) => {
                // A writer that cannot forget what it was given is thrown away with it.
                if open.rollback().is_ok() {
                    set_policy(&open);
                    writer.open = Some(open);
                }
                return Err(error);
            }
        }
        drop(writer);
        self.write_state()
            .reload(self.fields)
            .map_err(|source| failed("reload", source))?;
        Ok(())
    }

    fn open_writer(&self, writer: &mut Writer) -> Result<IndexWriter> {
        if writer.create
            && let Some(dir) = &self.dir
        {
            let index = patiently(|| directory::create(dir, self.language))
                .map_err(|source| self.not_written("create", source))?;
            let state =
                State::load(index, self.fields).map_err(|source| failed("open the new index", source))?;
            *self.write_state() = state;
            writer.create = false;
        }
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS));
        let index = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.index.clone()
        };
        let open: IndexWriter =
            patiently(|| index.writer_with_num_threads(threads, threads * THREAD_MEMORY_BYTES))
                .map_err(|source| self.not_written("open for writing", source))?;
        set_policy(&open);
        // Another process may have written since this one read: replacing needs to know what is there.
        self.write_state()
            .reload(self.fields)
            .map_err(|source| failed("reload", source))?;
        Ok(open)
    }

    fn write(
        &self,
        open: &mut IndexWriter,
        clear: bool,
        removed: &[i64],
        added: &mut dyn Iterator<Item = Result<LexicalEntry>>,
        stamp: u64,
    ) -> Result<()> {
        let write = |source| self.not_written("write", source);
        let snapshot = self.snapshot();
        let delete = |open: &IndexWriter, chunk| {
            open.delete_term(Term::from_field_i64(self.fields.chunk, chunk));
        };
        // The library numbers its operations, and the first one of a writer that was opened or rolled back gets the number
        // of the last commit. A merge that starts before the next commit applies what has that number already, but not to
        // segments whose deletions carry it: so the first deletion after an opening was lost where such segments were
        // merged. This takes the number, so that no operation has it.
        open.run(Vec::new()).map_err(write)?;
        if clear {
            // The library's own way to delete all sets the numbers back, below those of deletions that still wait.
            open.delete_query(Box::new(AllQuery)).map_err(write)?;
        }
        removed.iter().for_each(|&chunk| delete(open, chunk));
        let mut seen = HashSet::new();
        for entry in added {
            let entry = entry?;
            let known = !seen.insert(entry.chunk)
                || snapshot.contains(entry.chunk, self.fields.chunk).map_err(write)?;
            if known {
                delete(open, entry.chunk);
            }
            let mut document = TantivyDocument::new();
            document.add_i64(self.fields.chunk, entry.chunk);
            document.add_text(self.fields.body, entry.heading);
            document.add_text(self.fields.body, entry.text);
            open.add_document(document).map_err(write)?;
        }
        let mut commit = open.prepare_commit().map_err(write)?;
        commit.set_payload(&directory::payload(stamp));
        commit.commit().map_err(write)?;
        Ok(())
    }

    fn not_written(&self, action: &'static str, source: TantivyError) -> Error {
        match (source, &self.dir) {
            (TantivyError::LockFailure(..), Some(dir)) => Error::Locked { path: dir.clone() },
            (source, _) => failed(action, source),
        }
    }
}

impl Drop for LexicalIndex {
    /// Waits for merges that are under way: one that ends after another writer was opened would undo its commit.
    fn drop(&mut self) {
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = writer.open.take().map(IndexWriter::wait_merging_threads) {
            tracing::warn!(%error, "merging segments of the lexical index failed");
        }
    }
}

impl State {
    fn load(index: Index, fields: Fields) -> tantivy::Result<Self> {
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        let snapshot = snapshot(&index, &reader, fields)?;
        Ok(Self {
            index,
            reader,
            snapshot,
        })
    }

    fn reload(&mut self, fields: Fields) -> tantivy::Result<u64> {
        self.snapshot = snapshot(&self.index, &self.reader, fields)?;
        Ok(self.snapshot.stamp)
    }
}

/// The last commit. A commit between reading the stamp and the segments is noticed by reading the stamp again.
fn snapshot(index: &Index, reader: &IndexReader, fields: Fields) -> tantivy::Result<Arc<Snapshot>> {
    let read = || directory::read_stamp(index).map_err(TantivyError::InvalidArgument);
    let mut stamp = read()?;
    loop {
        reader.reload()?;
        let again = read()?;
        if again == stamp {
            return Ok(Arc::new(Snapshot::new(reader.searcher(), fields, stamp)?));
        }
        stamp = again;
    }
}

/// Merges segments of like size, and rewrites those with many deleted passages.
fn set_policy(writer: &IndexWriter) {
    let mut policy = LogMergePolicy::default();
    policy.set_del_docs_ratio_before_merge(MAX_DELETED_SHARE);
    writer.set_merge_policy(Box::new(policy));
}

fn failed(action: &'static str, source: TantivyError) -> Error {
    Error::LexicalIndex {
        action,
        source: Box::new(source),
    }
}
