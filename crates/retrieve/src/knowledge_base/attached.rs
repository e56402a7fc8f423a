//! The linked vectors of a base as something derived: taken from a file that the store names and that fits it, never
//! trusted over it.
//!
//! The store names the file by a hash of its content. So a file of another base, one that a copied-back database knows
//! nothing of, and one that was changed are told from the right one. Chunks keep their numbers and vectors as long as
//! they live, and numbers are never used again; so of a file that was the right one at some time, everything that it says
//! of chunks that still live is right.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::index::{Keys, Segment, Stamp, open_file, save_file};
use crate::store::{Generation, meta};

/// Name of the file's id among the store's facts.
pub(super) const FACT: &str = "vectors";
/// How the files' names end.
const EXTENSION: &str = ".index";

/// Linked vectors, and whose they are.
#[derive(Debug)]
pub(super) struct Attached {
    id: String,
    /// The store's generation of vectors.
    generation: i64,
    segment: Arc<Segment>,
    /// Numbers of chunks, ascending, and the node of each.
    chunks: Vec<i64>,
    nodes: Vec<u32>,
}

impl Attached {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The node of a chunk.
    pub(super) fn node(&self, chunk: i64) -> Option<u32> {
        let at = self.chunks.binary_search(&chunk).ok()?;
        self.nodes.get(at).copied()
    }
}

/// The linked vectors of a base, and the folder of their file.
pub(super) struct DerivedVectors {
    /// `None` for a base in memory.
    folder: Option<PathBuf>,
    state: Mutex<State>,
    /// Held while vectors are merged.
    pub(super) merging: Mutex<()>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Attached>>,
    /// Ids of files that could not be used.
    refused: HashSet<String>,
}

impl DerivedVectors {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            state: Mutex::default(),
            merging: Mutex::default(),
        }
    }

    /// What the store names, if it is there and fits.
    pub(super) fn current(
        &self,
        connection: &Connection,
        generation: &Generation,
    ) -> rusqlite::Result<Option<Arc<Attached>>> {
        let Some(id) = meta::get::<String>(connection, FACT)? else {
            return Ok(None);
        };
        let mut state = self.lock();
        let is_wanted = |current: &&Arc<Attached>| current.id == id && current.generation == generation.id;
        if let Some(current) = state.current.as_ref().filter(is_wanted) {
            return Ok(Some(Arc::clone(current)));
        }
        let Some(folder) = self.folder.as_ref().filter(|_| !state.refused.contains(&id)) else {
            return Ok(None);
        };
        match open(&path(folder, &id), &id, generation, meta::seq(connection)?) {
            Ok(attached) => {
                let attached = Arc::new(attached);
                state.current = Some(Arc::clone(&attached));
                Ok(Some(attached))
            }
            Err(error) => {
                tracing::warn!(%error, "the vectors are read from the store instead; merge them to have an index again");
                state.refused.insert(id);
                Ok(None)
            }
        }
    }

    /// Uses a file no more.
    pub(super) fn refuse(&self, id: &str) {
        let mut state = self.lock();
        state.refused.insert(id.to_owned());
        state.current.take_if(|current| current.id == id);
    }

    /// Whether a file was found unusable.
    pub(super) fn is_refused(&self, id: &str) -> bool {
        self.lock().refused.contains(id)
    }

    /// Keeps linked vectors, on the disk where the base has one; the store does not name them yet. `chunks` are in
    /// ascending order.
    pub(super) fn keep(
        &self,
        segment: Segment,
        chunks: Vec<i64>,
        nodes: Vec<u32>,
        generation: &Generation,
        seq: i64,
    ) -> Result<Attached> {
        let Some(folder) = &self.folder else {
            return Ok(Attached {
                id: format!("memory-{}-{seq}", generation.id),
                generation: generation.id,
                segment: Arc::new(segment),
                chunks,
                nodes,
            });
        };
        fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        let keys = Keys {
            keys: &chunks,
            nodes: &nodes,
            stamp: &Stamp {
                seq,
                generation: generation.id,
                source: source(generation),
            },
        };
        let id = save_file(folder, &segment, &keys, |id| path(folder, id))?;
        // From now on the rows are on the disk only.
        drop(segment);
        open(&path(folder, &id), &id, generation, seq)
    }

    /// Makes these the linked vectors, which the store names now, and removes what is left of others.
    pub(super) fn attach(&self, attached: Attached) {
        let mut state = self.lock();
        state.refused.remove(&attached.id);
        if let Some(folder) = &self.folder {
            remove_others(folder, &attached.id);
        }
        state.current = Some(Arc::new(attached));
    }

    /// Has none any more, after the store names none.
    pub(super) fn clear(&self) {
        *self.lock() = State::default();
        if let Some(folder) = &self.folder {
            remove_others(folder, "");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}{EXTENSION}"))
}

/// Hash of what the vectors of a generation come from.
fn source(generation: &Generation) -> [u8; 32] {
    let about = format!(
        "{:?} {} {}",
        generation.metric, generation.dim, generation.embedder
    );
    *blake3::hash(about.as_bytes()).as_bytes()
}

fn open(path: &Path, id: &str, generation: &Generation, seq: i64) -> Result<Attached> {
    let stored = open_file(path)?;
    let codes = &stored.segment.codes;
    let is_ours = stored.id == id
        && stored.stamp.generation == generation.id
        && stored.stamp.source == source(generation)
        && stored.stamp.seq <= seq
        && (codes.metric, codes.dim) == (generation.metric, generation.dim)
        && stored.keys.is_sorted();
    match is_ours {
        true => Ok(Attached {
            id: stored.id,
            generation: generation.id,
            segment: Arc::new(stored.segment),
            chunks: stored.keys,
            nodes: stored.key_nodes,
        }),
        false => Err(Error::DamagedIndex {
            path: path.to_owned(),
            reason: "it was made from other vectors than those that serve".to_owned(),
        }),
    }
}

/// Removes all files of indexes but one. What cannot be removed takes space until the next time.
fn remove_others(folder: &Path, id: &str) {
    let kept = format!("{id}{EXTENSION}");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = name.ends_with(EXTENSION) || name.ends_with(crate::index::STAGED);
        if is_ours && name != kept {
            let _ = fs::remove_file(entry.path());
        }
    }
}
