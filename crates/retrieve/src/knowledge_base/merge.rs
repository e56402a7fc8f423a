//! Merging: the vectors that came since the last time are linked with the others, and those that went are left out.

use std::sync::{Arc, PoisonError};

use rusqlite::Connection;

use super::attached::FACT;
use super::base::Base;
use super::view::View;
use crate::error::{Error, Result};
use crate::index::{GraphEvent, GraphOptions, NO_NODE, PlanOptions, Segment, Unique};
use crate::store::{Generation, meta};

/// Share of linked vectors that may have been deleted before all are linked anew without them, as a divisor.
const DEAD_SHARE: usize = 5;
/// Name of what the last merge took in among the store's facts: generation, sequence number, vectors.
const MERGED: &str = "merged";

/// A moment of a merge.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MergeEvent {
    /// There is reason to merge, and it begins.
    Started {
        /// Vectors that are not in the index yet.
        new: usize,
        /// Vectors in the index that no passage has any more.
        gone: usize,
    },
    /// The vectors are being linked.
    Graph(GraphEvent),
    /// The index serves.
    Finished(MergeReport),
    /// A merge that ran by itself failed, which leaves the base as it was.
    Failed {
        /// What the error says.
        reason: String,
    },
}

/// Hears of merges.
type OnMergeEvent = Arc<dyn Fn(&MergeEvent) + Send + Sync>;

/// How the vectors of a base are merged.
///
/// ```
/// use ragtune_retrieve::{GraphOptions, MergeOptions};
/// let options = MergeOptions::default().with_always(true).with_graph(GraphOptions::default().with_recall(0.95)?);
/// let often = MergeOptions::default().with_least(256).with_share(0.05)?;
/// # let _ = (options, often);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct MergeOptions {
    /// How vectors are linked; its events tell of the progress, and its flag stops the work, unless it runs by itself.
    pub graph: GraphOptions,
    /// Whether to merge also where it is hardly worth it.
    pub always: bool,
    /// New vectors that are worth a merge at least.
    pub least: usize,
    /// New vectors that are worth a merge, as a share of those in the index.
    pub share: f32,
    on_event: Option<OnMergeEvent>,
}

impl MergeOptions {
    /// New vectors that are worth a merge when the caller does not say.
    pub const DEFAULT_LEAST: usize = 1024;
    /// Share of new vectors that is worth a merge when the caller does not say.
    pub const DEFAULT_SHARE: f32 = 0.1;

    /// Links vectors by these options.
    pub fn with_graph(mut self, graph: GraphOptions) -> Self {
        self.graph = graph;
        self
    }

    /// Merges whatever there is to merge, or only what is worth it.
    pub fn with_always(mut self, always: bool) -> Self {
        self.always = always;
        self
    }

    /// Takes so many new vectors to be worth a merge at least.
    pub fn with_least(mut self, vectors: usize) -> Self {
        self.least = vectors.max(1);
        self
    }

    /// Takes new vectors to be worth a merge when they are this share of those in the index.
    ///
    /// # Errors
    /// A share that is negative or not finite.
    pub fn with_share(mut self, share: f32) -> Result<Self> {
        if !(share >= 0.0 && share.is_finite()) {
            return Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "share",
                reason: format!("{share} is not a finite number from 0 on"),
            }));
        }
        self.share = share;
        Ok(self)
    }

    /// Tells of what happens, on the thread that merges.
    pub fn with_on_event(mut self, on_event: impl Fn(&MergeEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(on_event));
        self
    }

    pub(super) fn tell(&self, event: MergeEvent) {
        if let Some(on_event) = &self.on_event {
            on_event(&event);
        }
    }

    /// The options of the graph, whose events are told as those of the merge too.
    fn told_graph(&self) -> GraphOptions {
        let Some(on_event) = self.on_event.clone() else {
            return self.graph.clone();
        };
        let graph = self.graph.clone();
        self.graph.clone().with_on_event(move |event| {
            graph.tell(event);
            on_event(&MergeEvent::Graph(event));
        })
    }

    /// Whether so many vectors that came, or went, are worth a merge with so many in the index.
    fn is_due(&self, new: usize, gone: usize, indexed: usize) -> bool {
        let share = (indexed as f64 * f64::from(self.share)) as usize;
        new >= self.least.max(share) || gone * DEAD_SHARE > indexed
    }
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self {
            graph: GraphOptions::default(),
            always: false,
            least: Self::DEFAULT_LEAST,
            share: Self::DEFAULT_SHARE,
            on_event: None,
        }
    }
}

impl std::fmt::Debug for MergeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergeOptions")
            .field("graph", &self.graph)
            .field("always", &self.always)
            .field("least", &self.least)
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeReport {
    /// Different vectors in the index now.
    pub vectors: usize,
    /// Those of them that were not in it before.
    pub added: usize,
    /// Vectors of passages that are gone and were left out.
    pub removed: usize,
    /// Whether the vectors are linked, which they are from [`PlanOptions::graph_from`] on.
    pub is_linked: bool,
}

/// Merges, if there is reason to.
pub(super) fn merge(base: &Base, options: &MergeOptions, plan: &PlanOptions) -> Result<MergeReport> {
    base.lock.acquire()?;
    let _alone = base
        .vectors
        .merging
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    loop {
        let view = base.view()?;
        match merge_view(base, &view, options, plan) {
            Err(Error::DamagedIndex { path, reason }) if view.attached.is_some() => {
                tracing::warn!(path = %path.display(), reason, "the index is built again from the store");
                base.refuse_vectors(&view);
            }
            // The base changed to another embedder meanwhile.
            Ok(None) => {}
            Ok(Some(report)) => return Ok(report),
            Err(error) => return Err(error),
        }
    }
}

/// `None` where the view's vectors do not serve any more.
fn merge_view(
    base: &Base,
    view: &View,
    options: &MergeOptions,
    plan: &PlanOptions,
) -> Result<Option<MergeReport>> {
    let (Some(generation), Some(index)) = (&view.generation, &view.index) else {
        return Ok(Some(MergeReport::default()));
    };
    let (main, delta, slots) = (index.main(), index.delta(), index.slots());
    let has_slot = |node: &u32| !slots.slots(*node).is_empty();
    let indexed = main.len() as u32;
    let dead = main.len() - (0..indexed).filter(has_slot).count();
    let new = (indexed..slots.nodes() as u32).filter(has_slot).count();
    let is_linked = main.graph.is_some();
    let wants_links = main.len() + new - dead >= plan.graph_from;
    let is_due = options.is_due(new, dead, main.len()) || wants_links && !is_linked;
    let has_work = new + dead > 0 || wants_links && !is_linked;
    if !(is_due || options.always && has_work) {
        return Ok(Some(MergeReport {
            vectors: main.len(),
            is_linked,
            ..MergeReport::default()
        }));
    }
    options.tell(MergeEvent::Started { new, gone: dead });
    // Few deleted ones stay as nodes that are walked over, so that the links of the others serve on.
    let keeps_nodes = dead * DEAD_SHARE <= main.len();
    let is_kept = |node: u32| keeps_nodes && (node as usize) < main.len() || !slots.slots(node).is_empty();
    let mut unique = Unique::new(generation.dim);
    let mut places = vec![NO_NODE; slots.nodes()];
    let mut kept = 0;
    for node in (0..slots.nodes() as u32).filter(|node| is_kept(*node)) {
        let row = match (node as usize).checked_sub(main.len()) {
            None => main.rows.row(node)?,
            Some(node) => delta.rows.row(node as u32)?,
        };
        places[node as usize] = unique.insert(row);
        if (node as usize) < main.len() {
            kept = unique.len();
        }
    }
    let mut segment = Segment::new(generation.metric, generation.dim, unique.into_data());
    if wants_links {
        let older = main.graph.as_ref().filter(|_| keeps_nodes && kept == main.len());
        segment.link(older.map(|graph| graph.layers.clone()), &options.told_graph())?;
    }
    let report = MergeReport {
        vectors: segment.len(),
        added: segment.len() - kept,
        removed: main.len() - kept,
        is_linked: segment.graph.is_some(),
    };
    let mut keyed: Vec<(i64, u32)> = view
        .chunks
        .iter()
        .enumerate()
        .map(|(slot, key)| (key.chunk, places[slots.node(slot as u32) as usize]))
        .collect();
    keyed.sort_unstable();
    let (chunks, nodes) = keyed.into_iter().unzip();
    options.graph.cancel.check()?;
    let attached = base.vectors.keep(segment, chunks, nodes, generation, view.seq)?;
    let is_named = base.store.write_aside(|connection| {
        if Generation::active(connection)?.as_ref() != Some(generation) {
            return Ok(false);
        }
        meta::set(connection, FACT, attached.id())?;
        let merged = format!("{} {} {}", generation.id, view.seq, report.vectors);
        meta::set(connection, MERGED, merged)?;
        Ok(true)
    })?;
    if !is_named {
        return Ok(None);
    }
    base.vectors.attach(attached);
    base.renew_view();
    options.tell(MergeEvent::Finished(report));
    Ok(Some(report))
}

/// How many vectors came since the last merge, where that or what went is worth one; counted in the store alone.
pub(super) fn due(base: &Base, options: &MergeOptions) -> Result<Option<usize>> {
    base.store.read(|connection| {
        let Some(generation) = Generation::active(connection)? else {
            return Ok(None);
        };
        let file = meta::get::<String>(connection, FACT)?;
        let serves = file.is_some_and(|id| !base.vectors.is_refused(&id));
        let merged = match serves {
            true => last_merge(connection, &generation)?,
            false => None,
        };
        let (seq, indexed) = merged.unwrap_or((-1, 0));
        let count = |sql: &str| connection.query_row(sql, [seq], |row| row.get::<_, usize>(0));
        let new = count("SELECT count(*) FROM chunks WHERE seq > ?1")?;
        let gone = match indexed {
            0 => 0,
            _ => count("SELECT count(*) FROM tombstones WHERE seq > ?1")?.min(indexed),
        };
        Ok(options.is_due(new, gone, indexed).then_some(new))
    })
}

/// The sequence number up to which the last merge took vectors in, and how many it left, where they are of this generation.
fn last_merge(connection: &Connection, generation: &Generation) -> rusqlite::Result<Option<(i64, usize)>> {
    let Some(merged) = meta::get::<String>(connection, MERGED)? else {
        return Ok(None);
    };
    let numbers: Vec<i64> = merged
        .split(' ')
        .filter_map(|number| number.parse().ok())
        .collect();
    Ok(match numbers[..] {
        [of, seq, vectors] if of == generation.id => Some((seq, usize::try_from(vectors).unwrap_or(0))),
        _ => None,
    })
}

/// Has no index of vectors any more, until the next merge.
pub(super) fn discard(base: &Base) -> Result<()> {
    base.lock.acquire()?;
    let _alone = base
        .vectors
        .merging
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    base.store.write_aside(|connection| {
        meta::forget(connection, MERGED)?;
        meta::forget(connection, FACT)
    })?;
    base.vectors.clear();
    base.forget_derived();
    Ok(())
}
