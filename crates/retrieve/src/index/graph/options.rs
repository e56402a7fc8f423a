//! How a graph is built and searched.

use std::sync::Arc;

use ragtune_core::Cancel;

use crate::error::{Error, Result};

/// A moment of a graph's building.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GraphEvent {
    /// Vectors were linked.
    Linked {
        /// Vectors linked so far.
        done: usize,
        /// Vectors in all.
        total: usize,
    },
    /// The graph is linked, and it is measured how far searches have to look.
    Measured {
        /// Nodes that a search keeps to reach the wanted recall.
        ef_search: usize,
    },
}

/// Hears of the progress of building.
pub(crate) type OnGraphEvent = Arc<dyn Fn(GraphEvent) + Send + Sync>;

/// How a graph is built and searched.
///
/// ```
/// use ragtune_retrieve::GraphOptions;
/// let options = GraphOptions::default().with_m(24)?.with_recall(0.99)?;
/// assert_eq!(options.ef_construction, GraphOptions::DEFAULT_EF_CONSTRUCTION);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct GraphOptions {
    /// Links of a node on levels 1 and above; twice as many on level 0.
    pub m: usize,
    /// Nodes that the search for a new node's links keeps.
    pub ef_construction: usize,
    /// Nodes that a search keeps; measured for `recall` where absent.
    pub ef_search: Option<usize>,
    /// Share of the ten nearest that a search is to find on average.
    pub recall: f32,
    /// Decides how many levels each node has.
    pub seed: u64,
    pub(crate) on_event: Option<OnGraphEvent>,
    pub(crate) cancel: Cancel,
}

impl GraphOptions {
    /// Links of a node when the caller names none.
    pub const DEFAULT_M: usize = 16;
    /// Nodes kept while building when the caller names none.
    pub const DEFAULT_EF_CONSTRUCTION: usize = 200;
    /// Share of the nearest that is found when the caller names none.
    pub const DEFAULT_RECALL: f32 = 0.99;
    /// The seed when the caller names none.
    pub const DEFAULT_SEED: u64 = 0x9d5f;
    /// Greatest number of links on levels 1 and above.
    pub const MOST_M: usize = 128;

    /// The options with so many links a node.
    ///
    /// # Errors
    /// Fewer than 2 or more than [`GraphOptions::MOST_M`].
    pub fn with_m(mut self, m: usize) -> Result<Self> {
        if !(2..=Self::MOST_M).contains(&m) {
            return Err(invalid("m", format!("{m} is not between 2 and {}", Self::MOST_M)));
        }
        self.m = m;
        Ok(self)
    }

    /// The options with a search of so many nodes for each new node's links.
    ///
    /// # Errors
    /// Zero.
    pub fn with_ef_construction(mut self, ef: usize) -> Result<Self> {
        self.ef_construction = at_least_one("ef_construction", ef)?;
        Ok(self)
    }

    /// The options with searches of so many nodes, instead of as many as the wanted recall takes.
    ///
    /// # Errors
    /// Zero.
    pub fn with_ef_search(mut self, ef: usize) -> Result<Self> {
        self.ef_search = Some(at_least_one("ef_search", ef)?);
        Ok(self)
    }

    /// The options with searches that find this share of the nearest on average.
    ///
    /// # Errors
    /// A share that is not above 0 and at most 1.
    pub fn with_recall(mut self, recall: f32) -> Result<Self> {
        if !(recall > 0.0 && recall <= 1.0) {
            return Err(invalid(
                "recall",
                format!("{recall} is not above 0 and at most 1"),
            ));
        }
        self.recall = recall;
        Ok(self)
    }

    /// The options with another seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Tells of the progress.
    pub fn with_on_event(mut self, on_event: impl Fn(GraphEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(on_event));
        self
    }

    /// Stops when the flag is set.
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    pub(crate) fn tell(&self, event: GraphEvent) {
        if let Some(on_event) = &self.on_event {
            on_event(event);
        }
    }
}

impl Default for GraphOptions {
    fn default() -> Self {
        Self {
            m: Self::DEFAULT_M,
            ef_construction: Self::DEFAULT_EF_CONSTRUCTION,
            ef_search: None,
            recall: Self::DEFAULT_RECALL,
            seed: Self::DEFAULT_SEED,
            on_event: None,
            cancel: Cancel::new(),
        }
    }
}

impl std::fmt::Debug for GraphOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphOptions")
            .field("m", &self.m)
            .field("ef_construction", &self.ef_construction)
            .field("ef_search", &self.ef_search)
            .field("recall", &self.recall)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

fn at_least_one(argument: &'static str, value: usize) -> Result<usize> {
    match value {
        0 => Err(invalid(argument, "it must be at least 1".to_owned())),
        value => Ok(value),
    }
}

fn invalid(argument: &'static str, reason: String) -> Error {
    Error::Core(ragtune_core::Error::InvalidArgument { argument, reason })
}
