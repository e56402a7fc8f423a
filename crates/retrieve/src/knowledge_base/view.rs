//! An immutable picture of the store that searches run on.
//!
//! Slots are in the order of the public chunk ids, so that ties break by id, and the same texts give the same hits
//! however they got into the base.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ragtune_core::text::Filter;
use rusqlite::{Connection, Result};

use crate::index::{ExactIndex, SlotSet};
use crate::store::meta::{self, Generation};
use crate::store::vectors::{from_bytes, wrong};
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
    /// Slots of all chunks, where the base has vectors.
    pub(super) index: Option<ExactIndex>,
    /// Slot by chunk.
    slots: HashMap<i64, u32>,
}

impl View {
    /// The store's present state, starting from an older view of it where one is at hand.
    pub(super) fn read(connection: &Connection, older: Option<&Self>) -> Result<Self> {
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
        let mut new = Vec::new();
        let mut fresh = generation.as_ref().map(|g| ExactIndex::empty(g.metric, g.dim));
        let mut vector = Vec::new();
        let id = generation.as_ref().map(|generation| generation.id);
        passages::each_since(connection, older.map_or(-1, |old| old.seq), id, |key, bytes| {
            if let Some(fresh) = &mut fresh {
                let bytes = bytes.ok_or_else(|| wrong(format!("chunk {} has no vector", key.chunk)))?;
                from_bytes(bytes, fresh.dim(), &mut vector)?;
                fresh.push(&vector).map_err(|error| wrong(error.to_string()))?;
            }
            new.push((key, new.len() as u32));
            Ok(())
        })?;
        for (key, _) in &new {
            if let std::collections::hash_map::Entry::Vacant(vacant) = documents.entry(key.document) {
                vacant.insert(Arc::new(passages::info(connection, key.document)?));
            }
        }
        let by_id = |a: &ChunkKey, b: &ChunkKey| compare(&documents, a, b);
        new.sort_by(|a, b| by_id(&a.0, &b.0));
        let total = kept.len() + new.len();
        let mut index = generation.as_ref().map(|g| ExactIndex::empty(g.metric, g.dim));
        if let Some(index) = &mut index {
            index.reserve(total);
        }
        let mut chunks = Vec::with_capacity(total);
        let (mut kept, mut new) = (kept.into_iter().peekable(), new.into_iter().peekable());
        loop {
            let from_kept = match (kept.peek(), new.peek()) {
                (Some(a), Some(b)) => by_id(&a.0, &b.0).is_le(),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let (next, source) = if from_kept {
                (kept.next(), older.and_then(|old| old.index.as_ref()))
            } else {
                (new.next(), fresh.as_ref())
            };
            if let Some((key, slot)) = next {
                chunks.push(key);
                if let (Some(index), Some(source)) = (&mut index, source) {
                    index.push_row(source, slot);
                }
            }
        }
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
