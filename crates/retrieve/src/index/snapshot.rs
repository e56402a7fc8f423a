//! One unchanging state of an index: linked vectors, newer ones beside them, and which slots they serve.

use std::sync::{Arc, Mutex, PoisonError};

use ragtune_core::text::Plan;
use rayon::prelude::*;

use super::best::Best;
use super::graph::Walker;
use super::plan::{Found, PlanOptions, are_few, ef_for};
use super::query::Prepared;
use super::scan::{QUERIES, Sieve, sift, sift_slots};
use super::segment::{Graph, Segment};
use super::slots::SlotMap;
use super::vector_index::{Neighbor, SlotSet};
use crate::error::{Error, Result};

/// Lines of codes above which a scan is divided among threads.
const PARALLEL_LINES: usize = 1 << 19;
/// Nodes that one task scans.
const PART: usize = 1 << 14;

/// Memory of walks that are not under way.
#[derive(Default)]
pub(crate) struct Walkers(Mutex<Vec<Walker>>);

impl Walkers {
    fn take(&self) -> Walker {
        let mut walkers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        walkers.pop().unwrap_or_default()
    }

    fn put(&self, walker: Walker) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(walker);
    }
}

/// What searches run on.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// Nodes from 0.
    main: Arc<Segment>,
    /// The nodes behind those of `main`; has no graph.
    delta: Arc<Segment>,
    slots: Arc<SlotMap>,
    walkers: Arc<Walkers>,
}

impl Snapshot {
    /// A state over two segments of the same metric and dimension; `slots` maps the nodes of both.
    pub(crate) fn new(
        main: Arc<Segment>,
        delta: Arc<Segment>,
        slots: SlotMap,
        walkers: Arc<Walkers>,
    ) -> Self {
        Self {
            main,
            delta,
            slots: Arc::new(slots),
            walkers,
        }
    }

    pub(crate) fn main(&self) -> &Arc<Segment> {
        &self.main
    }

    pub(crate) fn delta(&self) -> &Arc<Segment> {
        &self.delta
    }

    pub(crate) fn slots(&self) -> &SlotMap {
        &self.slots
    }

    pub(crate) fn walkers(&self) -> &Arc<Walkers> {
        &self.walkers
    }

    /// The nearest slots, among `allowed` where given.
    ///
    /// # Errors
    /// A query that cannot be compared, and damage of mapped vectors.
    pub(crate) fn search(
        &self,
        query: &[f32],
        top_k: usize,
        allowed: Option<&SlotSet>,
        options: &PlanOptions,
    ) -> Result<Found> {
        let query = self.prepare(query)?;
        let allowed = allowed.map(|allowed| (allowed, allowed.count_below(self.slots.len())));
        let search = Search {
            snapshot: self,
            query: &query,
            top_k: top_k.min(allowed.map_or(self.slots.len(), |(_, matches)| matches)),
            allowed,
        };
        search.run(options)
    }

    /// The nearest slots of each query, in order.
    ///
    /// # Errors
    /// As [`Snapshot::search`].
    pub(crate) fn search_batch(
        &self,
        queries: &[&[f32]],
        top_k: usize,
        allowed: Option<&SlotSet>,
        options: &PlanOptions,
    ) -> Result<Vec<Found>> {
        if allowed.is_some() || self.graph(options).is_some() {
            return queries
                .par_iter()
                .map(|query| self.search(query, top_k, allowed, options))
                .collect();
        }
        let queries = queries
            .iter()
            .map(|query| self.prepare(query))
            .collect::<Result<Vec<_>>>()?;
        let top_k = top_k.min(self.slots.len());
        let groups: Vec<Vec<Found>> = queries
            .par_chunks(QUERIES)
            .map(|queries| self.scan(&queries.iter().collect::<Vec<_>>(), top_k))
            .collect::<Result<_>>()?;
        Ok(groups.into_iter().flatten().collect())
    }

    /// The score of each of these slots, in order.
    ///
    /// # Errors
    /// As [`Snapshot::search`], and a slot that does not exist.
    pub(crate) fn scores(&self, query: &[f32], slots: &[u32]) -> Result<Vec<f32>> {
        let query = self.prepare(query)?;
        let score = |slot: &u32| {
            if *slot as usize >= self.slots.len() {
                return Err(Error::NoSuchSlot {
                    slot: *slot,
                    len: self.slots.len(),
                });
            }
            let node = self.slots.node(*slot);
            match (node as usize).checked_sub(self.main.len()) {
                None => self.main.score(&query, node),
                Some(node) => self.delta.score(&query, node as u32),
            }
        };
        slots.iter().map(score).collect()
    }

    /// A slot's vector as it is kept.
    ///
    /// # Errors
    /// Damage of mapped vectors, and a slot that does not exist.
    pub(crate) fn row(&self, slot: u32) -> Result<&[f32]> {
        if slot as usize >= self.slots.len() {
            return Err(Error::NoSuchSlot {
                slot,
                len: self.slots.len(),
            });
        }
        let node = self.slots.node(slot);
        match (node as usize).checked_sub(self.main.len()) {
            None => self.main.rows.row(node),
            Some(node) => self.delta.rows.row(node as u32),
        }
    }

    fn prepare(&self, query: &[f32]) -> Result<Prepared> {
        let longest = self.main.codes.longest.max(self.delta.codes.longest);
        Prepared::new(&self.main.codes, longest, query)
    }

    /// The graph and the nodes that a walk for ten neighbours keeps, where walking is the way.
    fn graph(&self, options: &PlanOptions) -> Option<(&Graph, usize)> {
        let is_large = self.main.len() >= options.graph_from.max(1);
        let graph = self.main.graph.as_ref().filter(|_| is_large)?;
        Some((graph, options.ef_search.or(graph.ef_search)?))
    }

    /// Compares all nodes with up to [`QUERIES`] queries.
    fn scan(&self, queries: &[&Prepared], top_k: usize) -> Result<Vec<Found>> {
        let sieves = || queries.iter().map(|_| Sieve::new(top_k)).collect::<Vec<_>>();
        let mut bests = vec![(Best::new(top_k), 0); queries.len()];
        for (segment, first) in [(&self.main, 0), (&self.delta, self.main.len() as u32)] {
            let admits = |node: u32| self.slots.admits(node + first, None);
            let part = |range| {
                let mut sieves = sieves();
                sift(&segment.codes, queries, range, admits, &mut sieves);
                sieves
            };
            let merge =
                |a: Vec<Sieve>, b: Vec<Sieve>| a.into_iter().zip(b).map(|(a, b)| a.merge(b)).collect();
            let sieves = if segment.codes.lines.len() >= PARALLEL_LINES {
                let parts = (0..segment.len().div_ceil(PART)).into_par_iter();
                parts
                    .map(|at| part(at * PART..((at + 1) * PART).min(segment.len())))
                    .reduce(sieves, merge)
            } else {
                part(0..segment.len())
            };
            for ((sieve, query), (best, scored)) in sieves.into_iter().zip(queries).zip(&mut bests) {
                *scored += sieve.finish(segment, query, best, |best, node, score| {
                    for slot in self.slots.slots(node + first) {
                        best.offer(Neighbor { slot: *slot, score });
                    }
                })?;
            }
        }
        let found = |(best, scored): (Best, usize)| Found {
            neighbors: best.into_sorted(),
            plan: Plan::Scan,
            compared: self.slots.nodes(),
            scored,
        };
        Ok(bests.into_iter().map(found).collect())
    }
}

/// One query on its way.
struct Search<'a> {
    snapshot: &'a Snapshot,
    query: &'a Prepared,
    /// At most as many as there are.
    top_k: usize,
    /// The allowed slots, and how many they are.
    allowed: Option<(&'a SlotSet, usize)>,
}

impl Search<'_> {
    fn run(self, options: &PlanOptions) -> Result<Found> {
        let snapshot = self.snapshot;
        if self.top_k == 0 {
            return Ok(Found {
                neighbors: Vec::new(),
                plan: Plan::Scan,
                compared: 0,
                scored: 0,
            });
        }
        let graph = snapshot.graph(options);
        let graph = graph.map(|(graph, ef)| (graph, ef_for(ef, self.top_k)));
        match (graph, self.allowed) {
            (None, None) => self.compare_all(),
            (None, Some((allowed, _))) => self.compare(allowed),
            (Some((_, ef)), Some((allowed, matches))) if are_few(matches, snapshot.slots.nodes(), ef) => {
                self.compare(allowed)
            }
            (Some((graph, ef)), _) => self.walk(graph, ef),
        }
    }

    /// Compares everything that is allowed.
    fn compare_all(&self) -> Result<Found> {
        if let Some((allowed, _)) = self.allowed {
            return self.compare(allowed);
        }
        let mut found = self.snapshot.scan(&[self.query], self.top_k)?;
        Ok(found.swap_remove(0))
    }

    /// Compares the matches.
    fn compare(&self, allowed: &SlotSet) -> Result<Found> {
        let snapshot = self.snapshot;
        let matches: Vec<u32> = allowed
            .iter()
            .take_while(|slot| (*slot as usize) < snapshot.slots.len())
            .collect();
        let compared = matches.len();
        let first = snapshot.main.len() as u32;
        let mut best = Best::new(self.top_k);
        let mut scored = 0;
        let in_main = |slot: &u32| snapshot.slots.node(*slot) < first;
        let (old, new): (Vec<u32>, Vec<u32>) = match snapshot.delta.len() {
            0 => (matches, Vec::new()),
            _ => matches.into_iter().partition(in_main),
        };
        for (segment, slots, first) in [(&snapshot.main, old, 0), (&snapshot.delta, new, first)] {
            let mut sieve = Sieve::new(self.top_k);
            let node_of = |slot: u32| snapshot.slots.node(slot) - first;
            sift_slots(&segment.codes, self.query, &slots, node_of, &mut sieve);
            scored += sieve.finish_as(segment, self.query, &mut best, node_of, |best, slot, score| {
                best.offer(Neighbor { slot, score });
            })?;
        }
        Ok(Found {
            neighbors: best.into_sorted(),
            plan: Plan::Matches,
            compared,
            scored,
        })
    }

    /// Walks the graph, and compares what is not in it.
    fn walk(&self, graph: &Graph, ef: usize) -> Result<Found> {
        let snapshot = self.snapshot;
        let main = &snapshot.main;
        let allowed = self.allowed.map(|(allowed, _)| allowed);
        let mut walker = snapshot.walkers.take();
        let found = match (self.allowed, snapshot.slots.has_dead()) {
            (None, false) => Some(main.walk(graph, &mut walker, self.query, ef)),
            _ => {
                let most = self.allowed.map_or(main.len(), |(_, matches)| matches);
                let admits = |node: u32| snapshot.slots.admits(node, allowed);
                main.walk_among(graph, &mut walker, self.query, (ef, most), admits)
            }
        };
        let mut best = Best::new(self.top_k);
        let offer = |best: &mut Best, node: u32, score: f32| {
            for slot in snapshot.slots.slots(node) {
                if allowed.is_none_or(|allowed| allowed.contains(*slot)) {
                    best.offer(Neighbor { slot: *slot, score });
                }
            }
        };
        let walked = match found {
            Some(found) => Some(main.rescore(self.query, found, &mut best, offer)?),
            None => None,
        };
        let compared = walker.take_compared();
        snapshot.walkers.put(walker);
        let Some(mut scored) = walked else {
            // The walk came to cost more than this.
            return self.compare_all();
        };
        let first = main.len() as u32;
        let mut sieve = Sieve::new(self.top_k);
        let admits = |node: u32| snapshot.slots.admits(node + first, allowed);
        let delta = &snapshot.delta;
        let one = std::slice::from_mut(&mut sieve);
        sift(&delta.codes, &[self.query], 0..delta.len(), admits, one);
        scored += sieve.finish(delta, self.query, &mut best, |best, node, score| {
            offer(best, node + first, score)
        })?;
        if best.len() < self.top_k {
            // Fewer than there are: some part of the graph was not come by.
            return self.compare_all();
        }
        Ok(Found {
            neighbors: best.into_sorted(),
            plan: match self.allowed {
                None => Plan::Graph { ef },
                Some(_) => Plan::FilteredGraph { ef },
            },
            compared: compared + delta.len(),
            scored,
        })
    }
}
