//! An immutable picture of the store that searches run on.
//!
//! Slots are in the order of the public chunk ids, so that ties break by id, and the same texts give the same hits
//! however they got into the base.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ragtune_core::text::Filter;
use rusqlite::{Connection, Result};

use super::attached::Attached;
use crate::index::{Segment, SlotMap, SlotSet, Snapshot, Unique, Walkers, accept};
use crate::store::meta::{self, Generation};
use crate::store::vectors::{self, wrong};
use crate::store::{ChunkKey, DocumentInfo, passages};

/// Ordinals below this have the same number of digits in a chunk's id.
const PADDED_ORDINALS: u32 = 1_000_000;

/// The public id of a chunk.
pub(super) fn chunk_id(document: &str, ordinal: u32) -> String {
    format!("{document}#{ordinal:06}")
}

/// One state of the store.
pub(super) struct View {
    pub(super) seq: i64,
    pub(super) generation: Option<Generation>,
    /// The chunk of each slot.
    pub(super) chunks: Vec<ChunkKey>,
    /// By document key.
    documents: HashMap<i64, Arc<DocumentInfo>>,
    /// The vectors of all chunks, where the base has them.
    pub(super) index: Option<Snapshot>,
    /// Whose vectors lie in a segment that was linked before.
    pub(super) attached: Option<Arc<Attached>>,
    /// Slot by chunk.
    slots: HashMap<i64, u32>,
}

impl View {
    /// The store's present state, starting from an older view of it where one is at hand. `attached` must be of this store
    /// and its serving generation.
    pub(super) fn read(
        connection: &Connection,
        older: Option<&Self>,
        attached: Option<Arc<Attached>>,
    ) -> Result<Self> {
        let seq = meta::seq(connection)?;
        let generation = Generation::active(connection)?;
        let pruned: i64 = meta::get(connection, "pruned")?.unwrap_or_default();
        let older = older.filter(|old| old.generation == generation && (pruned..=seq).contains(&old.seq));
        let mut documents = HashMap::new();
        let mut kept = Vec::new();
        if let Some(old) = older {
            let deleted: HashSet<i64> = passages::deleted_since(connection, old.seq)?
                .into_iter()
                .collect();
            for (slot, key) in old.chunks.iter().enumerate() {
                if !deleted.contains(&key.chunk) {
                    kept.push((*key, slot as u32));
                    if let Some(info) = old.documents.get(&key.document) {
                        documents.entry(key.document).or_insert_with(|| Arc::clone(info));
                    }
                }
            }
        }
        let mut new = passages::keys_since(connection, older.map_or(-1, |old| old.seq))?;
        for key in &new {
            if let std::collections::hash_map::Entry::Vacant(vacant) = documents.entry(key.document) {
                vacant.insert(Arc::new(passages::info(connection, key.document)?));
            }
        }
        let by_id = |a: &ChunkKey, b: &ChunkKey| compare(&documents, a, b);
        new.sort_by(by_id);
        let mut chunks = Vec::with_capacity(kept.len() + new.len());
        let mut before = Vec::with_capacity(kept.len() + new.len());
        let (mut kept, mut new) = (kept.into_iter().peekable(), new.into_iter().peekable());
        loop {
            let from_kept = match (kept.peek(), new.peek()) {
                (Some((a, _)), Some(b)) => by_id(a, b).is_le(),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let next = match from_kept {
                true => kept.next().map(|(key, slot)| (key, Some(slot))),
                false => new.next().map(|key| (key, None)),
            };
            chunks.extend(next.map(|(key, _)| key));
            before.extend(next.map(|(_, slot)| slot));
        }
        let index = match generation.as_ref().filter(|generation| generation.dim > 0) {
            Some(generation) => {
                let places = chunks.iter().zip(before);
                let older = older.and_then(|older| older.index.as_ref());
                Some(index(connection, generation, places, older, attached.as_deref())?)
            }
            None => None,
        };
        let slots = chunks
            .iter()
            .enumerate()
            .map(|(slot, key)| (key.chunk, slot as u32))
            .collect();
        Ok(Self {
            seq,
            generation,
            chunks,
            documents,
            index,
            attached,
            slots,
        })
    }

    /// The slots of documents that meet the condition.
    pub(super) fn allowed(&self, filter: &Filter) -> SlotSet {
        let mut verdicts: HashMap<i64, bool> = HashMap::new();
        let mut verdict = |document: i64| {
            *verdicts.entry(document).or_insert_with(|| {
                self.documents
                    .get(&document)
                    .is_some_and(|info| filter.matches(&info.metadata))
            })
        };
        let slots = self.chunks.iter().enumerate();
        slots
            .filter(|(_, key)| verdict(key.document))
            .map(|(slot, _)| slot as u32)
            .collect()
    }

    /// The slot of a chunk.
    pub(super) fn slot(&self, chunk: i64) -> Option<u32> {
        self.slots.get(&chunk).copied()
    }

    /// The document of a slot.
    pub(super) fn document(&self, slot: u32) -> Option<&Arc<DocumentInfo>> {
        self.documents.get(&self.chunks.get(slot as usize)?.document)
    }
}

/// The vectors of chunks, each with its slot in an older index where that has it.
fn index<'a>(
    connection: &Connection,
    generation: &Generation,
    chunks: impl Iterator<Item = (&'a ChunkKey, Option<u32>)>,
    older: Option<&Snapshot>,
    attached: Option<&Attached>,
) -> Result<Snapshot> {
    let empty = || Arc::new(Segment::new(generation.metric, generation.dim, Vec::new()));
    let main = attached.map_or_else(empty, |attached| Arc::clone(attached.segment()));
    let mut unique = Unique::new(generation.dim);
    let (mut nodes, mut vector) = (Vec::new(), Vec::new());
    for (key, slot) in chunks {
        if let Some(node) = attached.and_then(|attached| attached.node(key.chunk)) {
            nodes.push(node);
            continue;
        }
        // A vector in a file that is damaged is read from the store again.
        let row = slot.zip(older).and_then(|(slot, older)| older.row(slot).ok());
        let node = match row {
            Some(row) => unique.insert(row),
            None => {
                vectors::read_of(connection, generation, key.chunk, &mut vector)?;
                accept(&mut vector, generation.metric, generation.dim, || {
                    format!("the vector of chunk {}", key.chunk)
                })
                .map_err(|error| wrong(error.to_string()))?;
                unique.insert(&vector)
            }
        };
        nodes.push(main.len() as u32 + node);
    }
    let slots = SlotMap::new(nodes, main.len() + unique.len());
    let delta = Segment::new(generation.metric, generation.dim, unique.into_data());
    let walkers = older.map_or_else(
        || Arc::new(Walkers::default()),
        |older| Arc::clone(older.walkers()),
    );
    Ok(Snapshot::new(main, Arc::new(delta), slots, walkers))
}

fn compare(documents: &HashMap<i64, Arc<DocumentInfo>>, a: &ChunkKey, b: &ChunkKey) -> Ordering {
    if a.document == b.document && a.ordinal.max(b.ordinal) < PADDED_ORDINALS {
        return a.ordinal.cmp(&b.ordinal);
    }
    let id = |key: &ChunkKey| documents.get(&key.document).map_or("", |info| info.id.as_str());
    let (a_id, b_id) = (id(a), id(b));
    // The ids themselves decide unless one begins with the other, where the separator comes into play.
    if a_id.starts_with(b_id) || b_id.starts_with(a_id) {
        return chunk_id(a_id, a.ordinal).cmp(&chunk_id(b_id, b.ordinal));
    }
    a_id.cmp(b_id)
}
