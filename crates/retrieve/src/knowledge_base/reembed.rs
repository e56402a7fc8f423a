//! Changing a base's embedder while the old vectors serve.
//!
//! New vectors gather in a generation of their own. When no chunk lacks one, a single transaction makes that
//! generation the serving one and drops the old: there is no moment at which a query finds half of either.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Span};

use super::base::{Base, Space};
use super::ingest::{BATCH_TEXTS, embed_checked};
use super::options::ReembedOptions;
use super::report::{EmbeddingReport, SyncEvent};
use crate::error::Result;
use crate::store::Generation;
use crate::store::passages::read_text;
use crate::store::sums::{embedded_text, text_hash};
use crate::store::vectors::{self, wrong};

/// Makes the vectors anew.
pub(super) fn reembed(
    base: &Base,
    embedder: Arc<dyn Embedder>,
    options: &ReembedOptions,
) -> Result<EmbeddingReport> {
    base.lock.acquire()?;
    let _alone = base
        .long_work
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let active = base.store.read(|connection| Generation::active(connection))?;
    let metric = options
        .metric
        .or(active.as_ref().map(|active| active.metric))
        .unwrap_or_default();
    let fits = |g: &Generation| g.embedder == embedder.id() && g.dim == embedder.dim() && g.metric == metric;
    if active.as_ref().is_some_and(fits) {
        base.set_embedder(embedder);
        return Ok(EmbeddingReport::default());
    }
    // Vectors of the same embedder stay as they are when only the metric changes.
    let source = active.filter(|active| active.embedder == embedder.id() && active.dim == embedder.dim());
    let generation = base.store.write_aside(|connection| {
        if let Some(pending) = Generation::pending(connection)? {
            if fits(&pending) {
                return Ok(pending);
            }
            pending.discard(connection)?;
        }
        Generation::create(connection, embedder.id(), embedder.dim(), metric)
    })?;
    let space = Space {
        generation,
        embedder: Arc::clone(&embedder),
    };
    base.announce_embedder(Arc::clone(&embedder));
    let mut report = EmbeddingReport::default();
    loop {
        fill(base, &space, source.as_ref(), options, &mut report)?;
        // A document may have come since the last batch.
        let is_active = base.store.write(|connection, _| {
            if vectors::count_missing(connection, space.generation.id)? > 0 {
                return Ok(false);
            }
            space.generation.activate(connection)?;
            Ok(true)
        })?;
        if is_active {
            break;
        }
    }
    // Searches that began before hold the old view, whose embedder must still be found until they have theirs.
    base.view()?;
    base.set_embedder(embedder);
    if let Some(on_event) = &options.on_event {
        on_event(&SyncEvent::ReembedFinished { report: &report });
    }
    Ok(report)
}

/// Gives every chunk a vector of the generation, batch by batch, each committed.
fn fill(
    base: &Base,
    space: &Space,
    source: Option<&Generation>,
    options: &ReembedOptions,
    report: &mut EmbeddingReport,
) -> Result<()> {
    let id = space.generation.id;
    let mut left = base
        .store
        .read(|connection| vectors::count_missing(connection, id))?;
    let mut after = 0;
    loop {
        options.cancel.check()?;
        let batch = base.store.read(|connection| {
            let mut batch = Vec::new();
            for chunk in vectors::missing(connection, id, after, BATCH_TEXTS)? {
                let known = match vectors::by_hash(connection, &space.generation, &chunk.hash)? {
                    Some(known) => Some(known),
                    None => match source {
                        Some(source) => vectors::by_hash(connection, source, &chunk.hash)?,
                        None => None,
                    },
                };
                let text = read_text(connection, chunk.document, Span::new(chunk.start, chunk.end))?;
                let text =
                    text.ok_or_else(|| wrong(format!("the text of chunk {} is incomplete", chunk.chunk)))?;
                if text_hash(&chunk.headings, &text) != chunk.hash {
                    return Err(wrong(format!(
                        "the text of chunk {} is not what was stored",
                        chunk.chunk
                    )));
                }
                batch.push((chunk.chunk, embedded_text(&chunk.headings, &text), known));
            }
            Ok(batch)
        })?;
        let Some((last, _, _)) = batch.last() else {
            return Ok(());
        };
        after = *last;
        let texts: Vec<&str> = batch
            .iter()
            .filter(|(_, _, known)| known.is_none())
            .map(|(_, text, _)| text.as_str())
            .collect();
        let (rows, truncated) = match texts.is_empty() {
            true => (Vec::new(), 0),
            false => embed_checked(space, &texts)?,
        };
        report.embedded += rows.len();
        report.reused += batch.len() - rows.len();
        report.truncated += truncated;
        left = left.saturating_sub(batch.len());
        let count = batch.len();
        let mut rows = rows.into_iter();
        base.store.write_aside(|connection| {
            for (chunk, _, known) in batch {
                let exists = vectors::chunk_exists(connection, chunk)?;
                if let Some(row) = known.or_else(|| rows.next())
                    && exists
                {
                    vectors::put(connection, id, chunk, &row)?;
                }
            }
            Ok(())
        })?;
        if let Some(on_event) = &options.on_event {
            let done = report.embedded + report.reused;
            on_event(&SyncEvent::Embedded {
                done,
                total: done + left,
            });
        }
        if count < BATCH_TEXTS {
            return Ok(());
        }
    }
}
