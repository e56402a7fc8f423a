//! Folders kept up to date.

#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lint does not know for such"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use ragtune_core::Cancel;
use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Document, Embedder, Embeddings, Query, Role};
use ragtune_retrieve::{
    Error, FileOutcome, KnowledgeBase, Loaded, Loader, Mode, Retriever, SyncEvent, SyncOptions,
};
use support::*;

fn notes() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "tea/green.md",
        "# Green tea\n\nIt is steeped at 80 degrees.\n\nIt is steamed.",
    );
    write(
        folder.path(),
        "tea/black.md",
        "# Black tea\n\nIt is steeped in boiling water.",
    );
    write(folder.path(), "coffee.txt", "Coffee is roasted.");
    folder
}

fn reasons(report: &ragtune_retrieve::SyncReport) -> BTreeMap<&str, (&str, bool)> {
    report
        .skipped
        .iter()
        .map(|skipped| (skipped.path.as_str(), (skipped.reason.as_str(), skipped.kept)))
        .collect()
}

#[test]
fn only_what_changed_is_embedded() {
    let folder = notes();
    let embedder = Counting::new();
    let kb = with_parts(KnowledgeBase::in_memory().unwrap(), embedder.clone());
    let report = kb.sync_folder(folder.path()).unwrap();
    assert_eq!(
        (report.added, report.embedding.embedded, embedder.take()),
        (3, 6, 6)
    );
    assert_eq!(
        kb.document_ids().unwrap(),
        ["coffee.txt", "tea/black.md", "tea/green.md"]
    );
    let green = kb.document("tea/green.md").unwrap().unwrap();
    assert_eq!(green.metadata["path"], "tea/green.md".into());

    let report = kb.sync_folder(folder.path()).unwrap();
    assert_eq!(
        (report.unchanged, report.added, report.changed, report.removed),
        (3, 0, 0, 0)
    );
    write(
        folder.path(),
        "tea/green.md",
        "# Green tea\n\nIt is steeped at 70 degrees.\n\nIt is steamed.",
    );
    assert_eq!(kb.sync_folder(folder.path()).unwrap().changed, 1);
    assert_eq!(embedder.take(), 1);

    std::fs::rename(folder.path().join("tea"), folder.path().join("teas")).unwrap();
    let report = kb.sync_folder(folder.path()).unwrap();
    assert_eq!(
        (report.added, report.removed, report.embedding.embedded),
        (2, 2, 0)
    );
    assert_eq!(embedder.take(), 0);
    let hits = kb.retrieve(&"steeped at 70 degrees".into()).unwrap();
    assert_eq!(hits[0].chunk.document_id, "teas/green.md");
    assert_eq!(hits[0].chunk.locator.line, Some(3));
    assert_whole(&kb);
}

#[test]
fn a_change_of_loader_or_chunker_is_noticed() {
    struct Upper;
    impl Loader for Upper {
        fn id(&self) -> String {
            "upper-1".into()
        }
        fn accepts(&self, _: &Path) -> bool {
            true
        }
        fn load(&self, _: &Path, bytes: &[u8]) -> ragtune_retrieve::Result<Loaded> {
            let text = String::from_utf8_lossy(bytes).to_uppercase();
            Ok(Loaded {
                text,
                ..Loaded::default()
            })
        }
    }
    let folder = notes();
    let kb = in_memory();
    kb.sync_folder(folder.path()).unwrap();
    let kb = kb.with_loaders([Arc::new(Upper) as Arc<dyn Loader>]);
    assert_eq!(kb.sync_folder(folder.path()).unwrap().changed, 3);
    let hits = kb.retrieve(&"roasted".into()).unwrap();
    assert_eq!(hits[0].chunk.text, "COFFEE IS ROASTED.");
    // Not verbatim: the lines of the original are not known.
    assert_eq!(hits[0].chunk.locator.line, None);
    assert_eq!(kb.sync_folder(folder.path()).unwrap().unchanged, 3);
}

#[test]
fn what_cannot_be_read_is_reported_and_its_stored_version_kept() {
    let folder = notes();
    let kb = in_memory();
    kb.sync_folder(folder.path()).unwrap();
    std::fs::write(folder.path().join("coffee.txt"), b"\x00\x01\x02 binary \x00").unwrap();
    write(folder.path(), "tea/black.md", &"long ".repeat(1000));
    write(folder.path(), "picture.xyzzy", "no loader");
    write(folder.path(), "empty.md", "");
    write(folder.path(), ".hidden.md", "hidden");
    write(folder.path(), ".gitignore", "build/\n");
    write(folder.path(), "build/junk.md", "junk");
    let options = SyncOptions::default().with_max_file_bytes(1000);
    let report = kb.sync_folder_with(folder.path(), &options).unwrap();
    let reasons = reasons(&report);
    assert!(reasons["coffee.txt"].1 && reasons["tea/black.md"].1);
    assert!(reasons["tea/black.md"].0.contains("max_file_bytes"));
    assert!(!reasons["picture.xyzzy"].1 && reasons["picture.xyzzy"].0.contains("with_loaders"));
    assert_eq!(reasons.len(), 3);
    assert_eq!((report.added, report.unchanged, report.removed), (1, 1, 0));
    assert_eq!(report.empty, ["empty.md"]);
    assert_eq!(ids(&kb, "coffee roasted")[0], "coffee.txt");
    assert_eq!(ids(&kb, "black tea boiling")[0], "tea/black.md");
    let all = SyncOptions::default().with_gitignore(false).with_hidden(true);
    kb.sync_folder_with(folder.path(), &all).unwrap();
    assert!(kb.document("build/junk.md").unwrap().is_some() && kb.document(".hidden.md").unwrap().is_some());
    assert_whole(&kb);
}

#[cfg(unix)]
#[test]
fn links_loops_strange_names_and_locked_folders_are_reported() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = notes();
    let root = folder.path();
    let kb = in_memory();
    kb.sync_folder(root).unwrap();
    symlink(root, root.join("tea/loop")).unwrap();
    symlink(root.join("coffee.txt"), root.join("link.txt")).unwrap();
    symlink(root.join("nowhere"), root.join("broken.txt")).unwrap();
    let strange = std::ffi::OsStr::from_bytes(b"caf\xe9.md");
    let has_strange = std::fs::write(root.join(strange), "x").is_ok();
    let pipe = std::process::Command::new("mkfifo")
        .arg(root.join("pipe.md"))
        .status()
        .is_ok_and(|s| s.success());
    let report = kb.sync_folder(root).unwrap();
    let found = reasons(&report);
    assert!(found["link.txt"].0.contains("symbolic link") && found["tea/loop"].0.contains("symbolic link"));
    assert_eq!(has_strange, found.contains_key("caf\u{fffd}.md"));
    assert_eq!(pipe, found.contains_key("pipe.md"));
    assert_eq!((report.unchanged, report.removed), (3, 0));

    let report = kb
        .sync_folder_with(root, &SyncOptions::default().with_follow_links(true))
        .unwrap();
    assert!(
        reasons(&report)
            .values()
            .any(|(reason, _)| reason.contains("loop")),
        "{report:?}"
    );
    assert_eq!(report.added, 1);
    assert!(kb.document("link.txt").unwrap().is_some());

    // Root may read everything, so there is nothing to see in that case.
    std::fs::set_permissions(root.join("tea"), std::fs::Permissions::from_mode(0o000)).unwrap();
    let is_locked = std::fs::read_dir(root.join("tea")).is_err();
    let report = kb
        .sync_folder_with(root, &SyncOptions::default().with_follow_links(true))
        .unwrap();
    std::fs::set_permissions(root.join("tea"), std::fs::Permissions::from_mode(0o755)).unwrap();
    if is_locked {
        assert!(reasons(&report)["tea"].1, "{report:?}");
    }
    assert!(kb.document("tea/green.md").unwrap().is_some());
    assert_whole(&kb);
}

#[test]
fn a_missing_folder_is_an_error_that_removes_nothing() {
    let folder = notes();
    let kb = in_memory();
    kb.sync_folder(folder.path()).unwrap();
    let path = folder.path().to_owned();
    drop(folder);
    assert!(matches!(kb.sync_folder(&path), Err(Error::Io { .. })));
    assert_eq!(kb.document_ids().unwrap().len(), 3);
    let invalid = SyncOptions::default().with_include("a[");
    let error = kb.sync_folder_with(notes().path(), &invalid).unwrap_err();
    assert!(matches!(
        error,
        Error::Core(ragtune_core::Error::InvalidArgument {
            argument: "include",
            ..
        })
    ));
}

#[test]
fn a_single_file_is_a_folder_of_its_own() {
    let folder = notes();
    write(folder.path(), ".gitignore", "tea");
    let file = folder.path().join("tea/green.md");
    let kb = in_memory();
    assert_eq!(kb.sync_folder(&file).unwrap().added, 1);
    assert_eq!(kb.document_ids().unwrap(), ["green.md"]);
    assert_eq!(kb.sync_folder(&file).unwrap().unchanged, 1);
    write(folder.path(), "tea/green.md", "Another tea.");
    assert_eq!(kb.sync_folder(&file).unwrap().changed, 1);
    assert_eq!(kb.document("green.md").unwrap().unwrap().text, "Another tea.");
    let without = SyncOptions::default().with_exclude("*.md");
    assert_eq!(kb.sync_folder_with(&file, &without).unwrap().removed, 1);
    kb.sync_folder(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(kb.sync_folder(&file), Err(Error::Io { .. })));
    assert_eq!(kb.document_ids().unwrap(), ["green.md"]);
    assert_whole(&kb);
}

#[cfg(unix)]
#[test]
fn a_file_behind_a_link_is_read_by_the_name_of_the_link() {
    let folder = notes();
    write(folder.path(), "blobs/5f3a", "# Rooibos\n\nIt is red.");
    let link = folder.path().join("rooibos.md");
    std::os::unix::fs::symlink("blobs/5f3a", &link).unwrap();
    let kb = KnowledgeBase::in_memory().unwrap();
    let kb = kb.with_embedder(HashingEmbedder::new(64)).unwrap();
    assert_eq!(kb.sync_folder(&link).unwrap().added, 1);
    let document = kb.document("rooibos.md").unwrap().unwrap();
    assert_eq!(document.metadata["format"], "markdown".into());
}

#[test]
fn patterns_choose_files() {
    let folder = notes();
    write(folder.path(), "tea/drafts/idea.md", "An idea.");
    let kb = in_memory();
    let options = SyncOptions::default()
        .with_include("*.md")
        .with_exclude("drafts/");
    kb.sync_folder_with(folder.path(), &options).unwrap();
    assert_eq!(kb.document_ids().unwrap(), ["tea/black.md", "tea/green.md"]);
    let options = SyncOptions::default()
        .with_include("tea/")
        .with_exclude("black.*");
    kb.sync_folder_with(folder.path(), &options).unwrap();
    assert_eq!(kb.document_ids().unwrap(), ["tea/drafts/idea.md", "tea/green.md"]);
}

#[test]
fn two_folders_and_added_documents_leave_each_other_alone() {
    let (one, two) = (notes(), notes());
    write(two.path(), "coffee.txt", "Coffee of the second folder.");
    let kb = in_memory();
    kb.add([Document::new(
        "tea/green.md",
        "An added document under a file's name.",
    )])
    .unwrap();
    kb.sync_folder(one.path()).unwrap();
    kb.sync_folder_with(two.path(), &SyncOptions::default().with_name("second"))
        .unwrap();
    assert_eq!(kb.document_ids().unwrap().len(), 7);
    let first = one.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    assert_eq!(kb.folders().unwrap(), [first, "second".to_owned()]);
    let text = |id: &str| kb.document(id).unwrap().unwrap().text;
    assert_eq!(text("second/coffee.txt"), "Coffee of the second folder.");
    assert_eq!(text("coffee.txt"), "Coffee is roasted.");
    assert_eq!(text("tea/green.md"), "An added document under a file's name.");
    for (folder, name) in [(&one, None), (&two, Some("second"))] {
        let mut options = SyncOptions::default();
        options.name = name.map(str::to_owned);
        assert_eq!(kb.sync_folder_with(folder.path(), &options).unwrap().unchanged, 3);
    }
    std::fs::remove_file(one.path().join("coffee.txt")).unwrap();
    assert_eq!(kb.sync_folder(one.path()).unwrap().removed, 1);
    assert_eq!(text("second/coffee.txt"), "Coffee of the second folder.");
    let refused = kb.add([Document::new("tea/black.md", "x")]);
    assert!(matches!(refused, Err(Error::IdOfSyncedFile { .. })));
    assert_whole(&kb);
}

#[test]
fn an_id_that_a_clash_gives_never_takes_a_real_path() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.md", "at the top");
    write(folder.path(), "docs/a.md", "below");
    let kb = in_memory();
    kb.add([Document::new("a.md", "added")]).unwrap();
    let options = SyncOptions::default().with_name("docs");
    kb.sync_folder_with(folder.path(), &options).unwrap();
    let mut texts: Vec<_> = kb
        .document_ids()
        .unwrap()
        .iter()
        .map(|id| kb.document(id).unwrap().unwrap().text)
        .collect();
    texts.sort();
    assert_eq!(texts, ["added", "at the top", "below"]);
    assert_eq!(kb.sync_folder_with(folder.path(), &options).unwrap().unchanged, 2);
}

#[test]
fn progress_is_told_and_cancelling_leaves_a_whole_base() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..300 {
        write(
            folder.path(),
            &format!("note-{i:03}.md"),
            &format!("Note {i}.\n\nSome more of it, {i}."),
        );
    }
    let kb = in_memory();
    let cancel = Cancel::new();
    let flag = cancel.clone();
    let options = SyncOptions::default()
        .with_cancel(cancel)
        .with_on_event(move |event| {
            if matches!(event, SyncEvent::File { done: 200, .. }) {
                flag.cancel();
            }
        });
    let cancelled = kb.sync_folder_with(folder.path(), &options);
    assert!(matches!(
        cancelled,
        Err(Error::Core(ragtune_core::Error::Cancelled))
    ));
    let stored = kb.document_ids().unwrap().len();
    assert!((1..300).contains(&stored), "{stored}");
    assert_whole(&kb);

    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let options = SyncOptions::default().with_on_event(move |event| {
        let line = match event {
            SyncEvent::Scanned { files } => format!("scanned {files}"),
            SyncEvent::File { outcome, .. } => format!("{outcome:?}"),
            SyncEvent::Embedded { done, total } => format!("embedded {done}/{total}"),
            SyncEvent::Finished { report } => format!("finished {}", report.added),
            _ => String::new(),
        };
        heard.lock().unwrap().push(line);
    });
    let report = kb.sync_folder_with(folder.path(), &options).unwrap();
    assert_eq!((report.added, report.unchanged), (300 - stored, stored));
    let events = events.lock().unwrap();
    assert_eq!(events.first().unwrap(), "scanned 300");
    assert_eq!(events.last().unwrap(), &format!("finished {}", report.added));
    let count = |outcome: FileOutcome| {
        events
            .iter()
            .filter(|line| **line == format!("{outcome:?}"))
            .count()
    };
    assert_eq!(
        (count(FileOutcome::Added), count(FileOutcome::Unchanged)),
        (report.added, stored)
    );
    let embedded = report.embedding.embedded;
    assert!(events.contains(&format!("embedded {embedded}/{embedded}")));
}

#[test]
fn the_base_inside_the_folder_is_not_part_of_it() {
    let folder = notes();
    let kb = open(&folder.path().join("base"));
    kb.sync_folder(folder.path()).unwrap();
    let report = kb.sync_folder(folder.path()).unwrap();
    assert_eq!((report.unchanged, report.skipped.len()), (3, 0));
    let query = Query::new("roasted").with_top_k(1);
    assert_eq!(
        in_mode(&kb, Mode::Dense).retrieve(&query).unwrap()[0]
            .chunk
            .document_id,
        "coffee.txt"
    );
}

/// Gives out when it was asked for so many texts.
struct GivesOut {
    inner: Counting,
    after: usize,
}

impl Embedder for GivesOut {
    fn id(&self) -> &str {
        self.inner.id()
    }
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn max_tokens(&self) -> usize {
        self.inner.max_tokens()
    }
    fn embed(&self, texts: &[&str], role: Role) -> ragtune_core::Result<Embeddings> {
        let vectors = self.inner.embed(texts, role)?;
        match self.inner.texts.load(Ordering::SeqCst) > self.after {
            true => Err(ragtune_core::Error::external("the embedder", "it gave out")),
            false => Ok(vectors),
        }
    }
}

#[test]
fn what_is_embedded_first_is_stored_soon() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..100 {
        write(
            folder.path(),
            &format!("{number:03}.txt"),
            &format!("Tea of number {number}."),
        );
    }
    let inner = Counting::new();
    let base = tempfile::tempdir().unwrap();
    let embedder = GivesOut {
        inner: inner.clone(),
        after: 40,
    };
    let kb = with_parts(KnowledgeBase::open(base.path()).unwrap(), embedder);
    kb.sync_folder(folder.path()).unwrap_err();
    let stored = kb.stats().unwrap().documents;
    assert!((10..=40).contains(&stored), "{stored}");
    drop(kb);
    inner.take();
    let kb = with_parts(KnowledgeBase::open(base.path()).unwrap(), inner.clone());
    let report = kb.sync_folder(folder.path()).unwrap();
    assert_eq!((report.unchanged, report.added), (stored, 100 - stored));
    assert_eq!(inner.take(), 100 - stored);
    assert_whole(&kb);
}
