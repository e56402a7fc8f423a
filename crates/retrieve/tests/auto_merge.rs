//! Merging by itself: when it starts, what goes on meanwhile, and how it ends.
#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lint does not know for such"
)]

mod support;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Document, Plan, Query};
use ragtune_retrieve::{KnowledgeBase, MergeEvent, MergeOptions, Mode, Retriever, SearchOptions};
use support::*;

fn document(number: usize) -> Document {
    Document::new(
        format!("{number:04}"),
        format!("Text {number} about topic{}.", number % 13),
    )
}

fn by_walking(kb: KnowledgeBase) -> KnowledgeBase {
    let search = SearchOptions::default()
        .with_mode(Mode::Dense)
        .with_plan(walking());
    kb.with_search(search)
}

fn often() -> MergeOptions {
    MergeOptions::default().with_least(50).with_share(0.5).unwrap()
}

/// Options whose merges wait, once they have begun, until the sender is dropped; and what tells that they did.
fn held(options: MergeOptions) -> (MergeOptions, Receiver<()>, Sender<()>) {
    let (began, begins) = channel();
    let (release, released) = channel::<()>();
    let (began, released) = (Mutex::new(began), Mutex::new(released));
    let options = options.with_on_event(move |event| {
        if matches!(event, MergeEvent::Started { .. }) {
            let _ = began.lock().unwrap().send(());
            let _ = released.lock().unwrap().recv();
        }
    });
    (options, begins, release)
}

fn plan(kb: &KnowledgeBase) -> Option<Plan> {
    kb.explain(&Query::new("topic7 of text 33")).unwrap().plan
}

#[test]
fn writes_start_a_merge_when_enough_is_new_or_gone() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let options = often().with_on_event(move |event| heard.lock().unwrap().push(event.clone()));
    let kb = by_walking(in_memory()).with_auto_merge(options);
    kb.add((0..40).map(document)).unwrap();
    assert_eq!(kb.finish_merging().unwrap(), None);
    assert_eq!(plan(&kb), Some(Plan::Scan));
    kb.add((40..120).map(document)).unwrap();
    let report = kb.finish_merging().unwrap().unwrap();
    assert!(report.is_linked && report.added == report.vectors, "{report:?}");
    assert!(matches!(plan(&kb), Some(Plan::Graph { .. })));
    {
        let events = events.lock().unwrap();
        assert!(
            matches!(events[0], MergeEvent::Started { new, gone: 0 } if new == report.vectors),
            "{events:?}"
        );
        assert!(events.iter().any(|event| matches!(event, MergeEvent::Graph(_))));
        assert_eq!(events.last(), Some(&MergeEvent::Finished(report)));
    }
    // Half of what is linked must be new.
    kb.add((120..160).map(document)).unwrap();
    assert_eq!(kb.finish_merging().unwrap(), None);
    kb.add((160..200).map(document)).unwrap();
    assert!(kb.finish_merging().unwrap().unwrap().added > 60);
    // Or a fifth gone.
    kb.remove((0..60).map(|number| format!("{number:04}"))).unwrap();
    assert!(kb.finish_merging().unwrap().unwrap().removed > 40);
    assert_whole(&kb);
}

#[test]
fn it_can_be_left_to_the_caller() {
    let kb = by_walking(in_memory())
        .with_auto_merge(often())
        .without_auto_merge();
    kb.add((0..200).map(document)).unwrap();
    assert_eq!(kb.finish_merging().unwrap(), None);
    assert_eq!(plan(&kb), Some(Plan::Scan));
    for share in [-0.1, f32::NAN, f32::INFINITY] {
        assert!(MergeOptions::default().with_share(share).is_err());
    }
}

#[test]
fn a_base_merges_by_itself_when_nothing_is_said() {
    let kb = KnowledgeBase::in_memory().unwrap();
    let kb = kb.with_embedder(HashingEmbedder::new(4096)).unwrap();
    kb.add((0..100).map(document)).unwrap();
    assert_eq!(kb.finish_merging().unwrap(), None);
    kb.add((100..1500).map(document)).unwrap();
    let report = kb.finish_merging().unwrap().unwrap();
    assert!(
        report.added > MergeOptions::DEFAULT_LEAST && !report.is_linked,
        "{report:?}"
    );
}

#[test]
fn known_vectors_do_not_start_it_again_and_again() {
    let kb = in_memory().with_auto_merge(often());
    let same = |number: usize| Document::new(format!("{number:04}"), "The same text.");
    kb.add((0..60).map(same)).unwrap();
    // One vector is new, which is not worth it.
    assert_eq!(kb.finish_merging().unwrap().unwrap().added, 0);
    kb.add((60..80).map(same)).unwrap();
    assert_eq!(kb.finish_merging().unwrap(), None);
}

#[test]
fn searches_and_writes_do_not_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (options, begins, release) = held(often());
    let kb = by_walking(open(folder.path())).with_auto_merge(options);
    kb.add((0..120).map(document)).unwrap();
    begins.recv().unwrap();
    assert_eq!(
        kb.retrieve(&Query::new("topic7 of text 33").with_top_k(5))
            .unwrap()
            .len(),
        5
    );
    kb.add((120..200).map(document)).unwrap();
    kb.remove(["0033"]).unwrap();
    let hits = kb
        .retrieve(&Query::new("topic7 of text 133").with_top_k(200))
        .unwrap();
    assert_eq!(hits.len(), 199);
    drop(release);
    assert!(kb.finish_merging().unwrap().unwrap().is_linked);
    let found = kb
        .retrieve(&Query::new("topic7 of text 133").with_top_k(200))
        .unwrap();
    assert_eq!(found.len(), 199);
    assert_whole(&kb);
}

#[test]
fn it_ends_with_the_last_handle_and_leaves_a_whole_base() {
    let folder = tempfile::tempdir().unwrap();
    let (options, begins, release) = held(often());
    let kb = by_walking(open(folder.path())).with_auto_merge(options);
    kb.add((0..120).map(document)).unwrap();
    begins.recv().unwrap();
    let other = kb.clone();
    drop(kb);
    let ending = std::thread::spawn(move || drop(other));
    drop(release);
    ending.join().unwrap();
    // Nothing holds the base any more.
    let kb = by_walking(open(folder.path())).with_auto_merge(often());
    kb.add((120..121).map(document)).unwrap();
    kb.finish_merging().unwrap();
    assert_whole(&kb);
    let kb = by_walking(kb);
    assert!(matches!(plan(&kb), Some(Plan::Graph { .. })));
}

#[test]
fn a_synced_folder_is_linked_and_stays_so_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..12 {
        let texts: Vec<String> = (0..10)
            .map(|part| format!("Text {} about topic{}.", number * 10 + part, part))
            .collect();
        write(
            folder.path(),
            &format!("notes/{number:02}.md"),
            &texts.join("\n\n"),
        );
    }
    let base = folder.path().join("base");
    let kb = by_walking(open(&base)).with_auto_merge(often());
    kb.sync_folder(folder.path().join("notes")).unwrap();
    let report = kb.finish_merging().unwrap().unwrap();
    assert!(report.is_linked && report.added > 50, "{report:?}");
    assert!(matches!(plan(&kb), Some(Plan::Graph { .. })));
    drop(kb);
    let kb = by_walking(open(&base));
    assert!(matches!(plan(&kb), Some(Plan::Graph { .. })));
    assert_whole(&kb);
}
