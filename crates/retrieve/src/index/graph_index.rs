//! The graph as an index of its own.

use std::path::Path;
use std::sync::Arc;

use super::file::{self, Keys, Stamp};
use super::graph::GraphOptions;
use super::plan::{Found, PlanOptions};
use super::rows::accept;
use super::segment::Segment;
use super::slots::{SlotMap, Unique};
use super::snapshot::{Snapshot, Walkers};
use super::vector_index::{Metric, Neighbor, SlotSet, VectorIndex};
use crate::error::Result;

/// An index that walks a graph of its vectors, or compares all of them where that is faster or exactness is wanted.
///
/// Searches compare vectors in int8 and score what they find exactly. Without the graph, that is below
/// [`PlanOptions::graph_from`] vectors and for filters that few vectors pass, the result is exactly that of
/// [`crate::ExactIndex`]; with it, the recall is the one that [`GraphOptions`] asks for, on average. The same vectors and
/// options give the same graph on any number of threads.
///
/// ```
/// use ragtune_retrieve::{GraphIndex, GraphOptions, Metric, VectorIndex};
/// let vectors: Vec<Vec<f32>> = (0..500).map(|i| vec![(i as f32).cos(), (i as f32).sin()]).collect();
/// let index = GraphIndex::build(Metric::Cosine, 2, vectors.iter().map(Vec::as_slice), &GraphOptions::default())?;
/// assert_eq!(index.search(&vectors[7], 1, None)?[0].slot, 7);
/// let found = index.find(&vectors[7], 3, None)?;
/// assert!(found.plan.is_exact()); // so few vectors are compared one by one
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct GraphIndex {
    snapshot: Snapshot,
    plan: PlanOptions,
}

impl GraphIndex {
    /// An index of these vectors with a graph; slot `i` is the `i`-th of them.
    ///
    /// # Errors
    /// A vector of another dimension, with a component that is not finite, or of length zero under the cosine metric;
    /// [`ragtune_core::Error::Cancelled`].
    pub fn build<'v>(
        metric: Metric,
        dim: usize,
        vectors: impl IntoIterator<Item = &'v [f32]>,
        options: &GraphOptions,
    ) -> Result<Self> {
        Self::over(metric, dim, vectors, |segment| segment.link(None, options))
    }

    /// An index of these vectors without a graph, which always compares all of them.
    ///
    /// # Errors
    /// As [`GraphIndex::build`].
    pub fn unlinked<'v>(
        metric: Metric,
        dim: usize,
        vectors: impl IntoIterator<Item = &'v [f32]>,
    ) -> Result<Self> {
        Self::over(metric, dim, vectors, |_| Ok(()))
    }

    fn over<'v>(
        metric: Metric,
        dim: usize,
        vectors: impl IntoIterator<Item = &'v [f32]>,
        link: impl FnOnce(&mut Segment) -> Result<()>,
    ) -> Result<Self> {
        if dim == 0 {
            return Err(crate::Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "dim",
                reason: "vectors without components cannot be compared".to_owned(),
            }));
        }
        let mut unique = Unique::new(dim);
        let (mut nodes, mut row) = (Vec::new(), Vec::with_capacity(dim));
        for vector in vectors {
            row.clear();
            row.extend_from_slice(vector);
            accept(&mut row, metric, dim, || format!("vector {}", nodes.len()))?;
            nodes.push(unique.insert(&row));
        }
        let slots = SlotMap::new(nodes, unique.len());
        let mut main = Segment::new(metric, dim, unique.into_data());
        link(&mut main)?;
        let delta = Arc::new(Segment::new(metric, dim, Vec::new()));
        Ok(Self {
            snapshot: Snapshot::new(Arc::new(main), delta, slots, Arc::new(Walkers::default())),
            plan: PlanOptions::default(),
        })
    }

    /// Writes the index into a file, which takes its name only when all of it is on the disk.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; a file that had the name before is then unchanged.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let folder = match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => Path::new("."),
        };
        let keys: Vec<i64> = (0..self.len() as i64).collect();
        let keys = Keys {
            keys: &keys,
            nodes: self.snapshot.slots().as_nodes(),
            stamp: &Stamp::default(),
        };
        file::save(folder, self.snapshot.main(), &keys, |_| path.to_owned()).map(drop)
    }

    /// Opens an index that [`GraphIndex::save`] wrote. Codes and graph are read and verified now; the vectors themselves
    /// stay on the disk, mapped, and each block of them is verified when it is first touched.
    ///
    /// # Errors
    /// [`crate::Error::Io`], and [`crate::Error::DamagedIndex`] for a file that is not as it was written, which later
    /// searches raise too where they touch a block that is not.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let stored = file::open(path.as_ref())?;
        let (metric, dim) = (stored.segment.codes.metric, stored.segment.codes.dim);
        let slots = SlotMap::new(stored.key_nodes, stored.segment.len());
        let delta = Arc::new(Segment::new(metric, dim, Vec::new()));
        Ok(Self {
            snapshot: Snapshot::new(
                Arc::new(stored.segment),
                delta,
                slots,
                Arc::new(Walkers::default()),
            ),
            plan: PlanOptions::default(),
        })
    }

    /// The index with another choice of ways.
    pub fn with_plan(mut self, plan: PlanOptions) -> Self {
        self.plan = plan;
        self
    }

    /// The `top_k` nearest vectors, among `allowed` slots only where given, and how they were found.
    ///
    /// # Errors
    /// As [`VectorIndex::search`].
    pub fn find(&self, query: &[f32], top_k: usize, allowed: Option<&SlotSet>) -> Result<Found> {
        self.snapshot.search(query, top_k, allowed, &self.plan)
    }

    /// [`GraphIndex::find`] for each of several queries, in order, on all threads of rayon's pool.
    ///
    /// # Errors
    /// As [`VectorIndex::search`].
    pub fn find_batch(
        &self,
        queries: &[&[f32]],
        top_k: usize,
        allowed: Option<&SlotSet>,
    ) -> Result<Vec<Found>> {
        self.snapshot.search_batch(queries, top_k, allowed, &self.plan)
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.snapshot.main().codes.dim
    }

    /// Nodes that a walk for ten neighbours keeps; `None` without a graph, and where none that was tried gave the recall
    /// that was asked for, so that all vectors are compared.
    pub fn ef_search(&self) -> Option<usize> {
        self.snapshot.main().graph.as_ref()?.ef_search
    }
}

impl VectorIndex for GraphIndex {
    fn metric(&self) -> Metric {
        self.snapshot.main().codes.metric
    }

    fn len(&self) -> usize {
        self.snapshot.slots().len()
    }

    fn search(&self, query: &[f32], top_k: usize, allowed: Option<&SlotSet>) -> Result<Vec<Neighbor>> {
        Ok(self.find(query, top_k, allowed)?.neighbors)
    }

    fn scores(&self, query: &[f32], slots: &[u32]) -> Result<Vec<f32>> {
        self.snapshot.scores(query, slots)
    }
}

impl std::fmt::Debug for GraphIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphIndex")
            .field("metric", &self.metric())
            .field("len", &self.len())
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
