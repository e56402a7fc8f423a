//! Vector indexes against a scan in double precision.

use ragtune_core::text::ScoreKind;

use crate::index::{Metric, SlotSet, VectorIndex};

/// How far a score may lie from the exact one, relative to the size of the vectors.
const TOLERANCE: f64 = 1e-4;

/// Checks an exact index: scores, order, ties, filters and errors, against a scan of the vectors that it was built
/// from, for these queries.
pub fn vector_index(index: &dyn VectorIndex, vectors: &[Vec<f32>], queries: &[Vec<f32>]) -> Vec<String> {
    let mut violations = Vec::new();
    if index.len() != vectors.len() || index.is_empty() != vectors.is_empty() {
        violations.push(format!("len() is {} of {} vectors", index.len(), vectors.len()));
        return violations;
    }
    let every_third: SlotSet = (0..vectors.len() as u32).step_by(3).collect();
    let none = SlotSet::new();
    for (at, query) in queries.iter().enumerate() {
        for (allowed, words) in [
            (None, "among all"),
            (Some(&every_third), "among every third"),
            (Some(&none), "among none"),
        ] {
            for top_k in [0, 1, 7, vectors.len() + 1] {
                let case = format!("query {at}, top {top_k} {words}");
                check(index, vectors, query, top_k, allowed, &case, &mut violations);
            }
        }
    }
    let Some(dim) = vectors.first().map(Vec::len) else {
        return violations;
    };
    let mut refuse = |query: &[f32], what: &str| {
        if index.search(query, 1, None).is_ok() || index.scores(query, &[0]).is_ok() {
            violations.push(format!("{what} is searched for instead of refused"));
        }
    };
    refuse(&vec![1.0; dim + 1], "a query of another dimension");
    refuse(&vec![f32::NAN; dim], "a query of NaN");
    refuse(&vec![f32::INFINITY; dim], "a query of infinity");
    if index.metric() == Metric::Cosine {
        refuse(&vec![0.0; dim], "a query of length zero under the cosine metric");
    }
    if index.scores(&vec![1.0; dim], &[vectors.len() as u32]).is_ok() {
        violations.push("scores() of a slot that does not exist is no error".to_owned());
    }
    violations
}

fn check(
    index: &dyn VectorIndex,
    vectors: &[Vec<f32>],
    query: &[f32],
    top_k: usize,
    allowed: Option<&SlotSet>,
    case: &str,
    violations: &mut Vec<String>,
) {
    let found = match index.search(query, top_k, allowed) {
        Ok(found) => found,
        Err(error) => return violations.push(format!("{case}: {error}")),
    };
    let is_allowed = |slot: u32| allowed.is_none_or(|allowed| allowed.contains(slot));
    let mut exact: Vec<(u32, f64)> = (0u32..)
        .zip(vectors)
        .filter(|(slot, _)| is_allowed(*slot))
        .map(|(slot, vector)| (slot, score(index.metric(), query, vector)))
        .collect();
    exact.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if found.len() != exact.len().min(top_k) {
        let expected = exact.len().min(top_k);
        return violations.push(format!("{case}: {} hits where there are {expected}", found.len()));
    }
    let size = |vector: &[f32]| f64::from(vector.iter().fold(1.0f32, |size, x| size.max(x.abs())));
    let scale = size(query) * vectors.iter().map(|vector| size(vector)).fold(1.0, f64::max);
    for (rank, (hit, (_, wanted))) in found.iter().zip(&exact).enumerate() {
        if !is_allowed(hit.slot) {
            violations.push(format!("{case}: slot {} is not allowed", hit.slot));
        }
        if (f64::from(hit.score) - wanted).abs() > TOLERANCE * scale {
            violations.push(format!(
                "{case}: rank {rank} scores {} where the exact score is {wanted}",
                hit.score
            ));
        }
        let own = vectors
            .get(hit.slot as usize)
            .map(|vector| score(index.metric(), query, vector));
        if own.is_none_or(|own| (f64::from(hit.score) - own).abs() > TOLERANCE * scale) {
            violations.push(format!(
                "{case}: slot {} scores {}, its vector {own:?}",
                hit.slot, hit.score
            ));
        }
    }
    for pair in found.windows(2) {
        if let [a, b] = pair
            && (a.score < b.score || a.score == b.score && a.slot >= b.slot)
        {
            violations.push(format!("{case}: {a:?} stands before {b:?}"));
        }
    }
    let slots: Vec<u32> = found.iter().map(|hit| hit.slot).collect();
    let scores: Vec<f32> = found.iter().map(|hit| hit.score).collect();
    match index.scores(query, &slots) {
        Ok(again) if again == scores => {}
        other => violations.push(format!("{case}: search() scores {scores:?}, scores() {other:?}")),
    }
}

fn score(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    let length = |vector: &[f32]| vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    match metric.score_kind() {
        ScoreKind::Dot => dot,
        ScoreKind::L2 => -pairs().map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt(),
        _ => dot / (length(a) * length(b)),
    }
}
