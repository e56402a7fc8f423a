//! Search for texts that are almost equal.
//!
//! Signatures are cut into bands; texts that agree in a whole band are candidates (Indyk and Motwani 1998; Leskovec,
//! Rajaraman, Ullman: Mining of massive datasets, 3.4), and candidates are compared piece by piece, so that nothing is
//! found that is not as alike as asked.

use std::collections::HashMap;

use rayon::prelude::*;

use super::min_hash::{self, HASHES, jaccard, shingles};

/// Of the pairs that are exactly as alike as asked, the expected part that become candidates at least.
const RECALL: f64 = 0.999;

/// Texts by the bands of their signatures.
pub(super) struct NearIndex {
    threshold: f64,
    rows: usize,
    keys: [u64; HASHES],
    buckets: HashMap<(usize, u64), Vec<usize>>,
    sets: HashMap<usize, Vec<u64>>,
}

/// A text's pieces and the hashes of its bands.
pub(super) struct Sketch {
    set: Vec<u64>,
    bands: Vec<u64>,
}

impl NearIndex {
    /// An index of nothing, for texts with a Jaccard index of at least `threshold`.
    pub(super) fn new(threshold: f64) -> Self {
        Self {
            threshold,
            rows: rows(threshold),
            keys: min_hash::keys(),
            buckets: HashMap::new(),
            sets: HashMap::new(),
        }
    }

    /// The sketches of texts, in parallel.
    pub(super) fn sketches(&self, texts: &[String]) -> Vec<Sketch> {
        texts.par_iter().map(|text| self.sketch(text)).collect()
    }

    /// Adds a text under a number.
    pub(super) fn insert(&mut self, number: usize, sketch: Sketch) {
        for (band, &hash) in sketch.bands.iter().enumerate() {
            self.buckets.entry((band, hash)).or_default().push(number);
        }
        self.sets.insert(number, sketch.set);
    }

    /// The least number of a text that is almost this one and that `accepts` takes, and how alike they are.
    pub(super) fn find(&self, sketch: &Sketch, accepts: impl Fn(usize) -> bool) -> Option<(usize, f64)> {
        let bands = sketch.bands.iter().enumerate();
        let mut candidates: Vec<usize> = bands
            .filter_map(|(band, &hash)| self.buckets.get(&(band, hash)))
            .flatten()
            .copied()
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .into_iter()
            .filter(|&number| accepts(number))
            .find_map(|number| {
                let alike = jaccard(&sketch.set, self.sets.get(&number)?);
                (alike >= self.threshold).then_some((number, alike))
            })
    }

    fn sketch(&self, text: &str) -> Sketch {
        let set = shingles(text);
        let signature = min_hash::signature(&set, &self.keys);
        let band = |rows: &[u64]| rows.iter().fold(0, |hash, &row| min_hash::mix(hash ^ row));
        Sketch {
            bands: signature.chunks_exact(self.rows).map(band).collect(),
            set,
        }
    }
}

/// The most rows to a band with which pairs at the threshold become candidates often enough: with b bands of r rows,
/// 1 - (1 - t^r)^b.
fn rows(threshold: f64) -> usize {
    let recall = |rows: usize| {
        let agree = threshold.powi(rows as i32);
        1.0 - (1.0 - agree).powi((HASHES / rows) as i32)
    };
    (1..=HASHES)
        .rev()
        .find(|&rows| recall(rows) >= RECALL)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Random;

    #[test]
    fn what_is_found_is_what_comparing_all_finds() {
        let mut random = Random::new(3, 0);
        let mut texts: Vec<String> = Vec::new();
        for _ in 0..300 {
            let mut text: String = match texts.is_empty() || random.below(2) == 0 {
                true => (0..80)
                    .map(|_| char::from(b'a' + random.below(26) as u8))
                    .collect(),
                false => texts[random.below(texts.len())].clone(),
            };
            let at = random.below(text.len());
            text.replace_range(at..=at, "_");
            texts.push(text);
        }
        for threshold in [0.5, 0.8, 0.9] {
            let mut index = NearIndex::new(threshold);
            let sketches = index.sketches(&texts);
            let mut found = Vec::new();
            let mut expected = Vec::new();
            let mut kept: Vec<(usize, Vec<u64>)> = Vec::new();
            for (number, sketch) in sketches.into_iter().enumerate() {
                let alike = |(_, set): &&(usize, Vec<u64>)| jaccard(set, &sketch.set) >= threshold;
                let oracle = kept.iter().find(alike).map(|(other, _)| *other);
                expected.push(oracle);
                found.push(index.find(&sketch, |_| true).map(|(other, _)| other));
                if oracle.is_none() {
                    kept.push((number, sketch.set.clone()));
                    index.insert(number, sketch);
                }
            }
            let missed = found
                .iter()
                .zip(&expected)
                .filter(|(found, expected)| found != expected)
                .count();
            assert!(expected.iter().flatten().count() > 20);
            assert_eq!(missed, 0, "{threshold}");
        }
    }

    #[test]
    fn bands_follow_the_threshold() {
        assert_eq!(rows(0.9), 8);
        assert!(rows(0.5) < rows(0.8) && rows(0.8) < rows(0.95));
        assert_eq!(rows(1.0), HASHES);
    }
}
