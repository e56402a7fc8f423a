//! The graph and the scan on codes against the exact index.

#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lint does not know for such"
)]

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use ragtune_core::Cancel;
use ragtune_retrieve::testing::conformance;
use ragtune_retrieve::{
    Error, ExactIndex, Found, GraphEvent, GraphIndex, GraphOptions, Metric, Plan, PlanOptions, SlotSet,
    VectorIndex,
};

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

/// Numbers around zero.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 8) as f32 / (1 << 24) as f32 - 0.5
    }

    fn vector(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| self.next()).collect()
    }
}

/// How vectors lie.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Spread,
    Clustered,
    Repeated,
    Equal,
    /// A third as long as the rest, or three times.
    Lengths,
    /// Far from the origin, near each other.
    Far,
}

const SHAPES: [Shape; 6] = [
    Shape::Spread,
    Shape::Clustered,
    Shape::Repeated,
    Shape::Equal,
    Shape::Lengths,
    Shape::Far,
];

fn vectors(shape: Shape, seed: u32, count: usize, dim: usize) -> Vec<Vec<f32>> {
    let mut numbers = Numbers(seed.wrapping_mul(2) | 1);
    let centres: Vec<Vec<f32>> = (0..7).map(|_| numbers.vector(dim)).collect();
    let make = |i: usize| {
        let own = numbers.vector(dim);
        let centre = &centres[i * i % 7];
        let at = |scale: f32, centre: &[f32]| own.iter().zip(centre).map(|(x, c)| c + scale * x).collect();
        match shape {
            Shape::Spread => own,
            Shape::Clustered => at(0.05, centre),
            Shape::Repeated => centre.clone(),
            Shape::Equal => centres[0].clone(),
            Shape::Lengths => own.iter().map(|x| x * [1.0, 3.0, 0.3][i % 3]).collect(),
            Shape::Far => at(1.0, &vec![30.0; dim]),
        }
    };
    (0..count).map(make).collect()
}

fn rows(vectors: &[Vec<f32>]) -> impl Iterator<Item = &[f32]> {
    vectors.iter().map(Vec::as_slice)
}

fn always_walk() -> PlanOptions {
    PlanOptions::default().with_graph_from(0)
}

fn recall(
    found: &[Found],
    exact: &ExactIndex,
    queries: &[Vec<f32>],
    top_k: usize,
    allowed: Option<&SlotSet>,
) -> f64 {
    let (mut hits, mut wanted) = (0, 0);
    for (found, query) in found.iter().zip(queries) {
        let nearest = exact.search(query, top_k, allowed).unwrap();
        assert_eq!(found.neighbors.len(), nearest.len());
        wanted += nearest.len();
        // Neighbours that are equally near are as good.
        let last = nearest.last().map_or(0.0, |last| last.score);
        hits += found
            .neighbors
            .iter()
            .filter(|neighbor| neighbor.score >= last)
            .count();
    }
    hits as f64 / wanted.max(1) as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_scan_on_codes_gives_the_bits_of_a_scan_in_f32(
        shape in 0usize..6, seed in 1u32.., count in 0usize..600, dim in 1usize..100, top_k in 0usize..40,
    ) {
        let vectors = vectors(SHAPES[shape], seed, count, dim);
        let mut numbers = Numbers(seed ^ 0x5555_5555);
        let mut queries: Vec<Vec<f32>> = (0..9).map(|_| numbers.vector(dim)).collect();
        queries.extend(vectors.first().cloned());
        let filter: SlotSet = (0..count as u32).filter(|slot| slot % 5 != seed % 5).collect();
        for metric in METRICS {
            let exact = ExactIndex::new(metric, dim, rows(&vectors)).unwrap();
            let index = GraphIndex::unlinked(metric, dim, rows(&vectors)).unwrap();
            let slices: Vec<&[f32]> = rows(&queries).collect();
            let together = index.find_batch(&slices, top_k, None).unwrap();
            for (query, together) in queries.iter().zip(together) {
                for allowed in [None, Some(&filter)] {
                    let found = index.find(query, top_k, allowed).unwrap();
                    prop_assert!(found.plan.is_exact());
                    prop_assert_eq!(&found.neighbors, &exact.search(query, top_k, allowed).unwrap());
                }
                prop_assert_eq!(together.neighbors, exact.search(query, top_k, None).unwrap());
            }
        }
    }

    #[test]
    fn a_walk_that_keeps_everything_finds_everything(
        shape in 0usize..6, seed in 1u32.., count in 1usize..500, dim in 1usize..40, m in 2usize..12,
    ) {
        let vectors = vectors(SHAPES[shape], seed, count, dim);
        let query = Numbers(seed ^ 0x3333_3333).vector(dim);
        let filter: SlotSet = (0..count as u32).filter(|slot| slot % 3 == seed % 3).collect();
        let options = GraphOptions::default().with_m(m).unwrap().with_ef_construction(24).unwrap();
        for metric in METRICS {
            let exact = ExactIndex::new(metric, dim, rows(&vectors)).unwrap();
            let index = GraphIndex::build(metric, dim, rows(&vectors), &options.clone().with_ef_search(count).unwrap());
            let index = index.unwrap().with_plan(always_walk());
            let found = index.find(&query, 10, None).unwrap();
            prop_assert!(matches!(found.plan, Plan::Graph { .. }), "{:?}", found.plan);
            // The order on codes decides what is scored; within their error the last may differ.
            let nearest = exact.search(&query, 10, None).unwrap();
            prop_assert_eq!(found.neighbors.len(), nearest.len());
            let worst = |neighbors: &[ragtune_retrieve::Neighbor]| neighbors.last().map_or(0.0, |last| last.score);
            let size = vectors.iter().flatten().fold(1f32, |size, x| size.max(x.abs()));
            prop_assert!((worst(&found.neighbors) - worst(&nearest)).abs() <= 0.02 * size * size * dim as f32);
            let found = index.find(&query, 10, Some(&filter)).unwrap();
            prop_assert!(found.neighbors.iter().all(|neighbor| filter.contains(neighbor.slot)));
            prop_assert_eq!(found.neighbors, exact.search(&query, 10, Some(&filter)).unwrap());
        }
    }
}

#[test]
fn the_suite_of_vector_indexes_is_passed_without_a_graph() {
    for (shape, dim) in [(Shape::Spread, 33), (Shape::Repeated, 4), (Shape::Lengths, 70)] {
        let vectors = vectors(shape, 5, 400, dim);
        for metric in METRICS {
            let index = GraphIndex::unlinked(metric, dim, rows(&vectors)).unwrap();
            let violations = conformance::vector_index(&index, &vectors, &vectors[..3]);
            assert_eq!(violations, Vec::<String>::new());
        }
    }
}

#[test]
fn walks_find_as_much_as_was_asked_for() {
    for (shape, dim) in [
        (Shape::Spread, 12),
        (Shape::Clustered, 48),
        (Shape::Repeated, 16),
        (Shape::Equal, 8),
        (Shape::Lengths, 24),
        (Shape::Spread, 2),
    ] {
        let all = vectors(shape, 11, 3200, dim);
        let (vectors, queries) = all.split_at(3000);
        let slices: Vec<&[f32]> = rows(queries).collect();
        let half: SlotSet = (0..3000).filter(|slot| slot % 2 == 0).collect();
        for metric in METRICS {
            let exact = ExactIndex::new(metric, dim, rows(vectors)).unwrap();
            let index = GraphIndex::build(metric, dim, rows(vectors), &GraphOptions::default()).unwrap();
            let index = index.with_plan(always_walk());
            let found = index.find_batch(&slices, 10, None).unwrap();
            let reached = recall(&found, &exact, queries, 10, None);
            assert!(
                reached >= 0.97,
                "{shape:?} {metric:?}: {reached} with {:?}",
                index.ef_search()
            );
            let found = index.find_batch(&slices, 10, Some(&half)).unwrap();
            let reached = recall(&found, &exact, queries, 10, Some(&half));
            assert!(reached >= 0.97, "{shape:?} {metric:?} of half: {reached}");
        }
    }
}

#[test]
fn few_matches_are_compared_one_by_one_and_many_are_walked_for() {
    let vectors = vectors(Shape::Clustered, 3, 6000, 16);
    let options = GraphOptions::default().with_ef_search(10).unwrap();
    let index = GraphIndex::build(Metric::Cosine, 16, rows(&vectors), &options)
        .unwrap()
        .with_plan(always_walk());
    let every = |step: u32| -> SlotSet { (0..6000).filter(|slot| slot % step == 1).collect() };
    let exact = ExactIndex::new(Metric::Cosine, 16, rows(&vectors)).unwrap();
    let found = index.find(&vectors[9], 10, Some(&every(50))).unwrap();
    assert_eq!((found.plan, found.compared), (Plan::Matches, 120));
    assert_eq!(
        found.neighbors,
        exact.search(&vectors[9], 10, Some(&every(50))).unwrap()
    );
    let most: SlotSet = (0..6000).filter(|slot| slot % 10 != 1).collect();
    assert_eq!(
        index.find(&vectors[9], 10, Some(&most)).unwrap().plan,
        Plan::FilteredGraph { ef: 10 }
    );
    // Matches that lie far from the query would make a walk go everywhere.
    let query = &vectors[0];
    let far = exact.search(query, 6000, None).unwrap();
    let far: SlotSet = far[4000..].iter().map(|neighbor| neighbor.slot).collect();
    let found = index.find(query, 10, Some(&far)).unwrap();
    assert_eq!(found.neighbors, exact.search(query, 10, Some(&far)).unwrap());
}

#[test]
fn more_neighbours_than_vectors_are_all_vectors() {
    let vectors = vectors(Shape::Repeated, 3, 50, 6);
    let index = GraphIndex::build(Metric::L2, 6, rows(&vectors), &GraphOptions::default()).unwrap();
    let exact = ExactIndex::new(Metric::L2, 6, rows(&vectors)).unwrap();
    for index in [index.clone(), index.with_plan(always_walk())] {
        assert_eq!(
            index.search(&vectors[4], 99, None).unwrap(),
            exact.search(&vectors[4], 99, None).unwrap()
        );
    }
    let empty = GraphIndex::build(Metric::L2, 6, [], &GraphOptions::default()).unwrap();
    assert!(empty.is_empty());
    assert_eq!(empty.search(&[0.0; 6], 5, None).unwrap(), []);
    assert_eq!(
        empty
            .with_plan(always_walk())
            .search(&[0.0; 6], 5, Some(&SlotSet::new()))
            .unwrap(),
        []
    );
}

#[test]
fn bad_vectors_and_options_are_refused_by_name() {
    let options = GraphOptions::default();
    let build = |metric, vectors: &[&[f32]]| GraphIndex::build(metric, 2, vectors.iter().copied(), &options);
    let error = build(Metric::Cosine, &[&[1.0, 0.0], &[0.0, f32::NAN]]).unwrap_err();
    assert!(
        matches!(error, Error::Core(ragtune_core::Error::NotFinite { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("vector 1"), "{error}");
    let error = build(Metric::Dot, &[&[f32::INFINITY, 0.0]]).unwrap_err();
    assert!(
        matches!(error, Error::Core(ragtune_core::Error::NotFinite { .. })),
        "{error}"
    );
    let error = build(Metric::Cosine, &[&[0.0, 0.0]]).unwrap_err();
    assert!(matches!(error, Error::ZeroVector { .. }), "{error}");
    let error = build(Metric::L2, &[&[0.0, 0.0], &[1.0]]).unwrap_err();
    assert!(
        matches!(error, Error::Core(ragtune_core::Error::Dimension { .. })),
        "{error}"
    );
    assert!(GraphIndex::build(Metric::L2, 0, [], &options).is_err());
    assert!(GraphOptions::default().with_m(1).is_err() && GraphOptions::default().with_m(1000).is_err());
    assert!(
        GraphOptions::default().with_recall(1.5).is_err()
            && GraphOptions::default().with_recall(f32::NAN).is_err()
    );
    assert!(GraphOptions::default().with_ef_construction(0).is_err());
    let index = build(Metric::Cosine, &[&[1.0, 0.0]]).unwrap();
    for query in [
        &[f32::NAN, 0.0] as &[f32],
        &[0.0, 0.0],
        &[1.0],
        &[1.0, f32::INFINITY],
    ] {
        assert!(index.find(query, 1, None).is_err() && index.find_batch(&[query], 1, None).is_err());
    }
    assert!(matches!(
        index.scores(&[1.0, 0.0], &[1]),
        Err(Error::NoSuchSlot { slot: 1, len: 1 })
    ));
}

#[test]
fn numbers_near_the_limits_of_f32_do_not_hurt() {
    let vectors = [[3e38f32, 3e38], [-3e38, 1.0], [1e-38, 1e-38], [0.0, 1e-44]];
    for metric in METRICS {
        let index = GraphIndex::build(
            metric,
            2,
            vectors.iter().map(<[f32; 2]>::as_slice),
            &GraphOptions::default(),
        );
        let index = index.unwrap();
        let exact = ExactIndex::new(metric, 2, vectors.iter().map(<[f32; 2]>::as_slice)).unwrap();
        for query in [[1.0f32, 1.0], [3e38, 1.0], [1e-40, 0.0]] {
            assert_eq!(
                index.search(&query, 4, None).unwrap(),
                exact.search(&query, 4, None).unwrap()
            );
            assert_eq!(
                index
                    .clone()
                    .with_plan(always_walk())
                    .search(&query, 4, None)
                    .unwrap()
                    .len(),
                4
            );
        }
    }
}

#[test]
fn building_tells_how_far_it_is_and_stops_when_asked_to() {
    let vectors = vectors(Shape::Spread, 3, 900, 8);
    let heard: Arc<Mutex<Vec<GraphEvent>>> = Arc::default();
    let listener = Arc::clone(&heard);
    let options = GraphOptions::default().with_on_event(move |event| listener.lock().unwrap().push(event));
    GraphIndex::build(Metric::Cosine, 8, rows(&vectors), &options).unwrap();
    let heard = heard.lock().unwrap();
    assert!(heard.contains(&GraphEvent::Linked {
        done: 900,
        total: 900
    }));
    assert!(
        matches!(heard.last(), Some(GraphEvent::Measured { .. })),
        "{heard:?}"
    );
    let cancel = Cancel::new();
    cancel.cancel();
    let stopped = GraphIndex::build(
        Metric::Cosine,
        8,
        rows(&vectors),
        &GraphOptions::default().with_cancel(cancel),
    );
    assert!(matches!(
        stopped,
        Err(Error::Core(ragtune_core::Error::Cancelled))
    ));
}
