//! What all handles of one base share: the store, the right to write, the embedder, and what searches run on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ragtune_core::text::Embedder;

use super::attached::DerivedVectors;
use super::derived::DerivedLexical;
use super::view::View;
use crate::error::{Error, Result};
use crate::index::Metric;
use crate::index::lexical::Language;
use crate::store::{Generation, Store, WriterLock, meta};

/// Folder of the lexical index in the base's folder.
const LEXICAL_FOLDER: &str = "lexical";
/// Folder of the index of vectors in the base's folder.
const VECTORS_FOLDER: &str = "vectors";
/// Name of the base's language among the store's facts.
const LANGUAGE: &str = "language";

/// One open base.
pub(super) struct Base {
    /// `None` for a base in memory.
    pub(super) folder: Option<PathBuf>,
    pub(super) store: Store,
    pub(super) lexical: DerivedLexical,
    pub(super) vectors: DerivedVectors,
    /// Given up after the indexes are done with their files: fields are dropped in their order.
    pub(super) lock: WriterLock,
    /// The embedder in use, and during a change of embedder the next one too.
    embedders: RwLock<Vec<Arc<dyn Embedder>>>,
    view: RwLock<Option<Arc<View>>>,
    /// Held while a view is made, so that it is made once.
    viewing: Mutex<()>,
    /// Held by a sync and by a change of embedder, which last long and would do each other's work.
    pub(super) long_work: Mutex<()>,
}

/// A generation of vectors and the embedder that makes them.
pub(super) struct Space {
    pub(super) generation: Generation,
    pub(super) embedder: Arc<dyn Embedder>,
}

impl Base {
    /// Opens the base in a folder, made where there is none.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        prepare_folder(folder)?;
        check_remains(folder)?;
        let folder = fs::canonicalize(folder).map_err(|error| Error::io(folder, error))?;
        let store = Store::open(&folder)?;
        Self::over(Some(folder), store)
    }

    /// A base that ends with the value.
    pub(super) fn in_memory() -> Result<Self> {
        Self::over(None, Store::in_memory()?)
    }

    fn over(folder: Option<PathBuf>, store: Store) -> Result<Self> {
        let language: Option<String> = store.read(|connection| meta::get(connection, LANGUAGE))?;
        let language = match language {
            None => Language::default(),
            Some(name) => serde_json::from_str(&name).map_err(|_| Error::Damaged {
                path: store.path().to_owned(),
                reason: format!("unknown language {name}"),
            })?,
        };
        let lexical = folder.as_ref().map(|folder| folder.join(LEXICAL_FOLDER));
        Ok(Self {
            lock: WriterLock::new(folder.as_deref()),
            lexical: DerivedLexical::new(lexical, language),
            vectors: DerivedVectors::new(folder.as_ref().map(|folder| folder.join(VECTORS_FOLDER))),
            folder,
            store,
            embedders: RwLock::default(),
            view: RwLock::default(),
            viewing: Mutex::default(),
            long_work: Mutex::default(),
        })
    }

    /// Stems words of this language from now on.
    pub(super) fn set_language(&self, language: Language) -> Result<()> {
        if self.lexical.language() == language {
            return Ok(());
        }
        self.lock.acquire()?;
        let name = serde_json::to_string(&language)
            .map_err(|error| Error::Core(ragtune_core::Error::external("the language's encoder", error)))?;
        self.store
            .write_aside(|connection| meta::set(connection, LANGUAGE, &name))?;
        self.lexical.set_language(language);
        Ok(())
    }

    /// The embedder in use.
    pub(super) fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.embedders
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .first()
            .cloned()
    }

    /// Makes `embedder` the only one in use.
    pub(super) fn set_embedder(&self, embedder: Arc<dyn Embedder>) {
        *self.embedders.write().unwrap_or_else(PoisonError::into_inner) = vec![embedder];
    }

    /// Has `embedder` ready beside the one in use, for the moment when the base changes to it.
    pub(super) fn announce_embedder(&self, embedder: Arc<dyn Embedder>) {
        let mut embedders = self.embedders.write().unwrap_or_else(PoisonError::into_inner);
        embedders.retain(|known| known.id() != embedder.id());
        embedders.push(embedder);
    }

    /// The embedder that a generation's vectors come from.
    pub(super) fn embedder_of(
        &self,
        generation: &Generation,
        operation: &'static str,
    ) -> Result<Arc<dyn Embedder>> {
        let embedders = self.embedders.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |e: &&Arc<dyn Embedder>| e.id() == generation.embedder && e.dim() == generation.dim;
        match (embedders.iter().find(fits), embedders.first()) {
            (Some(embedder), _) => Ok(Arc::clone(embedder)),
            (None, Some(other)) => Err(mismatch(generation, other.as_ref())),
            (None, None) => Err(Error::NoEmbedder { operation }),
        }
    }

    /// Where new vectors go; `None` for a base that has and wants none. Takes the right to write.
    pub(super) fn space_for_writing(
        &self,
        metric: Option<Metric>,
        lexical_only: bool,
    ) -> Result<Option<Space>> {
        const OPERATION: &str = "adding documents";
        self.lock.acquire()?;
        let (active, has_chunks) = self
            .store
            .read(|connection| Ok((Generation::active(connection)?, meta::has_chunks(connection)?)))?;
        match (active, self.embedder()) {
            (Some(generation), _) if has_chunks => {
                check_metric(&generation, metric)?;
                let embedder = self.embedder_of(&generation, OPERATION)?;
                Ok(Some(Space { generation, embedder }))
            }
            (None, Some(_)) if has_chunks => Err(Error::NoVectors),
            (None, None) if lexical_only => Ok(None),
            (_, None) => Err(Error::NoEmbedder { operation: OPERATION }),
            (active, Some(embedder)) => {
                let metric = metric.unwrap_or_default();
                let fits = |g: &Generation| {
                    g.embedder == embedder.id() && g.dim == embedder.dim() && g.metric == metric
                };
                if let Some(generation) = active.filter(fits) {
                    return Ok(Some(Space { generation, embedder }));
                }
                let generation = self.store.write(|connection, _| {
                    let generation = Generation::create(connection, embedder.id(), embedder.dim(), metric)?;
                    generation.activate(connection)?;
                    Ok(generation)
                })?;
                Ok(Some(Space { generation, embedder }))
            }
        }
    }

    /// The store's present state.
    pub(super) fn view(&self) -> Result<Arc<View>> {
        let seq = self.store.read(|connection| meta::seq(connection))?;
        let current = || {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            view.as_ref().map(Arc::clone)
        };
        if let Some(view) = current().filter(|view| view.seq >= seq) {
            return Ok(view);
        }
        let _making = self.viewing.lock().unwrap_or_else(PoisonError::into_inner);
        let older = current();
        if let Some(view) = older.as_ref().filter(|view| view.seq >= seq) {
            return Ok(Arc::clone(view));
        }
        let view = Arc::new(self.read_view(older.as_deref())?);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&view));
        Ok(view)
    }

    /// The store's present state, starting from an older one where given.
    pub(super) fn read_view(&self, older: Option<&View>) -> Result<View> {
        self.store.read(|connection| {
            let attached = match Generation::active(connection)? {
                Some(generation) => self.vectors.current(connection, &generation)?,
                None => None,
            };
            View::read(connection, older, attached)
        })
    }

    /// Does without the index of vectors that a view found damaged.
    pub(super) fn refuse_vectors(&self, view: &View) {
        if let Some(attached) = &view.attached {
            self.vectors.refuse(attached.id());
        }
        self.forget_derived();
    }

    /// Makes the view anew beside the one that serves meanwhile, because what it is made from serves in another form.
    pub(super) fn renew_view(&self) {
        let _making = self.viewing.lock().unwrap_or_else(PoisonError::into_inner);
        let older = {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            view.as_ref().map(Arc::clone)
        };
        let renewed = match self.read_view(older.as_deref()) {
            Ok(view) => Some(Arc::new(view)),
            Err(error) => {
                tracing::warn!(%error, "the next search starts from the store alone");
                None
            }
        };
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = renewed;
    }

    /// Makes the next search start from the store alone.
    pub(super) fn forget_derived(&self) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The error for an embedder that does not fit a generation.
pub(super) fn mismatch(generation: &Generation, given: &dyn Embedder) -> Error {
    Error::EmbedderMismatch {
        built_with: generation.embedder.clone(),
        built_dim: generation.dim,
        given: given.id().to_owned(),
        given_dim: given.dim(),
    }
}

/// Whether a metric that the caller wants is the base's.
pub(super) fn check_metric(generation: &Generation, wanted: Option<Metric>) -> Result<()> {
    match wanted {
        Some(given) if given != generation.metric => Err(Error::MetricMismatch {
            built_with: generation.metric,
            given,
        }),
        _ => Ok(()),
    }
}

/// A database that lost all its bytes must not pass for one that never had any.
fn check_remains(folder: &Path) -> Result<()> {
    let path = folder.join(Store::FILE);
    let is_empty = fs::metadata(&path).map_or(true, |about| about.len() == 0);
    if is_empty && folder.join(LEXICAL_FOLDER).join("meta.json").exists() {
        return Err(Error::Damaged {
            path,
            reason: "it is missing or empty, while the index that was made from it is there".to_owned(),
        });
    }
    Ok(())
}

/// Makes the folder, or checks that an existing one is ours to use: empty, or with a base in it. Hidden files of the
/// system do not count.
fn prepare_folder(folder: &Path) -> Result<()> {
    let foreign = |found: String| Error::ForeignStore {
        path: folder.to_owned(),
        found,
    };
    match fs::metadata(folder) {
        Ok(about) if !about.is_dir() => return Err(foreign("a file; a base is a folder".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return fs::create_dir_all(folder).map_err(|error| Error::io(folder, error));
        }
        Err(error) => return Err(Error::io(folder, error)),
    }
    if folder.join(Store::FILE).exists() {
        return Ok(());
    }
    let entries = fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(folder, error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let ours = |name: &str| {
        name.starts_with('.')
            || name.starts_with(Store::FILE)
            || name == LEXICAL_FOLDER
            || name == VECTORS_FOLDER
            || name == WriterLock::FILE
    };
    match names.iter().find(|name| !ours(name)) {
        Some(name) => Err(foreign(format!(
            "a folder with other files in it, such as {name:?}"
        ))),
        None => Ok(()),
    }
}
