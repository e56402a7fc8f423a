//! Changing the embedder of a base.

mod support;

use std::sync::Arc;

use ragtune_core::Cancel;
use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::Document;
use ragtune_retrieve::{Error, KnowledgeBase, Metric, Mode, ReembedOptions, Retriever, SyncEvent};
use support::*;

fn documents(range: std::ops::Range<usize>) -> Vec<Document> {
    let text = |i: usize| {
        format!(
            "# Note {i}\n\nAbout subject {} and word{i}.\n\nThe rest of {i}.",
            i % 7
        )
    };
    range
        .map(|i| Document::new(format!("note-{i:04}"), text(i)))
        .collect()
}

#[test]
fn an_interrupted_change_serves_the_old_vectors_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let old = with_parts(
        KnowledgeBase::open(folder.path()).unwrap(),
        Counting::with_id("old"),
    );
    old.add(documents(0..200)).unwrap();
    let before = seen(&old, "word42 subject", 20);

    let cancel = Cancel::new();
    let flag = cancel.clone();
    let options = ReembedOptions::default()
        .with_cancel(cancel)
        .with_on_event(move |event| {
            if matches!(event, SyncEvent::Embedded { done: 256.., .. }) {
                flag.cancel();
            }
        });
    let new = Counting::with_id("new");
    let cancelled = old.reembed_with(new.clone(), &options);
    assert!(matches!(
        cancelled,
        Err(Error::Core(ragtune_core::Error::Cancelled))
    ));
    assert_eq!(new.take(), 256);
    assert_eq!(old.stats().unwrap().reembedding, Some(("new".to_owned(), 256)));
    assert_eq!(seen(&old, "word42 subject", 20), before);
    // Documents that come in the meantime are found by the old vectors, and get new ones.
    old.add(documents(200..210)).unwrap();
    assert_eq!(ids(&old, "word205")[0], "note-0205");
    drop(old);

    let kb = with_parts(
        KnowledgeBase::open(folder.path()).unwrap(),
        Counting::with_id("old"),
    );
    let report = kb.reembed(new.clone()).unwrap();
    assert_eq!((report.embedded, new.take()), (630 - 256, 630 - 256));
    assert_eq!(kb.embedder().unwrap().id(), "new");
    assert_whole(&kb);
    let fresh = with_parts(KnowledgeBase::in_memory().unwrap(), Counting::with_id("new"));
    fresh.add(documents(0..210)).unwrap();
    assert_eq!(
        seen(&kb, "word42 subject", 20),
        seen(&fresh, "word42 subject", 20)
    );
    drop(kb);
    let reopened = KnowledgeBase::open(folder.path())
        .unwrap()
        .with_embedder(Counting::with_id("old"));
    assert!(matches!(reopened, Err(Error::EmbedderMismatch { .. })));
}

#[test]
fn another_target_starts_over_and_the_same_embedder_costs_nothing() {
    let kb = with_parts(KnowledgeBase::in_memory().unwrap(), Counting::new());
    kb.add(documents(0..100)).unwrap();
    let cancel = Cancel::new();
    let flag = cancel.clone();
    let options = ReembedOptions::default()
        .with_cancel(cancel)
        .with_on_event(move |_| flag.cancel());
    assert!(kb.reembed_with(HashingEmbedder::new(16), &options).is_err());
    kb.reembed(HashingEmbedder::new(32)).unwrap();
    assert_eq!(
        (kb.stats().unwrap().dim, kb.stats().unwrap().reembedding),
        (Some(32), None)
    );
    assert_whole(&kb);
    let again = Counting::with_id("hashing-64");
    kb.reembed(again.clone()).unwrap();
    assert_eq!(again.take(), 300);
    // The vectors of one embedder serve every metric.
    let other = kb
        .reembed_with(again.clone(), &ReembedOptions::default().with_metric(Metric::L2))
        .unwrap();
    assert_eq!((other.embedded, other.reused, again.take()), (0, 300, 0));
    assert_eq!(kb.reembed(again.clone()).unwrap().reused, 0);
    assert_eq!(kb.stats().unwrap().metric, Some(Metric::L2));
    assert!(ids(&kb, "word3").contains(&"note-0003".to_owned()));
    assert_whole(&kb);
}

#[test]
fn adding_and_searching_go_on_during_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let kb = open(folder.path());
    kb.add(documents(0..400)).unwrap();
    let other = kb.clone();
    let started = Arc::new(std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let signal = Arc::clone(&started);
        let change = scope.spawn(move || {
            signal.wait();
            other.reembed(HashingEmbedder::new(48))
        });
        started.wait();
        for i in 400..440 {
            kb.add(documents(i..i + 1)).unwrap();
            assert!(!ids(&kb, &format!("word{i}")).is_empty());
            assert_eq!(
                ids(&in_mode(&kb, Mode::Lexical), &format!("word{i}"))[0],
                format!("note-{i:04}")
            );
        }
        change.join().unwrap().unwrap();
    });
    assert_eq!(kb.stats().unwrap().dim, Some(48));
    assert_whole(&kb);
    let fresh = with_parts(KnowledgeBase::in_memory().unwrap(), HashingEmbedder::new(48));
    fresh.add(documents(0..440)).unwrap();
    assert_eq!(
        seen(&kb, "word42 subject", 20),
        seen(&fresh, "word42 subject", 20)
    );
}
