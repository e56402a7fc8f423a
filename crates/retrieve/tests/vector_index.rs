//! The exact index against a brute-force scan in double precision.

use proptest::prelude::*;
use ragtune_retrieve::testing::conformance;
use ragtune_retrieve::{ExactIndex, Metric, VectorIndex};

fn pseudo_random(seed: u32, count: usize, dim: usize) -> Vec<Vec<f32>> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..dim).map(|_| next()).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn exact_search_is_exact(seed in 1u32.., count in 0usize..300, dim in 1usize..70) {
        let mut vectors = pseudo_random(seed, count, dim);
        // Repeated vectors make ties.
        for i in (5..count).step_by(5) {
            vectors[i] = vectors[i - 5].clone();
        }
        let queries = pseudo_random(seed ^ 0x5555, 2, dim);
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let index = ExactIndex::new(metric, dim, vectors.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(conformance::vector_index(&index, &vectors, &queries), Vec::<String>::new());
        }
    }
}

#[test]
fn a_large_index_is_searched_exactly_too() {
    let (vectors, queries) = (pseudo_random(9, 20_000, 64), pseudo_random(10, 2, 64));
    let index = ExactIndex::new(Metric::Cosine, 64, vectors.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(
        conformance::vector_index(&index, &vectors, &queries),
        Vec::<String>::new()
    );
}

#[test]
fn the_suite_notices_an_index_that_ignores_its_filter() {
    struct Ignores(ExactIndex);
    impl VectorIndex for Ignores {
        fn metric(&self) -> Metric {
            self.0.metric()
        }
        fn len(&self) -> usize {
            self.0.len()
        }
        fn search(
            &self,
            query: &[f32],
            top_k: usize,
            _: Option<&ragtune_retrieve::SlotSet>,
        ) -> ragtune_retrieve::Result<Vec<ragtune_retrieve::Neighbor>> {
            self.0.search(query, top_k, None)
        }
        fn scores(&self, query: &[f32], slots: &[u32]) -> ragtune_retrieve::Result<Vec<f32>> {
            self.0.scores(query, slots)
        }
    }
    let vectors = pseudo_random(3, 20, 4);
    let index = ExactIndex::new(Metric::Dot, 4, vectors.iter().map(Vec::as_slice)).unwrap();
    assert!(!conformance::vector_index(&Ignores(index), &vectors, &vectors[..1]).is_empty());
}
