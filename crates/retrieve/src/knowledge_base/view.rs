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
use crate::index::{Hashes, Segment, SlotMap, SlotSet, Snapshot, Unique, Walkers, accept};
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
    /// Finds equal vectors among those that are not linked.
    hashes: Arc<Hashes>,
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
        let (index, hashes) = match generation.as_ref().filter(|generation| generation.dim > 0) {
            Some(generation) => {
                let places: Vec<_> = chunks.iter().zip(before).collect();
                let (index, hashes) = index(connection, generation, &places, older, attached.as_deref())?;
                (Some(index), hashes)
            }
            None => (None, Arc::default()),
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
            hashes,
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

/// The vectors of chunks, each with its slot in an older view where that has it, and what finds equal ones among those that
/// are not linked.
fn index(
    connection: &Connection,
    generation: &Generation,
    chunks: &[(&ChunkKey, Option<u32>)],
    older: Option<&View>,
    attached: Option<&Attached>,
) -> Result<(Snapshot, Arc<Hashes>)> {
    let dim = generation.dim;
    let old = older.and_then(|older| Some((older.index.as_ref()?, &older.hashes)));
    let main = match (attached, old) {
        (Some(attached), _) => Arc::clone(attached.segment()),
        (None, Some((old, _))) if old.main().len() == 0 => Arc::clone(old.main()),
        (None, _) => Arc::new(Segment::new(generation.metric, dim, Vec::new())),
    };
    // Vectors that are not linked keep their nodes and codes from view to view, until most of them are gone.
    let grows = old.filter(|(old, _)| {
        let is_new = |slot: &u32| old.slots().node(*slot) as usize >= main.len();
        let alive = chunks.iter().filter_map(|(_, slot)| *slot).filter(is_new).count();
        Arc::ptr_eq(old.main(), &main) && alive * 2 >= old.delta().len()
    });
    let mut unique: Option<Unique> = None;
    let begin = || match grows.and_then(|(old, hashes)| Some((old.delta().rows.in_memory()?, hashes))) {
        Some((rows, hashes)) => Unique::over(dim, rows.to_vec(), Hashes::clone(hashes)),
        None => Unique::new(dim),
    };
    let (mut nodes, mut vector) = (Vec::with_capacity(chunks.len()), Vec::new());
    for (key, slot) in chunks {
        if let (Some((old, _)), Some(slot)) = (grows, slot) {
            nodes.push(old.slots().node(*slot));
            continue;
        }
        if let Some(node) = attached.and_then(|attached| attached.node(key.chunk)) {
            nodes.push(node);
            continue;
        }
        let unique = unique.get_or_insert_with(begin);
        // A vector in a file that is damaged is read from the store again.
        let row = slot.zip(old).and_then(|(slot, (old, _))| old.row(slot).ok());
        let node = match row {
            Some(row) => unique.insert(row),
            None => {
                vectors::read_of(connection, generation, key.chunk, &mut vector)?;
                accept(&mut vector, generation.metric, dim, || {
                    format!("the vector of chunk {}", key.chunk)
                })
                .map_err(|error| wrong(error.to_string()))?;
                unique.insert(&vector)
            }
        };
        nodes.push(main.len() as u32 + node);
    }
    let (delta, hashes) = match (unique, grows) {
        (None, Some((old, hashes))) => (Arc::clone(old.delta()), Arc::clone(hashes)),
        (unique, grows) => {
            let (data, hashes) = unique.unwrap_or_else(|| Unique::new(dim)).into_parts();
            let delta = match grows {
                Some((old, _)) => old.delta().grown(data),
                None => Segment::new(generation.metric, dim, data),
            };
            (Arc::new(delta), Arc::new(hashes))
        }
    };
    let slots = SlotMap::new(nodes, main.len() + delta.len());
    let walkers = old.map_or_else(
        || Arc::new(Walkers::default()),
        |(old, _)| Arc::clone(old.walkers()),
    );
    Ok((Snapshot::new(main, delta, slots, walkers), hashes))
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

#[cfg(test)]
mod tests {
    use ragtune_core::testing::HashingEmbedder;
    use ragtune_core::text::Document;

    use super::*;
    use crate::{KnowledgeBase, MergeOptions};

    fn index(kb: &KnowledgeBase) -> Snapshot {
        kb.base().view().unwrap().index.clone().unwrap()
    }

    fn tea(number: usize) -> Document {
        Document::new(format!("{number:03}"), format!("Tea of number {number}."))
    }

    #[test]
    fn newer_vectors_keep_their_codes_until_most_of_them_are_gone() {
        let kb = KnowledgeBase::in_memory().unwrap();
        let kb = kb
            .with_embedder(HashingEmbedder::new(64))
            .unwrap()
            .without_auto_merge();
        kb.add((0..20).map(tea)).unwrap();
        kb.merge(&MergeOptions::default().with_always(true)).unwrap();
        kb.add((100..110).map(tea)).unwrap();
        let first = index(&kb);
        assert_eq!((first.main().len(), first.delta().len()), (20, 10));
        // Its slots move, its nodes stay.
        kb.add([tea(50), tea(105)]).unwrap();
        let grown = index(&kb);
        assert_eq!(grown.delta().len(), 11);
        for node in 0..10 {
            assert_eq!(
                grown.delta().rows.row(node).unwrap(),
                first.delta().rows.row(node).unwrap()
            );
        }
        // What is removed leaves the very same vectors.
        kb.remove(["100", "101"]).unwrap();
        assert!(Arc::ptr_eq(index(&kb).delta(), grown.delta()));
        // A vector that comes again is the one that is there.
        kb.add([tea(100)]).unwrap();
        assert_eq!(index(&kb).delta().len(), 11);
        assert!(kb.check().unwrap().is_whole());
        kb.remove((101..109).map(|number| format!("{number:03}")))
            .unwrap();
        assert_eq!(index(&kb).delta().len(), 3);
        assert!(kb.check().unwrap().is_whole());
    }
}
