//! Merging: the vectors that came since the last time are linked with the others, and those that went are left out.

use std::sync::PoisonError;

use super::attached::FACT;
use super::base::Base;
use super::view::View;
use crate::error::{Error, Result};
use crate::index::{GraphOptions, NO_NODE, PlanOptions, Segment, Unique};
use crate::store::{Generation, meta};

/// Vectors beside the linked ones that are worth a merge at least, and as a share of these.
const DUE_VECTORS: usize = 1024;
const DUE_SHARE: usize = 10;
/// Share of linked vectors that may have been deleted before all are linked anew without them.
const DEAD_SHARE: usize = 5;

/// How the vectors of a base are merged.
///
/// ```
/// use ragtune_retrieve::{GraphOptions, MergeOptions};
/// let options = MergeOptions::default().with_always(true).with_graph(GraphOptions::default().with_recall(0.95)?);
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MergeOptions {
    /// How vectors are linked; its events tell of the progress, and its flag stops the work.
    pub graph: GraphOptions,
    /// Whether to merge also where it is hardly worth it.
    pub always: bool,
}

impl MergeOptions {
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
    let dead = (0..main.len() as u32)
        .filter(|node| slots.slots(*node).is_empty())
        .count();
    let is_linked = main.graph.is_some();
    let wants_links = main.len() + delta.len() - dead >= plan.graph_from;
    let is_due = delta.len() >= DUE_VECTORS.max(main.len() / DUE_SHARE)
        || dead * DEAD_SHARE > main.len()
        || wants_links && !is_linked;
    let has_work = delta.len() + dead > 0 || wants_links && !is_linked;
    if !(is_due || options.always && has_work) {
        return Ok(Some(MergeReport {
            vectors: main.len(),
            is_linked,
            ..MergeReport::default()
        }));
    }
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
        segment.link(older.map(|graph| graph.layers.clone()), &options.graph)?;
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
        Ok(true)
    })?;
    if !is_named {
        return Ok(None);
    }
    base.vectors.attach(attached);
    base.forget_derived();
    Ok(Some(report))
}

/// Has no index of vectors any more, until the next merge.
pub(super) fn discard(base: &Base) -> Result<()> {
    base.lock.acquire()?;
    let _alone = base
        .vectors
        .merging
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    base.store
        .write_aside(|connection| meta::forget(connection, FACT))?;
    base.vectors.clear();
    base.forget_derived();
    Ok(())
}
