//! Which slots share a vector: equal vectors are kept once, as one node.

use std::collections::HashMap;

use super::vector_index::SlotSet;

/// No node.
pub(crate) const NO_NODE: u32 = u32::MAX;

/// The nodes of slots and the slots of nodes; a node without a slot was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// The node of each slot.
    nodes: Vec<u32>,
    /// Where the slots of each node begin in `slots`; one more at the end.
    starts: Vec<u32>,
    slots: Vec<u32>,
    has_dead: bool,
}

impl SlotMap {
    /// The map of slots with these nodes, of which there are `count`.
    pub(crate) fn new(nodes: Vec<u32>, count: usize) -> Self {
        let mut starts = vec![0u32; count + 1];
        for node in &nodes {
            starts[*node as usize + 1] += 1;
        }
        for node in 0..count {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut slots = vec![0; nodes.len()];
        for (slot, node) in nodes.iter().enumerate() {
            let place = &mut next[*node as usize];
            slots[*place as usize] = slot as u32;
            *place += 1;
        }
        let has_dead = starts.windows(2).any(|pair| pair[0] == pair[1]);
        Self {
            nodes,
            starts,
            slots,
            has_dead,
        }
    }

    /// Number of slots.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Number of nodes.
    pub(crate) fn nodes(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The node of each slot.
    pub(crate) fn as_nodes(&self) -> &[u32] {
        &self.nodes
    }

    /// Whether a node has no slot.
    pub(crate) fn has_dead(&self) -> bool {
        self.has_dead
    }

    /// The node of a slot.
    #[inline]
    pub(crate) fn node(&self, slot: u32) -> u32 {
        self.nodes.get(slot as usize).copied().unwrap_or(NO_NODE)
    }

    /// The slots of a node, in ascending order.
    #[inline]
    pub(crate) fn slots(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.slots[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    /// Whether a node has a slot, among these where given.
    #[inline]
    pub(crate) fn admits(&self, node: u32, allowed: Option<&SlotSet>) -> bool {
        let slots = self.slots(node);
        match allowed {
            None => !slots.is_empty(),
            Some(allowed) => slots.iter().any(|slot| allowed.contains(*slot)),
        }
    }
}

/// The node of a vector by its hash.
pub(crate) type Hashes = HashMap<u64, u32>;

/// Finds equal vectors, bit for bit.
#[derive(Default)]
pub(crate) struct Unique {
    dim: usize,
    by_hash: Hashes,
    data: Vec<f32>,
}

impl Unique {
    pub(crate) fn new(dim: usize) -> Self {
        Self {
            dim,
            ..Self::default()
        }
    }

    /// Goes on behind vectors that [`Unique::into_parts`] gave.
    pub(crate) fn over(dim: usize, data: Vec<f32>, by_hash: Hashes) -> Self {
        Self { dim, by_hash, data }
    }

    /// The node of a vector; the vector becomes a new node unless an equal one is there.
    pub(crate) fn insert(&mut self, vector: &[f32]) -> u32 {
        let node = (self.data.len() / self.dim) as u32;
        let found = *self.by_hash.entry(hash(vector)).or_insert(node);
        let kept = self
            .data
            .get(found as usize * self.dim..(found as usize + 1) * self.dim);
        if let Some(kept) = kept
            && kept.iter().zip(vector).all(|(a, b)| a.to_bits() == b.to_bits())
        {
            return found;
        }
        self.data.extend_from_slice(vector);
        node
    }

    /// Number of different vectors.
    pub(crate) fn len(&self) -> usize {
        self.data.len().checked_div(self.dim).unwrap_or(0)
    }

    /// The different vectors in the order of their nodes.
    pub(crate) fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// The different vectors, and what finds them.
    pub(crate) fn into_parts(self) -> (Vec<f32>, Hashes) {
        (self.data, self.by_hash)
    }
}

/// FNV-1a over words of 32 bits, in lanes; two vectors of the same hash are compared.
fn hash(vector: &[f32]) -> u64 {
    const LANES: usize = 8;
    let mix = |hash: u64, bits: u64| {
        let mixed = (hash ^ bits).wrapping_mul(0x0000_0100_0000_01b3);
        mixed ^ mixed >> 32
    };
    let mut lanes = [0xcbf2_9ce4_8422_2325u64; LANES];
    for part in vector.chunks(LANES) {
        for (lane, x) in lanes.iter_mut().zip(part) {
            *lane = mix(*lane, u64::from(x.to_bits()));
        }
    }
    lanes.into_iter().fold(vector.len() as u64, mix)
}
