//! Building the graph: batch by batch, so that the result depends on the data and the options and not on the threads.
//!
//! The nodes of a batch look for their neighbours in the graph as it was before the batch, and among each other by
//! comparing all of them; both in parallel, because nothing is written meanwhile. Then their lists are written, and the
//! links back to them, target by target. A list may grow somewhat beyond its limit before the best of it are selected
//! again, because selecting costs as much as a search; at the end all lists are within it.

use std::ops::Range;

use rayon::prelude::*;

use super::layers::{Layers, NONE};
use super::options::{GraphEvent, GraphOptions};
use super::repair::connect;
use super::select::Selector;
use super::walk::{Key, Walker, key, node_of};
use crate::error::Result;
use crate::index::codes::{CodedQuery, Codes, Line};

/// Nodes of a batch at most.
const MOST_BATCH: usize = 512;
/// A batch is at most this share of the nodes before it.
const BATCH_SHARE: usize = 8;
/// Links that a list may have too many, as a share of its limit.
const SLACK_SHARE: usize = 4;
/// The highest level of all.
pub(crate) const MOST_LEVEL: u8 = 15;

impl Layers {
    /// Links all vectors of a table; a graph of the first of them saves their share of the work.
    ///
    /// # Errors
    /// [`ragtune_core::Error::Cancelled`].
    pub(crate) fn build(codes: &Codes, older: Option<Self>, options: &GraphOptions) -> Result<Self> {
        let older = older.filter(|older| older.m == options.m);
        let mut layers = link(codes, older.unwrap_or_else(|| empty(options.m)), options)?;
        connect(&mut layers, codes);
        Ok(layers)
    }
}

fn link(codes: &Codes, layers: Layers, options: &GraphOptions) -> Result<Layers> {
    let (first, total) = (layers.len(), codes.len());
    let mut layers = widen(layers, total, options.seed);
    let mut start = first;
    if start == 0 && total > 0 {
        start = 1;
    }
    while start < total {
        options.cancel.check()?;
        let size = (start / BATCH_SHARE).clamp(1, MOST_BATCH).min(total - start);
        insert(&mut layers, codes, start..start + size, options.ef_construction);
        start += size;
        options.tell(GraphEvent::Linked { done: start, total });
    }
    Ok(tighten(layers, codes))
}

fn empty(m: usize) -> Layers {
    Layers {
        m,
        levels: Vec::new(),
        base: Vec::new(),
        width: 2 * m,
        upper_at: Vec::new(),
        upper: Vec::new(),
        upper_width: m,
        entry: 0,
        orphans: Vec::new(),
    }
}

/// The highest level of a node: geometrically distributed, `1 / ln m` in the paper's terms.
///
/// The number is drawn by SplitMix64 (Steele, Lea and Flood 2014, figure 16) from seed and node.
fn level_of(node: u64, m: usize, seed: u64) -> u8 {
    let z = seed.wrapping_add((node + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let uniform = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
    (-(1.0 - uniform).ln() / (m as f64).ln()).min(f64::from(MOST_LEVEL)) as u8
}

/// The graph with room for more nodes and longer lists.
fn widen(layers: Layers, total: usize, seed: u64) -> Layers {
    let first = layers.len();
    let mut wide = empty(layers.m);
    wide.width = wide.cap(0) + wide.cap(0) / SLACK_SHARE;
    wide.upper_width = wide.cap(1) + wide.cap(1) / SLACK_SHARE;
    wide.entry = layers.entry;
    wide.levels = layers.levels.clone();
    wide.levels
        .extend((first..total).map(|node| level_of(node as u64, wide.m, seed)));
    let mut blocks = 0;
    for level in &wide.levels {
        wide.upper_at.push(blocks);
        blocks += u32::from(*level) * wide.upper_width as u32;
    }
    wide.base = vec![NONE; total * wide.width];
    wide.upper = vec![NONE; blocks as usize];
    for node in 0..first as u32 {
        for level in 0..=usize::from(layers.levels[node as usize]) {
            wide.set(node, level, layers.links(node, level));
        }
    }
    wide
}

/// The graph with no list beyond its limit.
fn tighten(wide: Layers, codes: &Codes) -> Layers {
    let mut layers = empty(wide.m);
    layers.entry = wide.entry;
    let lists: Vec<Vec<Vec<u32>>> = (0..wide.len() as u32)
        .into_par_iter()
        .map_init(
            || (codes.blank(), Selector::new(codes)),
            |(query, selector), node| {
                let levels = 0..=usize::from(wide.levels[node as usize]);
                let list = |level| {
                    let links = wide.links(node, level);
                    match links.len() > wide.cap(level) {
                        true => shrink(codes, query, selector, node, links, wide.cap(level)),
                        false => links.to_vec(),
                    }
                };
                levels.map(list).collect()
            },
        )
        .collect();
    layers.levels = wide.levels;
    let mut blocks = 0;
    for level in &layers.levels {
        layers.upper_at.push(blocks);
        blocks += u32::from(*level) * layers.upper_width as u32;
    }
    layers.base = vec![NONE; layers.levels.len() * layers.width];
    layers.upper = vec![NONE; blocks as usize];
    for (node, lists) in lists.into_iter().enumerate() {
        for (level, list) in lists.into_iter().enumerate() {
            layers.set(node as u32, level, &list);
        }
    }
    layers
}

/// What a thread needs to link nodes.
struct Linker {
    walker: Walker,
    query: CodedQuery,
    selector: Selector,
    sums: Vec<i32>,
    beside: Vec<Key>,
    found: Vec<Key>,
}

impl Linker {
    fn new(codes: &Codes) -> Self {
        Self {
            walker: Walker::default(),
            query: codes.blank(),
            selector: Selector::new(codes),
            sums: Vec::new(),
            beside: Vec::new(),
            found: Vec::new(),
        }
    }

    /// The links of a new node on each of its levels.
    fn links(
        &mut self,
        layers: &Layers,
        codes: &Codes,
        batch: &Range<usize>,
        node: u32,
        ef: usize,
    ) -> Vec<Vec<u32>> {
        codes.member(node, &mut self.query);
        let (query, graph) = (&self.query, (layers, codes));
        let per_row = codes.per_row();
        self.sums.clear();
        self.sums.resize(batch.len(), 0);
        let rows: &[Line] = &codes.lines[batch.start * per_row..batch.end * per_row];
        codes
            .instructions
            .scan(rows, per_row, &query.lines, &[query.sum], &mut self.sums);
        self.beside.clear();
        for (other, sum) in batch.clone().zip(&self.sums) {
            if other as u32 != node {
                let other = other as u32;
                self.beside.push(key(codes.similarity(query, other, *sum), other));
            }
        }
        self.beside.sort_unstable();
        let (top, own) = (layers.top(), usize::from(layers.levels[node as usize]));
        let mut starts = vec![layers.entry];
        if top > own {
            starts = vec![self.walker.descend(graph, query, layers.entry, top, own + 1)];
        }
        let mut lists = vec![Vec::new(); own + 1];
        for level in (0..=own).rev() {
            self.found.clear();
            if level <= top {
                self.found
                    .extend(self.walker.search(graph, query, &starts, level, ef));
                starts = self.found.iter().map(|key| node_of(*key)).collect();
            }
            let is_here = |key: &&Key| usize::from(layers.levels[node_of(**key) as usize]) >= level;
            let worst = if self.found.len() >= ef {
                self.found.last().copied()
            } else {
                None
            };
            let better = self
                .beside
                .iter()
                .take_while(|key| worst.is_none_or(|worst| **key < worst));
            let better: Vec<Key> = better.filter(is_here).copied().collect();
            self.found.extend(better);
            self.found.sort_unstable();
            self.found.truncate(ef);
            lists[level] = self.selector.select(codes, &self.found, layers.m);
        }
        lists
    }
}

/// Links the nodes of a batch.
fn insert(layers: &mut Layers, codes: &Codes, batch: Range<usize>, ef: usize) {
    let frozen = &*layers;
    let chosen: Vec<Vec<Vec<u32>>> = batch
        .clone()
        .into_par_iter()
        .map_init(
            || Linker::new(codes),
            |linker, node| linker.links(frozen, codes, &batch, node as u32, ef),
        )
        .collect();
    let mut back: Vec<(u8, u32, u32)> = Vec::new();
    for (node, lists) in batch.clone().zip(&chosen) {
        for (level, list) in lists.iter().enumerate() {
            layers.set(node as u32, level, list);
            back.extend(list.iter().map(|target| (level as u8, *target, node as u32)));
        }
    }
    back.sort_unstable();
    let frozen = &*layers;
    let groups: Vec<&[(u8, u32, u32)]> = back.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).collect();
    let lists: Vec<Vec<u32>> = groups
        .par_iter()
        .map_init(
            || (codes.blank(), Selector::new(codes)),
            |(query, selector), group| {
                let (level, target) = (usize::from(group[0].0), group[0].1);
                let mut list = frozen.links(target, level).to_vec();
                for (_, _, source) in *group {
                    if !list.contains(source) {
                        list.push(*source);
                    }
                }
                if list.len() <= frozen.list(target, level).len() {
                    return list;
                }
                shrink(codes, query, selector, target, &list, frozen.cap(level))
            },
        )
        .collect();
    let places: Vec<(u32, usize)> = groups
        .iter()
        .map(|group| (group[0].1, usize::from(group[0].0)))
        .collect();
    for ((target, level), list) in places.into_iter().zip(lists) {
        layers.set(target, level, &list);
    }
    for node in batch {
        if usize::from(layers.levels[node]) > layers.top() {
            layers.entry = node as u32;
        }
    }
}

/// The best of a list that is too long.
fn shrink(
    codes: &Codes,
    query: &mut CodedQuery,
    selector: &mut Selector,
    node: u32,
    links: &[u32],
    limit: usize,
) -> Vec<u32> {
    codes.member(node, query);
    let mut sums = Vec::new();
    let similarities = codes.similarities(query, links, &mut sums);
    let mut keys: Vec<Key> = links
        .iter()
        .zip(similarities)
        .map(|(link, s)| key(s, *link))
        .collect();
    keys.sort_unstable();
    selector.select(codes, &keys, limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Metric;

    fn table(count: usize, dim: usize) -> Codes {
        let mut state = 0x2545_f491u32;
        let mut component = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let vectors: Vec<f32> = (0..count * dim).map(|_| component()).collect();
        let mut codes = Codes::new(Metric::L2, dim);
        codes.extend(&vectors);
        codes
    }

    #[test]
    fn the_graph_does_not_depend_on_the_threads() {
        let codes = table(2500, 12);
        let options = GraphOptions::default().with_ef_construction(40).unwrap();
        let build = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| Layers::build(&codes, None, &options).unwrap())
        };
        let alone = build(1);
        assert_eq!(build(2), alone);
        assert_eq!(build(7), alone);
        assert_ne!(
            Layers::build(&codes, None, &options.clone().with_seed(1)).unwrap(),
            alone
        );
    }

    #[test]
    fn a_graph_grows_and_stays_within_its_limits() {
        let (small, whole) = (table(1000, 9), table(1600, 9));
        let options = GraphOptions::default().with_m(5).unwrap();
        let first = Layers::build(&small, None, &options).unwrap();
        let grown = Layers::build(&whole, Some(first), &options).unwrap();
        for node in 0..1600 {
            for level in 0..=usize::from(grown.levels[node as usize]) {
                let links = grown.links(node, level);
                assert!(links.len() <= grown.cap(level) && !links.contains(&node));
                assert!(
                    links
                        .iter()
                        .all(|link| usize::from(grown.levels[*link as usize]) >= level)
                );
            }
        }
        assert_eq!(grown.len(), 1600);
        let mut walker = Walker::default();
        let mut query = whole.blank();
        whole.member(1500, &mut query);
        let found = walker.search((&grown, &whole), &query, &[grown.entry], 0, 1600);
        assert_eq!(found.len() + grown.orphans.len(), 1600);
        assert_eq!(node_of(found[0]), 1500);
    }
}
