//! Merging: what is found before, meanwhile and after; files that are damaged, foreign and gone.

#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lint does not know for such"
)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ragtune_core::Cancel;
use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Document, Filter, Query};
use ragtune_retrieve::{
    Error, GraphEvent, GraphOptions, KnowledgeBase, MergeOptions, Metric, Mode, Plan, PlanOptions, Retriever,
    SearchOptions,
};
use support::*;

const QUESTIONS: [&str; 3] = ["topic7 of text 33", "tea number 3", "green leaf"];

fn document(i: usize) -> Document {
    let text = format!(
        "Text {i} about topic{}.\n\nAnd of tea number {}.\n\nGreen leaf.",
        i % 17,
        i % 5
    );
    Document::new(format!("{i:04}"), text).with_metadata("even", i64::from(i.is_multiple_of(2)))
}

fn plan_of(kb: &KnowledgeBase, plan: PlanOptions) -> Option<Plan> {
    let options = SearchOptions::default().with_mode(Mode::Dense).with_plan(plan);
    kb.clone()
        .with_search(options)
        .explain(&Query::new("topic7"))
        .unwrap()
        .plan
}

/// Answers by both ways, which must be those of a base that is built afresh.
fn assert_answers(kb: &KnowledgeBase, documents: impl IntoIterator<Item = Document>) {
    let afresh = in_memory();
    afresh.add(documents).unwrap();
    for question in QUESTIONS {
        let wanted = seen(&afresh, question, 25);
        assert_eq!(seen(kb, question, 25), wanted);
        assert_eq!(seen_by(kb, walking(), question, 25), wanted);
    }
}

fn index_file(base: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(base.join("vectors")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

#[test]
fn everything_is_found_before_and_after_a_merge_and_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    for kb in [open(folder.path()), in_memory()] {
        assert_eq!(merge(&kb).vectors, 0);
        kb.add((0..200).map(document)).unwrap();
        assert_eq!(plan_of(&kb, walking()), Some(Plan::Scan));
        let report = merge(&kb);
        assert!(report.is_linked && report.vectors == report.added, "{report:?}");
        // The passages that all documents share are one node.
        assert!(report.vectors <= 200 + 5 + 1);
        assert!(matches!(plan_of(&kb, walking()), Some(Plan::Graph { .. })));
        assert_eq!(plan_of(&kb, PlanOptions::default()), Some(Plan::Scan));
        assert_answers(&kb, (0..200).map(document));
        // New ones beside the graph, deleted ones inside it.
        kb.add((200..260).map(document)).unwrap();
        kb.remove((0..10).map(|i| format!("{i:04}"))).unwrap();
        assert!(matches!(plan_of(&kb, walking()), Some(Plan::Graph { .. })));
        assert_answers(&kb, (10..260).map(document));
        let report = merge(&kb);
        // Their other passages have vectors that were there, and some of these hashes are equal.
        assert!(
            (40..=60).contains(&report.added) && report.removed == 0,
            "{report:?}"
        );
        assert_answers(&kb, (10..260).map(document));
        // Many deleted ones are left out.
        kb.remove((10..150).map(|i| format!("{i:04}"))).unwrap();
        assert_answers(&kb, (150..260).map(document));
        let report = merge(&kb);
        assert!(report.removed > 100 && report.is_linked, "{report:?}");
        assert_answers(&kb, (150..260).map(document));
        let again = merge(&kb);
        assert_eq!(
            (again.added, again.removed, again.vectors),
            (0, 0, report.vectors)
        );
        assert_whole(&kb);
    }
    // Another process opens the file.
    let kb = open(folder.path());
    assert!(matches!(plan_of(&kb, walking()), Some(Plan::Graph { .. })));
    assert_answers(&kb, (150..260).map(document));
}

#[test]
fn filters_are_honoured_in_the_graph() {
    let kb = in_memory();
    kb.add((0..300).map(document)).unwrap();
    merge(&kb);
    kb.add((300..340).map(document)).unwrap();
    let query = Query::new("topic7 of text 34")
        .with_top_k(20)
        .with_filter(Filter::eq("even", 1));
    let dense = SearchOptions::default().with_mode(Mode::Dense);
    let mut scan = kb.clone().with_search(dense.clone()).explain(&query).unwrap();
    let mut walk = kb
        .clone()
        .with_search(dense.with_plan(walking()))
        .explain(&query)
        .unwrap();
    assert_eq!(scan.plan, Some(Plan::Matches));
    for explained in [&mut scan, &mut walk] {
        // Every hit tells the way; apart from that both ways give the same.
        assert!(explained.hits.iter().all(|hit| hit.plan == explained.plan));
        explained.hits.iter_mut().for_each(|hit| hit.plan = None);
    }
    assert_eq!(scan.hits, walk.hits);
    assert!(
        scan.hits
            .iter()
            .all(|hit| hit.chunk.document_id.ends_with(['0', '2', '4', '6', '8']))
    );
}

#[test]
fn a_merge_is_done_only_where_it_is_worth_it() {
    let kb = in_memory();
    kb.add((0..50).map(document)).unwrap();
    let report = kb.merge(&MergeOptions::default()).unwrap();
    assert_eq!((report.added, report.vectors), (0, 0));
    // Below the size from which on the graph is walked, nothing is linked.
    let report = kb.merge(&MergeOptions::default().with_always(true)).unwrap();
    assert!(report.added > 50 && !report.is_linked);
    assert_answers(&kb, (0..50).map(document));
}

#[test]
fn a_damaged_file_costs_nothing_but_time() {
    let folder = tempfile::tempdir().unwrap();
    let kb = open(folder.path());
    kb.add((0..120).map(document)).unwrap();
    merge(&kb);
    drop(kb);
    let file = index_file(folder.path());
    let whole = std::fs::read(&file).unwrap();
    let places = [
        9,
        100,
        520,
        4000,
        whole.len() / 2,
        whole.len() - 4000,
        whole.len() - 9,
    ];
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 64;
        std::fs::write(&file, bytes).unwrap();
        let kb = open(folder.path());
        assert_answers(&kb, (0..120).map(document));
        assert_whole(&kb);
    }
    for bytes in [&whole[..700], &[], b"something else"] {
        std::fs::write(&file, bytes).unwrap();
        assert_answers(&open(folder.path()), (0..120).map(document));
    }
    std::fs::remove_file(&file).unwrap();
    let kb = open(folder.path());
    assert_answers(&kb, (0..120).map(document));
    assert_eq!(plan_of(&kb, walking()), Some(Plan::Scan));
    assert!(merge(&kb).is_linked);
    assert!(matches!(plan_of(&kb, walking()), Some(Plan::Graph { .. })));
    assert_whole(&kb);
}

#[test]
fn the_file_of_another_base_is_not_used() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let build = |folder: &Path, from: usize| {
        let kb = open(folder);
        kb.add((from..from + 100).map(document)).unwrap();
        merge(&kb);
    };
    build(one.path(), 0);
    build(other.path(), 40);
    std::fs::copy(index_file(other.path()), index_file(one.path())).unwrap();
    let kb = open(one.path());
    assert_eq!(plan_of(&kb, walking()), Some(Plan::Scan));
    assert_answers(&kb, (0..100).map(document));
}

#[test]
fn another_embedder_has_another_index() {
    let folder = tempfile::tempdir().unwrap();
    let kb = open(folder.path());
    kb.add((0..100).map(document)).unwrap();
    merge(&kb);
    kb.reembed(HashingEmbedder::new(32)).unwrap();
    assert_eq!(plan_of(&kb, walking()), Some(Plan::Scan));
    assert!(merge(&kb).is_linked);
    assert!(matches!(plan_of(&kb, walking()), Some(Plan::Graph { .. })));
    kb.rebuild_indexes().unwrap();
    assert_eq!(plan_of(&kb, walking()), Some(Plan::Scan));
    assert_whole(&kb);
}

#[test]
fn other_metrics_are_merged_too() {
    for metric in [Metric::Dot, Metric::L2] {
        let base = || in_memory().with_metric(metric).unwrap();
        let (kb, afresh) = (base(), base());
        kb.add((0..80).map(document)).unwrap();
        merge(&kb);
        kb.add((80..120).map(document)).unwrap();
        afresh.add((0..120).map(document)).unwrap();
        for question in QUESTIONS {
            assert_eq!(seen_by(&kb, walking(), question, 9), seen(&afresh, question, 9));
        }
    }
}

#[test]
fn searches_and_writes_go_on_while_vectors_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let kb = open(folder.path()).with_search(
        SearchOptions::default()
            .with_mode(Mode::Dense)
            .with_plan(walking()),
    );
    kb.add((0..100).map(document)).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    let hits = kb
                        .retrieve(&Query::new("Text 33 about topic16.").with_top_k(5))
                        .unwrap();
                    assert_eq!((hits.len(), hits[0].chunk.document_id.as_str()), (5, "0033"));
                }
            });
        }
        for round in 1..6 {
            let merging = kb.merge_in_background(MergeOptions::default().with_always(true));
            kb.add((100 * round..100 * round + 40).map(document)).unwrap();
            kb.remove([format!("{:04}", 100 * round)]).unwrap();
            merging.join().unwrap().unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert_whole(&kb);
    let kept = (0..100).chain((1..6).flat_map(|round| 100 * round + 1..100 * round + 40));
    assert_answers(&kb, kept.map(document));
}

#[test]
fn a_merge_tells_how_far_it_is_and_stops_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let kb = open(folder.path()).with_search(SearchOptions::default().with_plan(walking()));
    kb.add((0..100).map(document)).unwrap();
    let cancel = Cancel::new();
    cancel.cancel();
    let always = MergeOptions::default().with_always(true);
    let stopped = kb.merge(
        &always
            .clone()
            .with_graph(GraphOptions::default().with_cancel(cancel)),
    );
    assert!(matches!(
        stopped,
        Err(Error::Core(ragtune_core::Error::Cancelled))
    ));
    assert_answers(&kb, (0..100).map(document));
    let heard: Arc<Mutex<Vec<GraphEvent>>> = Arc::default();
    let listener = Arc::clone(&heard);
    let graph = GraphOptions::default().with_on_event(move |event| listener.lock().unwrap().push(event));
    kb.merge(&always.with_graph(graph)).unwrap();
    assert!(matches!(
        heard.lock().unwrap().last(),
        Some(GraphEvent::Measured { .. })
    ));
}
