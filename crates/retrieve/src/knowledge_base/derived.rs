//! The lexical index as something derived: brought up to date from the store before it is searched, never trusted
//! over it.
//!
//! On disk it is written only under the right to write to the base. A process that cannot have that, because another
//! one writes, and finds the index on disk behind the store, makes one of its own in memory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::error::Result;
use crate::index::lexical::{Language, LexicalEntry, LexicalIndex, LexicalOptions};
use crate::store::sums::heading_text;
use crate::store::{Passage, Store, WriterLock, meta, passages};

/// Chunks that are read from the store at once.
const PAGE: usize = 256;

/// The lexical index of a base.
pub(super) struct DerivedLexical {
    dir: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    language: Language,
    /// The index in the base's folder; for a base in memory the only one.
    main: Option<Arc<LexicalIndex>>,
    /// Stands in for the main one while that lags and cannot be written.
    own: Option<Arc<LexicalIndex>>,
}

impl DerivedLexical {
    pub(super) fn new(dir: Option<PathBuf>, language: Language) -> Self {
        let state = State {
            language,
            main: None,
            own: None,
        };
        Self {
            dir,
            state: Mutex::new(state),
        }
    }

    pub(super) fn language(&self) -> Language {
        self.lock().language
    }

    /// Changes the language; the index is made again at its next use.
    pub(super) fn set_language(&self, language: Language) {
        *self.lock() = State {
            language,
            main: None,
            own: None,
        };
    }

    /// The index with everything that the store held at transaction `seq`.
    pub(super) fn current(&self, store: &Store, lock: &WriterLock, seq: i64) -> Result<Arc<LexicalIndex>> {
        let mut state = self.lock();
        let options = LexicalOptions::default().with_language(state.language);
        let main = match &state.main {
            Some(main) => Arc::clone(main),
            None => {
                let main = Arc::new(LexicalIndex::open(self.dir.as_deref(), &options)?);
                state.main = Some(Arc::clone(&main));
                main
            }
        };
        if stamp(&main) == seq {
            return Ok(main);
        }
        let written = if lock.is_held() {
            catch_up(store, &main)?;
            true
        } else {
            let update = || {
                if main.refresh()? as i64 != seq {
                    // Written through a handle that ends here, because an index that has written once keeps others
                    // from writing.
                    catch_up(store, &LexicalIndex::open(self.dir.as_deref(), &options)?)?;
                    main.refresh()?;
                }
                Ok(())
            };
            lock.while_free(update)?.is_some()
        };
        if written {
            state.own = None;
            return Ok(main);
        }
        // A folder that may not be written does not even let the index be opened, which takes a lock.
        match main.refresh() {
            Ok(stamp) if i64::try_from(stamp) == Ok(seq) => {
                state.own = None;
                return Ok(main);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the lexical index is made again in memory"),
        }
        let own = match state.own.take() {
            Some(own) => own,
            None => Arc::new(LexicalIndex::open(None, &options)?),
        };
        if stamp(&own) != seq {
            catch_up(store, &own)?;
        }
        state.own = Some(Arc::clone(&own));
        Ok(own)
    }

    /// Makes the index again from the store alone. The caller holds the right to write.
    pub(super) fn rebuild(&self, store: &Store) -> Result<()> {
        let mut state = self.lock();
        let options = LexicalOptions::default().with_language(state.language);
        let main = match state.main.take() {
            Some(main) => main,
            None => Arc::new(LexicalIndex::open(self.dir.as_deref(), &options)?),
        };
        main.clear()?;
        catch_up(store, &main)?;
        state.main = Some(main);
        state.own = None;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(index: &LexicalIndex) -> i64 {
    i64::try_from(index.stamp()).unwrap_or(i64::MAX)
}

/// Applies to the index what the store did since the index's stamp.
fn catch_up(store: &Store, index: &LexicalIndex) -> Result<()> {
    store.read(|connection| Ok(catch_up_on(connection, store, index)))?
}

fn catch_up_on(connection: &Connection, store: &Store, index: &LexicalIndex) -> Result<()> {
    let failed = |error| store.error(error);
    let seq = meta::seq(connection).map_err(failed)?;
    let pruned: i64 = meta::get(connection, "pruned")
        .map_err(failed)?
        .unwrap_or_default();
    let mut from = stamp(index);
    if from == seq {
        return Ok(());
    }
    if from > seq || from < pruned {
        // The index is of another store, or the tombstones that it needs are gone.
        if !index.is_empty() {
            index.clear()?;
        }
        from = -1;
    }
    let removed = match from {
        -1 => Vec::new(),
        from => passages::deleted_since(connection, from).map_err(failed)?,
    };
    let mut page = Vec::new().into_iter();
    let first = Passage::first_since(connection, from).map_err(failed)?;
    let mut after = first.unwrap_or(1) - 1;
    let mut added = std::iter::from_fn(|| {
        if page.len() == 0 {
            match Passage::since(connection, from, after, PAGE) {
                Ok(next) => page = next.into_iter(),
                Err(error) => return Some(Err(store.error(error))),
            }
        }
        let passage: Passage = page.next()?;
        after = passage.key.chunk;
        Some(Ok(LexicalEntry {
            chunk: passage.key.chunk,
            heading: heading_text(&passage.locator.headings),
            text: passage.text,
        }))
    });
    index.update(&removed, &mut added, u64::try_from(seq).unwrap_or_default())
}
