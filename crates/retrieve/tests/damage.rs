//! Damage to the database's file: every flipped bit and every cut is told, or does no harm.

#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lint does not know for such"
)]

mod support;

use std::path::{Path, PathBuf};

use ragtune_core::text::{Chunk, Document, Query, ScoredChunk, Span};
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

/// What a reader sees of a base without looking through it, each answer or why there is none.
fn glance(base: &Path) -> Result<Vec<Result<Seen>>> {
    let kb = KnowledgeBase::open(base)?
        .with_chunker(Paragraphs)
        .with_embedder(ragtune_core::testing::HashingEmbedder::new(64))?;
    let mut seen = Vec::new();
    for mode in [Mode::Dense, Mode::Lexical, Mode::Hybrid] {
        let found = in_mode(&kb, mode).retrieve(&Query::new("green tea 7").with_top_k(50));
        match found {
            Ok(hits) => seen.extend(hits.into_iter().map(|hit| Ok(Seen::Chunk(hit.chunk)))),
            Err(error) => seen.push(Err(error)),
        }
    }
    for id in ["tea-7", "long", "a.md", "b.md"] {
        match kb.document(id) {
            Ok(document) => seen.extend(document.map(|document| Ok(Seen::Document(document)))),
            Err(error) => seen.push(Err(error)),
        }
        let span = Span::new(2, 9);
        match kb.stored_text(id, span) {
            Ok(text) => seen.extend(text.map(|text| Ok(Seen::Text(id, text)))),
            Err(error) => seen.push(Err(error)),
        }
    }
    Ok(seen)
}

#[derive(Debug, PartialEq)]
enum Seen {
    Chunk(Chunk),
    Document(Document),
    Text(&'static str, String),
}

/// Where these bytes lie in a file.
fn places(file: &[u8], word: &[u8]) -> Vec<usize> {
    let windows = file.windows(word.len()).enumerate();
    windows
        .filter(|(_, window)| *window == word)
        .map(|(at, _)| at)
        .collect()
}

#[test]
fn nothing_is_quoted_that_was_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let base = make(folder.path());
    let file = base.join("base.sqlite3");
    let expected: Vec<Seen> = glance(&base).unwrap().into_iter().collect::<Result<_>>().unwrap();
    let original = std::fs::read(&file).unwrap();
    let pristine = files(&base);
    // In texts, in metadata, in ids and in places, and anywhere.
    let mut flips = Vec::new();
    for word in [
        "Green tea 7.",
        "# Tea 7",
        "about tea.",
        "Black tea.",
        "{\"year\":2000}",
        "tea-7",
        "\"line\":3",
        "a.md",
    ] {
        let found = places(&original, word.as_bytes());
        assert!(!found.is_empty(), "{word}");
        let spread = found.iter().step_by(found.len().div_ceil(8));
        flips.extend(
            spread
                .enumerate()
                .map(|(turn, at)| (at + turn % word.len(), turn % 7)),
        );
    }
    let in_words = flips.len();
    let mut state = 5u64;
    flips.extend(
        std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (
                (state >> 33) as usize % original.len(),
                (state >> 29) as usize & 7,
            )
        })
        .take(150),
    );
    let (mut told, mut told_in_words) = (0, 0);
    for (number, (at, bit)) in flips.into_iter().enumerate() {
        let mut bytes = original.clone();
        bytes[at] ^= 1 << bit;
        restore(&base, &pristine);
        std::fs::write(&file, &bytes).unwrap();
        let seen = glance(&base);
        let is_told = match &seen {
            Err(_) => true,
            Ok(seen) => seen.iter().any(Result::is_err),
        };
        told += usize::from(is_told);
        told_in_words += usize::from(is_told && number < in_words);
        for seen in seen.into_iter().flatten().flatten() {
            assert!(
                expected.contains(&seen),
                "the flip in byte {at} was not noticed: {seen:?}"
            );
        }
    }
    assert!(
        told > 20 && told_in_words > in_words / 3,
        "{told} flips were told, {told_in_words} of {in_words} in words"
    );
}

#[test]
fn a_base_without_sums_gets_them_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let base = make(folder.path());
    let expected = look(&base).unwrap();
    let seen = |base: &Path| glance(base).unwrap().into_iter().collect::<Result<Vec<_>>>();
    let expected_seen = seen(&base).unwrap();
    let file = base.join("base.sqlite3");
    // As the version before this one wrote it.
    let database = rusqlite::Connection::open(&file).unwrap();
    for table in ["documents", "texts", "chunks"] {
        database
            .execute_batch(&format!("ALTER TABLE {table} DROP COLUMN sum"))
            .unwrap();
    }
    database.pragma_update(None, "user_version", 1).unwrap();
    drop(database);
    let old = files(&base);
    assert_eq!(seen(&base).unwrap(), expected_seen);
    assert!(look(&base).unwrap() == expected);
    let database = rusqlite::Connection::open(&file).unwrap();
    let format: u32 = database
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(format, 2);
    drop(database);
    assert!(look(&base).unwrap() == expected);
    let kb = open(&base);
    kb.add([Document::new("new", "A new tea.")]).unwrap();
    assert_whole(&kb);
    drop(kb);
    // What was changed before is not taken for whole because it has a sum now.
    restore(&base, &old);
    let mut bytes = std::fs::read(&file).unwrap();
    for at in places(&bytes, b"Green tea 7.") {
        bytes[at] ^= 1;
    }
    std::fs::write(&file, &bytes).unwrap();
    let kb = open(&base);
    assert!(kb.document("tea-7").is_err() && kb.stored_text("tea-7", Span::new(2, 9)).is_err());
    assert!(kb.document("tea-8").unwrap().is_some());
    assert!(kb.retrieve(&Query::new("green tea 7").with_top_k(50)).is_err());
}
