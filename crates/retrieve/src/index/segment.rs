//! Vectors that do not change any more, with what makes searching them fast.

use rayon::prelude::*;

use super::best::Best;
use super::codes::{Codes, Instructions};
use super::graph::{GraphEvent, GraphOptions, Key, Layers, MOST_NODES, Walker, node_of, similarity_of};
use super::query::Prepared;
use super::rows::{Rows, score};
use super::vector_index::{Metric, Neighbor};
use crate::error::{Error, Result};

/// Neighbours by which recall is measured.
const MEASURED_K: usize = 10;
/// Queries by which it is measured.
const MEASURED_QUERIES: usize = 200;
/// How far such a query lies from a member, as a share of the distance of that one's [`MEASURED_K`]-th neighbour.
const NOISE: f32 = 1.0;
/// Nodes kept that are tried.
const EFS: [usize; 20] = [
    10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 1024,
];

/// Vectors with their codes, and their graph where they have one.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) rows: Rows,
    pub(crate) codes: Codes,
    pub(crate) graph: Option<Graph>,
}

/// Links, and how far searches must look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) layers: Layers,
    /// Nodes that a search for ten neighbours keeps; `None` where not even the most that was tried reach the wanted
    /// recall.
    pub(crate) ef_search: Option<usize>,
}

impl Segment {
    /// Vectors in the form in which they are kept, without a graph.
    pub(crate) fn new(metric: Metric, dim: usize, vectors: Vec<f32>) -> Self {
        let mut codes = Codes::new(metric, dim);
        codes.extend(&vectors);
        Self {
            rows: Rows::owned(dim, vectors),
            codes,
            graph: None,
        }
    }

    /// These vectors, which begin with those of this segment: only the codes of the others are made.
    pub(crate) fn grown(&self, vectors: Vec<f32>) -> Self {
        let mut codes = self.codes.clone();
        codes.extend(vectors.get(self.len() * codes.dim..).unwrap_or_default());
        Self {
            rows: Rows::owned(codes.dim, vectors),
            codes,
            graph: None,
        }
    }

    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }

    /// Links the vectors, once; an older graph of the first of them saves work.
    ///
    /// # Errors
    /// [`ragtune_core::Error::Cancelled`], more vectors than nodes can be numbered, and damage of mapped vectors.
    pub(crate) fn link(&mut self, older: Option<Layers>, options: &GraphOptions) -> Result<()> {
        if self.len() >= MOST_NODES {
            return Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "vectors",
                reason: format!(
                    "{} are more than the {} that a graph can hold",
                    self.len(),
                    MOST_NODES - 1
                ),
            }));
        }
        self.codes.lift();
        let layers = Layers::build(&self.codes, older, options)?;
        self.graph = Some(Graph {
            layers,
            ef_search: options.ef_search,
        });
        if options.ef_search.is_none() {
            let ef_search = self.measure(options)?;
            if let Some(graph) = &mut self.graph {
                graph.ef_search = ef_search;
            }
            if let Some(ef_search) = ef_search {
                options.tell(GraphEvent::Measured { ef_search });
            }
        }
        Ok(())
    }

    /// The exact score of a node.
    ///
    /// # Errors
    /// Damage of mapped vectors.
    #[inline]
    pub(crate) fn score(&self, query: &Prepared, node: u32) -> Result<f32> {
        let row = self.rows.row(node)?;
        Ok(score(
            self.codes.metric,
            self.codes.instructions,
            &query.vector,
            row,
        ))
    }

    /// Walks the graph for nodes near the query, best first by their codes.
    pub(crate) fn walk<'w>(
        &self,
        graph: &Graph,
        walker: &'w mut Walker,
        query: &Prepared,
        ef: usize,
    ) -> &'w [Key] {
        let both = (&graph.layers, &self.codes);
        let start = self.start(graph, walker, query);
        let mut starts = vec![start, graph.layers.entry];
        starts.extend(&graph.layers.orphans);
        walker.search(both, &query.coded, &starts, 0, ef)
    }

    /// As [`Segment::walk`] among the nodes that `admits`; `None` when that would compare more than `most` vectors.
    pub(crate) fn walk_among<'w>(
        &self,
        graph: &Graph,
        walker: &'w mut Walker,
        query: &Prepared,
        (ef, most): (usize, usize),
        admits: impl Fn(u32) -> bool,
    ) -> Option<&'w [Key]> {
        let start = self.start(graph, walker, query);
        let mut starts = vec![start, graph.layers.entry];
        starts.extend(&graph.layers.orphans);
        walker.search_among(
            (&graph.layers, &self.codes),
            &query.coded,
            &starts,
            (ef, most),
            admits,
        )
    }

    fn start(&self, graph: &Graph, walker: &mut Walker, query: &Prepared) -> u32 {
        let layers = &graph.layers;
        match layers.top() {
            0 => layers.entry,
            top => walker.descend((layers, &self.codes), &query.coded, layers.entry, top, 1),
        }
    }

    /// Scores nodes exactly in the order of their codes until the rest cannot be among the best, and gives each score to
    /// `offer`; returns how many were scored.
    ///
    /// # Errors
    /// Damage of mapped vectors.
    pub(crate) fn rescore(
        &self,
        query: &Prepared,
        found: &[Key],
        best: &mut Best,
        offer: impl Fn(&mut Best, u32, f32),
    ) -> Result<usize> {
        const AHEAD: usize = 3;
        let mut skipped = 0;
        for (count, key) in found.iter().enumerate() {
            let node = node_of(*key);
            if let Some(floor) = best.floor() {
                let reach = similarity_of(*key) + self.codes.bound(&query.coded, node);
                if reach < query.least_similarity(floor) {
                    skipped += 1;
                    continue;
                }
            }
            if let Some(next) = found.get(count + AHEAD) {
                self.rows.fetch(node_of(*next), self.codes.instructions);
            }
            offer(best, node, self.score(query, node)?);
        }
        Ok(found.len() - skipped)
    }

    /// The least number of nodes that searches have to keep for the wanted recall, by queries near members.
    fn measure(&self, options: &GraphOptions) -> Result<Option<usize>> {
        let Some(graph) = &self.graph else {
            return Ok(None);
        };
        let step = self.len().div_ceil(MEASURED_QUERIES).max(1);
        let nodes: Vec<u32> = (0..self.len() as u32).step_by(step).collect();
        let cases: Vec<(Prepared, Vec<u32>)> = nodes
            .par_iter()
            .map(|node| {
                let query = self.near(*node, options.seed)?;
                let nearest = self.exact(&query)?;
                Ok((query, nearest.into_iter().map(|neighbor| neighbor.slot).collect()))
            })
            .collect::<Result<_>>()?;
        let wanted: usize = cases.iter().map(|(_, nearest)| nearest.len()).sum();
        for ef in EFS {
            options.cancel.check()?;
            let hits = cases
                .par_iter()
                .map_init(Walker::default, |walker, (query, nearest)| {
                    let mut best = Best::new(nearest.len());
                    let found = self.walk(graph, walker, query, ef).to_vec();
                    self.rescore(query, &found, &mut best, |best, slot, score| {
                        best.offer(Neighbor { slot, score });
                    })?;
                    let found = best.into_sorted();
                    Ok(found
                        .iter()
                        .filter(|neighbor| nearest.contains(&neighbor.slot))
                        .count())
                })
                .sum::<Result<usize>>()?;
            if hits as f64 >= wanted as f64 * f64::from(options.recall) {
                return Ok(Some(ef));
            }
        }
        Ok(None)
    }

    /// A query beside a member.
    fn near(&self, node: u32, seed: u64) -> Result<Prepared> {
        let row = self.rows.row(node)?;
        let member = Prepared::new(&self.codes, self.codes.longest, row)?;
        let nearest = self.exact(&member)?;
        let farthest = match nearest.last() {
            Some(last) => self.rows.row(last.slot)?,
            None => row,
        };
        let between = Instructions::Scalar.squared_distance(row, farthest).sqrt();
        let mut state = seed ^ u64::from(node);
        let noise: Vec<f32> = row
            .iter()
            .map(|_| {
                state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
            })
            .collect();
        let length = Instructions::Scalar
            .dot(&noise, &noise)
            .sqrt()
            .max(f32::MIN_POSITIVE);
        let vector: Vec<f32> = row
            .iter()
            .zip(&noise)
            .map(|(x, noise)| {
                let moved = x + NOISE * between / length * noise;
                if moved.is_finite() { moved } else { *x }
            })
            .collect();
        Prepared::new(&self.codes, self.codes.longest, &vector)
    }

    /// The nearest nodes.
    fn exact(&self, query: &Prepared) -> Result<Vec<Neighbor>> {
        let mut sieve = super::scan::Sieve::new(MEASURED_K);
        super::scan::sift(
            &self.codes,
            &[query],
            0..self.len(),
            |_| true,
            std::slice::from_mut(&mut sieve),
        );
        let mut best = Best::new(MEASURED_K.min(self.len()));
        sieve.finish(self, query, &mut best, |best, node, score| {
            best.offer(Neighbor { slot: node, score })
        })?;
        Ok(best.into_sorted())
    }
}
