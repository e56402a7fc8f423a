//! What the benchmarks of vector indexes share: searching, and recall.

use ragtune::retrieve::{Found, GraphIndex, Neighbor, Result, SlotSet};

use crate::measure::thread_seconds;

/// Neighbours that a query asks for.
pub const K: usize = 10;

/// All queries, one after another; the processor seconds that they took.
///
/// # Errors
/// As [`GraphIndex::find`].
pub fn search(
    index: &GraphIndex,
    queries: &[Vec<f32>],
    allowed: Option<&SlotSet>,
) -> Result<(f64, Vec<Found>)> {
    let started = thread_seconds();
    let found = queries.iter().map(|query| index.find(query, K, allowed));
    let found = found.collect::<Result<Vec<_>>>()?;
    Ok((thread_seconds() - started, found))
}

/// The labels found, [`K`] a query, -1 where there are fewer.
pub fn labels(found: &[Found]) -> Vec<f64> {
    let mut labels = Vec::with_capacity(found.len() * K);
    for found in found {
        let start = labels.len();
        labels.extend(found.neighbors.iter().map(|neighbor| f64::from(neighbor.slot)));
        labels.resize(start + K, -1.0);
    }
    labels
}

/// The share of the nearest that was found.
pub fn recall(labels: &[f64], truth: &[Vec<Neighbor>]) -> f64 {
    let found = labels.chunks(K).zip(truth);
    let hits: usize = found
        .map(|(labels, truth)| {
            truth
                .iter()
                .filter(|near| labels.contains(&f64::from(near.slot)))
                .count()
        })
        .sum();
    hits as f64 / truth.iter().map(Vec::len).sum::<usize>() as f64
}

/// Queries a second at a recall, between the two settings around it, of pairs of recall and queries a second.
pub fn at_recall(curve: &[(f64, f64)], wanted: f64) -> Option<f64> {
    let above = curve.iter().position(|(recall, _)| *recall >= wanted)?;
    let (recall, qps) = curve[above];
    let Some((before, faster)) = above.checked_sub(1).map(|before| curve[before]) else {
        return Some(qps);
    };
    let share = (wanted - before) / (recall - before);
    Some((faster.ln() + share * (qps.ln() - faster.ln())).exp())
}
