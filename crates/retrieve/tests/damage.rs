//! Damage to the database's file: every flipped bit and every cut is told, or does no harm.

#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lint does not know for such"
)]

mod support;

use std::path::{Path, PathBuf};

use ragtune_core::text::{Document, Query, ScoredChunk};
use ragtune_retrieve::{KnowledgeBase, Mode, Result, Retriever, SyncOptions};
use support::*;

/// Everything that a base answers.
#[derive(Debug, PartialEq)]
struct Content {
    documents: Vec<Document>,
    hits: Vec<Vec<ScoredChunk>>,
}

fn content(kb: &KnowledgeBase) -> Result<Content> {
    let ids = kb.document_ids()?;
    let documents = ids.iter().map(|id| kb.document(id)).collect::<Result<Vec<_>>>()?;
    let documents = documents.into_iter().flatten().collect();
    let modes = [Mode::Dense, Mode::Lexical, Mode::Hybrid];
    let query = Query::new("green tea 7").with_top_k(50);
    let hits = modes.map(|mode| in_mode(kb, mode).retrieve(&query));
    let hits = hits.into_iter().collect::<Result<_>>()?;
    Ok(Content { documents, hits })
}

/// What a look at the damaged base gave: an error or problem, or its content.
fn look(base: &Path) -> std::result::Result<Content, String> {
    let kb = KnowledgeBase::open(base).map_err(|error| format!("open: {error:?}"))?;
    let kb = kb
        .with_chunker(Paragraphs)
        .with_embedder(ragtune_core::testing::HashingEmbedder::new(64));
    let kb = kb.map_err(|error| format!("embedder: {error:?}"))?;
    let found = content(&kb);
    let report = kb.check().map_err(|error| format!("check: {error:?}"))?;
    if !report.is_whole() {
        return Err(format!("report: {:?}", report.problems));
    }
    found.map_err(|error| format!("content: {error:?}"))
}

/// A base with documents of its own and of a folder, large and small, some deleted.
fn make(root: &Path) -> PathBuf {
    let base = root.join("base");
    let kb = open(&base);
    let teas = (0..20).map(|i| {
        Document::new(
            format!("tea-{i}"),
            format!("# Tea {i}\n\nGreen tea {i}.\n\nSteep it."),
        )
    });
    kb.add(teas.map(|document| document.with_metadata("year", 2000)))
        .unwrap();
    kb.add([Document::new("long", "A long text about tea.\n\n".repeat(400))])
        .unwrap();
    write(root, "notes/a.md", "# Note\n\nBlack tea.");
    write(root, "notes/b.md", "# Note\n\nWhite tea.");
    let options = SyncOptions::default().with_name("notes");
    kb.sync_folder_with(root.join("notes"), &options).unwrap();
    kb.remove(["tea-3", "tea-4"]).unwrap();
    assert_whole(&kb);
    base
}

/// All files of a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

/// Makes the folder hold these files and nothing else.
fn restore(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    std::fs::remove_dir_all(folder).unwrap();
    for (path, bytes) in files {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn no_flipped_bit_is_taken_for_truth() {
    let folder = tempfile::tempdir().unwrap();
    let base = make(folder.path());
    let file = base.join("base.sqlite3");
    let expected = look(&base).unwrap();
    let original = std::fs::read(&file).unwrap();
    let pristine = files(&base);
    let mut state = 11u64;
    let mut told = 0;
    const FLIPS: usize = 250;
    for _ in 0..FLIPS {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 33) as usize % original.len();
        let mut bytes = original.clone();
        bytes[at] ^= 1 << (state >> 29 & 7);
        restore(&base, &pristine);
        std::fs::write(&file, &bytes).unwrap();
        match look(&base) {
            Err(_) => told += 1,
            Ok(found) => assert!(found == expected, "the flip in byte {at} was not noticed"),
        }
    }
    assert!(told > FLIPS / 4, "{told} of {FLIPS} flips were noticed");
    restore(&base, &pristine);
    assert!(look(&base).unwrap() == expected);
}

#[test]
fn no_cut_is_taken_for_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let base = make(folder.path());
    let file = base.join("base.sqlite3");
    let original = std::fs::read(&file).unwrap();
    let pristine = files(&base);
    for part in 1..40 {
        let length = original.len() * part / 40;
        // At any byte, and where a page ends.
        for length in [length, length / 4096 * 4096] {
            restore(&base, &pristine);
            std::fs::write(&file, &original[..length]).unwrap();
            assert!(look(&base).is_err(), "{length} of {} bytes", original.len());
        }
    }
}
