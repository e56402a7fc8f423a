//! The handle of a base: how it is opened and configured, and its verbs.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use ragtune_core::Cancel;
use ragtune_core::text::{Document, Embedder, Query, ScoredChunk, Span};
use rayon::prelude::*;

use super::auto_merge::Background;
use super::base::{Base, check_metric, mismatch};
use super::check::{self, CheckReport};
use super::ingest::{BATCH_TEXTS, Ingest};
use super::merge::{self, MergeOptions, MergeReport};
use super::options::{Mode, ReembedOptions, SearchOptions, SyncOptions};
use super::prepare::{content_hash, prepare};
use super::report::{AddReport, EmbeddingReport, SyncReport};
use super::search::Explained;
use super::{reembed, search, sync};
use crate::chunk::{Chunker, TokenChunker};
use crate::error::{Error, Result};
use crate::index::Metric;
use crate::index::lexical::Language;
use crate::load::{self, Loader};
use crate::retriever::Retriever;
use crate::store::{Generation, Stats, StoredDocument, documents, meta, passages};

/// Documents that are divided before the first of them is stored.
const ADD_WINDOW: usize = 512;

/// A base of documents: stored, kept up to date with folders, and searched by words, by vectors, or both.
///
/// A handle is cheap to clone, and all clones, in any threads, share the base and its embedder. One process writes:
/// the first write takes a lock that lasts until the last handle is dropped. Any number of processes read, and see
/// what was written at their next query. A document is stored with all its chunks and vectors in one transaction, so
/// that a killed process loses at most the batch that it worked on.
///
/// Without an embedder a base can still be searched by words ([`Mode::Lexical`]); a base that never had one can be
/// filled too while its handle is set to that mode.
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::Document;
/// use ragtune_retrieve::{KnowledgeBase, Retriever};
///
/// let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
/// kb.add([Document::new("tea", "Green tea is steeped at 80 degrees."), Document::new("coffee", "Coffee is roasted.")])?;
/// let hits = kb.retrieve(&"How hot is green tea steeped?".into())?;
/// assert_eq!(hits[0].chunk.document_id, "tea");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct KnowledgeBase {
    base: Arc<Base>,
    chunker: Option<Arc<dyn Chunker>>,
    loaders: Arc<[Arc<dyn Loader>]>,
    metric: Option<Metric>,
    search: SearchOptions,
    /// How vectors are merged when it is due; `None` where that is left to the caller.
    auto_merge: Option<MergeOptions>,
    background: Arc<Background>,
}

impl KnowledgeBase {
    /// Opens the base in a folder, which is made where there is none.
    ///
    /// # Errors
    /// [`Error::ForeignStore`] when something else lies there, [`Error::NewerStore`], [`Error::Damaged`],
    /// [`Error::Io`], [`Error::Store`]. What lies there is then untouched.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Base::open(folder.as_ref()).map(Self::over)
    }

    /// A base that ends with its last handle.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn in_memory() -> Result<Self> {
        Base::in_memory().map(Self::over)
    }

    fn over(base: Base) -> Self {
        Self {
            base: Arc::new(base),
            chunker: None,
            loaders: load::defaults().into(),
            metric: None,
            search: SearchOptions::default(),
            auto_merge: Some(MergeOptions::default()),
            background: Arc::default(),
        }
    }

    /// Attaches the embedder, for all handles of this base.
    ///
    /// # Errors
    /// [`Error::EmbedderMismatch`] when the base's vectors come from another one, [`Error::NoVectors`] when it holds
    /// chunks without vectors.
    pub fn with_embedder(self, embedder: impl Embedder + 'static) -> Result<Self> {
        let (active, has_chunks) = self
            .base
            .store
            .read(|connection| Ok((Generation::active(connection)?, meta::has_chunks(connection)?)))?;
        match active {
            Some(active)
                if has_chunks && (active.embedder != embedder.id() || active.dim != embedder.dim()) =>
            {
                return Err(mismatch(&active, &embedder));
            }
            None if has_chunks => return Err(Error::NoVectors),
            _ => {}
        }
        self.base.set_embedder(Arc::new(embedder));
        Ok(self)
    }

    /// Divides documents by this chunker instead of by the embedder's tokens along the document's structure.
    ///
    /// Stored documents keep their chunks until they are added or synced again.
    pub fn with_chunker(mut self, chunker: impl Chunker + 'static) -> Self {
        self.chunker = Some(Arc::new(chunker));
        self
    }

    /// Reads each file by the first of these loaders that accepts it, instead of those of [`load::defaults`].
    pub fn with_loaders(mut self, loaders: impl IntoIterator<Item = Arc<dyn Loader>>) -> Self {
        self.loaders = loaders.into_iter().collect();
        self
    }

    /// Stems words of this language, for all handles of this base; the base remembers it.
    ///
    /// # Errors
    /// [`Error::Locked`] when it differs from the base's language and another process writes.
    pub fn with_language(self, language: Language) -> Result<Self> {
        self.base.set_language(language)?;
        Ok(self)
    }

    /// Compares vectors by this metric; cosine where none is named. It is fixed by the first document.
    ///
    /// # Errors
    /// [`Error::MetricMismatch`] when the base's vectors are compared by another one.
    pub fn with_metric(mut self, metric: Metric) -> Result<Self> {
        let (active, has_chunks) = self
            .base
            .store
            .read(|connection| Ok((Generation::active(connection)?, meta::has_chunks(connection)?)))?;
        if let Some(active) = active.filter(|_| has_chunks) {
            check_metric(&active, Some(metric))?;
        }
        self.metric = Some(metric);
        Ok(self)
    }

    /// Searches by these options.
    pub fn with_search(mut self, options: SearchOptions) -> Self {
        self.search = options;
        self
    }

    /// Merges vectors by these options, by itself and in the background, after a write of this handle that makes it worth
    /// it; [`MergeOptions::default`] where the caller says nothing. No write and no search waits for it. It ends with the
    /// last handle of the base, which leaves the base as it was: [`KnowledgeBase::finish_merging`] waits for it before.
    pub fn with_auto_merge(mut self, options: MergeOptions) -> Self {
        self.auto_merge = Some(options);
        self
    }

    /// Merges only when [`KnowledgeBase::merge`] is called.
    pub fn without_auto_merge(mut self) -> Self {
        self.auto_merge = None;
        self
    }

    /// How this handle searches.
    pub fn search_options(&self) -> &SearchOptions {
        &self.search
    }

    /// Stores documents, each in place of one of the same id.
    ///
    /// A document that is stored exactly so already, divided by the same chunker, costs nothing. Of an id that comes
    /// more than once the last document is stored, and the report names it.
    ///
    /// # Errors
    /// [`Error::NoEmbedder`], [`Error::Locked`], [`Error::StoreFull`], [`Error::IdOfSyncedFile`],
    /// [`Error::InvalidChunk`], and what chunker and embedder raise. Documents that came before may be stored then;
    /// adding all again goes on from there.
    pub fn add(&self, documents: impl IntoIterator<Item = Document>) -> Result<AddReport> {
        let cancel = Cancel::new();
        let mut report = AddReport::default();
        let mut seen = HashSet::new();
        let mut duplicates = HashSet::new();
        let mut documents = documents.into_iter();
        let mut ingest = Ingest::begin(&self.base, self.metric, self.is_lexical(), &cancel, &|_, _| {})?;
        let chunker = self.chunker()?;
        let chunker_id = chunker.id();
        loop {
            let mut window: Vec<Document> = documents.by_ref().take(ADD_WINDOW).collect();
            if window.is_empty() {
                break;
            }
            for document in &window {
                if !seen.insert(document.id.clone()) && duplicates.insert(document.id.clone()) {
                    report.duplicates.push(document.id.clone());
                }
            }
            let mut last = HashSet::new();
            window.reverse();
            window.retain(|document| last.insert(document.id.clone()));
            window.reverse();
            let stored = self.base.store.read(|connection| {
                let find = |document: &Document| StoredDocument::find(connection, &document.id);
                window.iter().map(find).collect::<rusqlite::Result<Vec<_>>>()
            })?;
            let mut changed = Vec::with_capacity(window.len());
            for (document, stored) in window.into_iter().zip(stored) {
                match stored {
                    Some(StoredDocument {
                        folder: Some(folder),
                        id,
                        ..
                    }) => return Err(Error::IdOfSyncedFile { id, folder }),
                    Some(old)
                        if old.chunker == chunker_id
                            && old.content_hash == content_hash(&document)?
                            && !duplicates.contains(&document.id) =>
                    {
                        report.unchanged += 1;
                    }
                    Some(_) => {
                        report.replaced += 1;
                        changed.push(document);
                    }
                    None => {
                        report.added += 1;
                        changed.push(document);
                    }
                }
            }
            let prepared: Vec<_> = changed
                .into_par_iter()
                .map(|document| prepare(document, None, chunker.as_ref()))
                .collect();
            for document in prepared {
                let document = document?;
                if document.chunks.is_empty() {
                    report.empty.push(document.document.id.clone());
                }
                ingest.push(document)?;
            }
        }
        report.embedding = ingest.finish()?;
        if report.embedding.embedded + report.embedding.reused >= BATCH_TEXTS {
            self.update_derived()?;
        }
        self.merge_if_due();
        Ok(report)
    }

    /// Deletes documents, and returns the ids that were not there.
    ///
    /// A file of a synced folder comes back with the next sync.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Store`].
    pub fn remove<I: Into<String>>(&self, ids: impl IntoIterator<Item = I>) -> Result<Vec<String>> {
        let ids: Vec<String> = ids.into_iter().map(Into::into).collect();
        self.base.lock.acquire()?;
        let unknown = self.base.store.write(|connection, seq| {
            let mut unknown = Vec::new();
            for id in ids {
                match StoredDocument::find(connection, &id)? {
                    Some(stored) => documents::delete(connection, seq, stored.key)?,
                    None => unknown.push(id),
                }
            }
            Ok(unknown)
        })?;
        self.merge_if_due();
        Ok(unknown)
    }

    /// Brings the base up to date with a folder: new and changed files are stored, deleted ones removed.
    ///
    /// Change is noticed by the content of a file and by the fingerprints of loader and chunker, never by its time. A
    /// text whose vector is known is not embedded again. A document's id, and its metadata value `path`, is the path
    /// below the folder with `/` between the parts; where a document of another folder, or one that was added, has
    /// that id, the folder's name stands before it. A file that cannot be read is a line of the report, and its
    /// stored version stays.
    ///
    /// Hidden files, links and what `.gitignore` files inside the folder name are left out; [`SyncOptions`] changes
    /// that. A path to a file is taken as a folder that holds this file only.
    ///
    /// # Errors
    /// As [`KnowledgeBase::add`]; [`Error::Io`] when the folder itself cannot be read.
    pub fn sync_folder(&self, folder: impl AsRef<Path>) -> Result<SyncReport> {
        self.sync_folder_with(folder, &SyncOptions::default())
    }

    /// As [`KnowledgeBase::sync_folder`], with options.
    ///
    /// # Errors
    /// As [`KnowledgeBase::sync_folder`]; [`ragtune_core::Error::Cancelled`] when asked to stop, and
    /// [`ragtune_core::Error::InvalidArgument`] for a pattern that cannot be understood.
    pub fn sync_folder_with(&self, folder: impl AsRef<Path>, options: &SyncOptions) -> Result<SyncReport> {
        let report = sync::sync(self, folder.as_ref(), options)?;
        self.merge_if_due();
        Ok(report)
    }

    /// Makes the vectors anew with another embedder, which all handles of this base use from then on.
    ///
    /// The old vectors serve until all new ones are stored. An interrupted call is continued by the next one with the
    /// same embedder. Documents may be added meanwhile.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::StoreFull`], and what the embedder raises; the old vectors then still serve.
    pub fn reembed(&self, embedder: impl Embedder + 'static) -> Result<EmbeddingReport> {
        self.reembed_with(embedder, &ReembedOptions::default())
    }

    /// As [`KnowledgeBase::reembed`], with options.
    ///
    /// # Errors
    /// As [`KnowledgeBase::reembed`]; [`ragtune_core::Error::Cancelled`] when asked to stop.
    pub fn reembed_with(
        &self,
        embedder: impl Embedder + 'static,
        options: &ReembedOptions,
    ) -> Result<EmbeddingReport> {
        let report = reembed::reembed(&self.base, Arc::new(embedder), options)?;
        self.merge_if_due();
        Ok(report)
    }

    /// A stored document.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Damaged`].
    pub fn document(&self, id: &str) -> Result<Option<Document>> {
        self.base.store.read(|connection| documents::load(connection, id))
    }

    /// The ids of all stored documents in their order.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn document_ids(&self) -> Result<Vec<String>> {
        self.base.store.read(|connection| documents::ids(connection))
    }

    /// The folders, or single files, that stored documents were synced from, in the order of their names: the absolute path,
    /// or the name that [`SyncOptions::with_name`] gave.
    ///
    /// A search goes over all of them; a base for each folder keeps them apart.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn folders(&self) -> Result<Vec<String>> {
        self.base.store.read(|connection| documents::folders(connection))
    }

    /// Numbers that describe the base.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn stats(&self) -> Result<Stats> {
        self.base.store.read(|connection| Stats::read(connection))
    }

    /// Looks through the whole base for damage: the database's own pages, every chunk against its text, every vector,
    /// and the indexes against the store.
    ///
    /// # Errors
    /// Whatever keeps the base from being read at all; what is wrong inside it stands in the report.
    pub fn check(&self) -> Result<CheckReport> {
        check::check(&self.base)
    }

    /// Answers a question as [`Retriever::retrieve`] does, and tells how the vectors were searched.
    ///
    /// # Errors
    /// As [`Retriever::retrieve`].
    pub fn explain(&self, query: &Query) -> Result<Explained> {
        search::retrieve(&self.base, &self.search, query)
    }

    /// Links the vectors that came since the last merge with the others, and leaves out those that are gone. Writes start it
    /// by themselves when it is due, unless [`KnowledgeBase::without_auto_merge`] says otherwise.
    ///
    /// Searches find everything at any time; merging makes them fast in a large base, and moves the vectors out of
    /// memory into a file that is mapped. From [`crate::PlanOptions::graph_from`] vectors on, as this handle's
    /// [`SearchOptions`] have it, they are linked to a graph. Searches and writes go on meanwhile. A merge that is
    /// stopped or killed leaves the base as it was.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`], [`ragtune_core::Error::Cancelled`].
    pub fn merge(&self, options: &MergeOptions) -> Result<MergeReport> {
        merge::merge(&self.base, options, &self.search.plan)
    }

    /// As [`KnowledgeBase::merge`], on a thread of its own; joining it gives the report.
    pub fn merge_in_background(&self, options: MergeOptions) -> std::thread::JoinHandle<Result<MergeReport>> {
        let base = self.clone();
        std::thread::spawn(move || base.merge(&options))
    }

    /// Waits for the merge that runs by itself, and tells what it did; `None` where none runs. A program that fills a base
    /// and ends calls it before it ends.
    ///
    /// # Errors
    /// As [`KnowledgeBase::merge`].
    pub fn finish_merging(&self) -> Result<Option<MergeReport>> {
        self.background.finish().transpose()
    }

    fn merge_if_due(&self) {
        if let Some(options) = &self.auto_merge {
            self.background
                .start_if_due(&self.base, options, &self.search.plan);
        }
    }

    /// Makes the indexes again from the store; that of vectors with the next [`KnowledgeBase::merge`].
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::LexicalIndex`].
    pub fn rebuild_indexes(&self) -> Result<()> {
        self.base.lock.acquire()?;
        merge::discard(&self.base)?;
        self.base.lexical.rebuild(&self.base.store)
    }

    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    pub(super) fn metric(&self) -> Option<Metric> {
        self.metric
    }

    pub(super) fn is_lexical(&self) -> bool {
        self.search.mode == Mode::Lexical
    }

    pub(super) fn loaders(&self) -> &[Arc<dyn Loader>] {
        &self.loaders
    }

    /// The chunker in use: the caller's, or the default one, which measures by the embedder's tokens.
    pub(super) fn chunker(&self) -> Result<Arc<dyn Chunker>> {
        match (&self.chunker, self.base.embedder()) {
            (Some(chunker), _) => Ok(Arc::clone(chunker)),
            (None, Some(embedder)) => Ok(Arc::new(TokenChunker::new(embedder))),
            (None, None) => Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "chunker",
                reason:
                    "the default one measures by an embedder's tokens, and none is attached; supply one by \
                         with_chunker"
                        .to_owned(),
            })),
        }
    }

    /// Brings the lexical index up to date, and forgets tombstones that nothing needs any more.
    pub(super) fn update_derived(&self) -> Result<()> {
        const KEPT_TOMBSTONES: usize = 10_000;
        let seq = self.base.store.read(|connection| meta::seq(connection))?;
        let lexical = self
            .base
            .lexical
            .current(&self.base.store, &self.base.lock, seq)?;
        let absorbed = i64::try_from(lexical.stamp()).unwrap_or_default();
        self.base
            .store
            .write_aside(|connection| documents::prune_tombstones(connection, absorbed, KEPT_TOMBSTONES))
    }
}

impl Retriever for KnowledgeBase {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        Ok(search::retrieve(&self.base, &self.search, query)?.hits)
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.base.embedder()
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        self.base
            .store
            .read(|connection| passages::text_of(connection, document_id, span))
    }
}

impl std::fmt::Debug for KnowledgeBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnowledgeBase")
            .field("store", &self.base.store.path())
            .field("search", &self.search)
            .finish_non_exhaustive()
    }
}
