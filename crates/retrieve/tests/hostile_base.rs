//! Names, ids, values, questions and folders that nobody sends in good faith.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "functions of tests, which the lints do not know for such"
)]

mod support;

use std::path::Path;

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Document, Filter, Locator, Marker, Query, Value};
use ragtune_retrieve::{Error, KnowledgeBase, Mode, Retriever, SyncOptions};
use support::*;

#[test]
fn strange_file_names_are_ids_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}.md", "n".repeat(252));
    let names = [
        "line\nbreak.md",
        "caf\u{e9}.md",
        "cafe\u{301}.md",
        "a#000001.md",
        "a#000001.md#000000.md",
        "-rf *.md",
        "..md.md",
        "%2e%2e.md",
        "back\\slash.md",
        "\u{202e}dm.txt",
        long.as_str(),
    ];
    let written: Vec<&str> = names
        .into_iter()
        .filter(|name| std::fs::write(folder.path().join(name), format!("Text of {name:?}.")).is_ok())
        .collect();
    let mut expected: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    expected.sort();
    assert!(written.len() >= expected.len());
    let kb = in_memory();
    let report = kb
        .sync_folder_with(folder.path(), &SyncOptions::default())
        .unwrap();
    assert_eq!(kb.document_ids().unwrap(), expected, "{report:?}");
    for id in &expected {
        let hits = kb
            .retrieve(&Query::new("text").with_filter(Filter::eq("path", id.as_str())))
            .unwrap();
        assert_eq!(hits.len(), 1);
        assert_eq!(hits[0].chunk.document_id, *id);
        let span = hits[0].chunk.span;
        assert_eq!(kb.stored_text(id, span).unwrap().unwrap(), hits[0].chunk.text);
    }
    assert_eq!(kb.sync_folder(folder.path()).unwrap().unchanged, expected.len());
    assert_whole(&kb);
}

#[test]
fn strange_ids_are_kept_to_the_byte() {
    let kb = in_memory();
    let huge = "i".repeat(1 << 20);
    let ids = [
        "",
        "\0",
        "a\0b",
        "a",
        "a#000000",
        "\u{e9}",
        "e\u{301}",
        "'; DROP TABLE documents; --",
        &huge,
    ];
    let documents = ids.iter().enumerate();
    kb.add(documents.map(|(i, id)| Document::new(*id, format!("Tea number {i} of the list."))))
        .unwrap();
    let mut sorted = ids.map(str::to_owned);
    sorted.sort();
    assert_eq!(kb.document_ids().unwrap(), sorted);
    for (i, id) in ids.iter().enumerate() {
        let text = format!("Tea number {i} of the list.");
        assert_eq!(kb.document(id).unwrap().unwrap().text, text);
    }
    assert_eq!(
        kb.retrieve(&Query::new("tea").with_top_k(100)).unwrap().len(),
        ids.len()
    );
    assert_eq!(kb.remove(ids).unwrap(), Vec::<String>::new());
    assert!(kb.document_ids().unwrap().is_empty());
    assert_whole(&kb);
}

#[test]
fn metadata_come_back_exactly_or_are_refused() {
    let kb = in_memory();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let inside = Value::List(vec![Value::Int(1), Value::List(vec![Value::Float(bad)])]);
        for value in [Value::Float(bad), inside] {
            let document = Document::new("bad", "text").with_metadata("price", value);
            let error = kb.add([document]).unwrap_err();
            let is_typed = matches!(&error, Error::Core(ragtune_core::Error::NotFinite { .. }));
            assert!(is_typed && error.to_string().contains("price"), "{error}");
        }
    }
    assert!(kb.document_ids().unwrap().is_empty());
    // Numbers of all magnitudes, by a generator with a fixed seed.
    let mut state = 1u64;
    let floats = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(state)
    });
    let mut floats: Vec<Value> = floats
        .filter(|f| f.is_finite())
        .take(5000)
        .map(Value::Float)
        .collect();
    floats.extend([f64::MAX, f64::MIN_POSITIVE, 5e-324, -0.0, 0.1 + 0.2, 3.0].map(Value::Float));
    let document = Document::new("numbers", "text")
        .with_metadata("floats", Value::List(floats))
        .with_metadata("least", i64::MIN)
        .with_metadata("", "an empty name")
        .with_metadata("nul\0", "a\0b");
    kb.add([document.clone()]).unwrap();
    let is_same = kb.document("numbers").unwrap().unwrap().metadata == document.metadata;
    assert!(is_same, "a value changed on its way through the store");
    assert_eq!(kb.add([document]).unwrap().unchanged, 1);
    assert_whole(&kb);
}

#[test]
fn questions_and_numbers_without_measure_are_answered() {
    let kb = in_memory();
    assert!(kb.retrieve(&"tea".into()).unwrap().is_empty());
    let text = |i: usize| format!("Tea number {i} is green.\n\nTea number {i} is old.");
    kb.add((0..40).map(|i| Document::new(i.to_string(), text(i))))
        .unwrap();
    let huge = "tea green \u{0} \"old\" (((".repeat(1 << 16);
    for mode in [Mode::Dense, Mode::Lexical, Mode::Hybrid] {
        let kb = in_mode(&kb, mode);
        let count = |question: &str, top_k| {
            kb.retrieve(&Query::new(question).with_top_k(top_k))
                .unwrap()
                .len()
        };
        assert_eq!(count("tea", 0), 0);
        assert_eq!(count("tea number", usize::MAX), 80, "{mode:?}");
        assert!(count(&huge, 10) <= 10);
        assert!(count("\"", 10) <= 10);
        for name in ["absent", "", "\0"] {
            let query = Query::new("tea").with_filter(Filter::eq(name, 1));
            assert!(kb.retrieve(&query).unwrap().is_empty());
            let query = Query::new("tea")
                .with_filter(Filter::eq(name, 1).not())
                .with_top_k(100);
            assert_eq!(kb.retrieve(&query).unwrap().len(), 80);
        }
    }
    let words = in_mode(&kb, Mode::Lexical);
    assert!(words.retrieve(&"".into()).unwrap().is_empty());
    // The embedder of the tests gives a text without words a vector all the same, or the error is typed.
    for mode in [Mode::Dense, Mode::Hybrid] {
        match in_mode(&kb, mode).retrieve(&"".into()) {
            Ok(hits) => assert!(hits.len() <= 10),
            Err(error) => assert!(matches!(error, Error::ZeroVector { .. }), "{error:?}"),
        }
    }
}

#[test]
fn headings_that_markers_bring_are_embedded_and_checked() {
    let kb = in_memory();
    let mut document = Document::new("a", "steamed leaves");
    let headings = vec!["Green tea".to_owned()];
    let locator = Locator {
        headings,
        ..Locator::default()
    };
    document.markers = vec![Marker { at: 0, locator }];
    kb.add([document]).unwrap();
    let hits = in_mode(&kb, Mode::Lexical).retrieve(&"green".into()).unwrap();
    assert_eq!(hits[0].chunk.locator.headings, ["Green tea"]);
    assert_whole(&kb);
}

#[test]
fn a_base_does_not_store_itself() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let own = root.join("base");
    let kb = KnowledgeBase::open(&own)
        .unwrap()
        .with_embedder(HashingEmbedder::new(8))
        .unwrap();
    kb.add([Document::new("added", "tea")]).unwrap();
    // The lexical index has JSON files, which the default loaders read.
    kb.retrieve(&"tea".into()).unwrap();
    assert!(own.join("lexical/meta.json").exists());
    write(root, "a.md", "text");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&own, root.join("another name")).unwrap();
    let options = SyncOptions::default().with_follow_links(true).with_hidden(true);
    let report = kb.sync_folder_with(root, &options).unwrap();
    assert_eq!(
        (kb.document_ids().unwrap(), report.skipped),
        (vec!["a.md".into(), "added".into()], vec![])
    );
    for inside in [own.clone(), own.join("lexical")] {
        match kb.sync_folder(&inside) {
            Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "folder", ..
            })) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_threads_may_sync_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..200 {
        write(
            folder.path(),
            &format!("{i:03}.md"),
            &format!("Note {i}.\n\nIts end, {i}."),
        );
    }
    let embedder = Counting::new();
    let kb = with_parts(KnowledgeBase::in_memory().unwrap(), embedder.clone());
    let reports: Vec<_> = std::thread::scope(|scope| {
        let sync = || scope.spawn(|| kb.sync_folder(folder.path()).unwrap());
        let running = [sync(), sync(), sync()];
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(reports.iter().map(|report| report.added).sum::<usize>(), 200);
    assert_eq!(reports.iter().map(|report| report.unchanged).sum::<usize>(), 400);
    assert_eq!(embedder.take(), 400);
    assert_whole(&kb);
}

fn files_of(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn a_base_whose_files_are_gone_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let kb = open(&base);
    kb.add([Document::new("a", "tea")]).unwrap();
    std::fs::remove_dir_all(&base).unwrap();
    let is_told =
        |error: Error| matches!(&error, Error::Damaged { reason, .. } if reason.contains("deleted"));
    assert!(is_told(kb.add([Document::new("b", "more tea")]).unwrap_err()));
    assert!(is_told(kb.retrieve(&"tea".into()).unwrap_err()));
    assert!(is_told(kb.check().unwrap_err()));
    // Another base in its place is not written through the old handle.
    let other = open(&base);
    other.add([Document::new("c", "other tea")]).unwrap();
    assert!(is_told(kb.add([Document::new("b", "more tea")]).unwrap_err()));
    assert_eq!(other.document_ids().unwrap(), ["c"]);
    assert_whole(&other);
}

#[cfg(unix)]
#[test]
fn a_base_that_may_not_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("ba?se#1");
    let kb = open(&base);
    kb.add((0..30).map(|i| Document::new(i.to_string(), format!("Tea number {i}."))))
        .unwrap();
    let before = seen(&kb, "tea number 7", 5);
    drop(kb);
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&base.join("lexical"), 0o555);
    mode(&base.join("base.sqlite3"), 0o444);
    mode(&base, 0o555);
    let is_root = std::fs::write(base.join("probe"), "").is_ok();
    if !is_root {
        let files = files_of(&base);
        let kb = open(&base);
        assert_eq!(seen(&kb, "tea number 7", 5), before);
        assert_whole(&kb);
        let error = kb.add([Document::new("new", "tea")]).unwrap_err();
        assert!(
            matches!(error, Error::Store { .. } | Error::Io { .. }),
            "{error:?}"
        );
        assert_eq!(kb.document_ids().unwrap().len(), 30);
        assert_eq!(files_of(&base), files);
    }
    mode(&base, 0o755);
    mode(&base.join("lexical"), 0o755);
    mode(&base.join("base.sqlite3"), 0o644);
    if !is_root {
        assert_whole(&open(&base));
    }
}
