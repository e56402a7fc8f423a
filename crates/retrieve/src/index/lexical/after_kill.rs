//! What a process leaves that is killed before its segments are merged, and what the next one makes of it.

use tantivy::indexer::NoMergePolicy;
use tantivy::schema::Term;
use tantivy::{IndexWriter, TantivyDocument};

use super::directory::{self, Fields};
use super::{Language, LexicalEntry, LexicalIndex, LexicalOptions};

/// Segments of two commits and deletions in the smaller one, all that a merge would have been for.
fn leave_unmerged(dir: &std::path::Path) {
    let index = directory::create(dir, Language::default()).unwrap();
    let fields = Fields::schema(Language::default()).1;
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 32 << 20).unwrap();
    writer.set_merge_policy(Box::new(NoMergePolicy));
    let commit = |writer: &mut IndexWriter, stamp: u64| {
        let mut commit = writer.prepare_commit().unwrap();
        commit.set_payload(&directory::payload(stamp));
        commit.commit().unwrap();
    };
    for (chunks, stamp) in [(0..40, 1), (40..60, 2)] {
        for chunk in chunks {
            let mut document = TantivyDocument::new();
            document.add_i64(fields.chunk, chunk);
            document.add_text(fields.body, format!("tea {chunk}"));
            writer.add_document(document).unwrap();
        }
        commit(&mut writer, stamp);
    }
    for chunk in 40..48 {
        writer.delete_term(Term::from_field_i64(fields.chunk, chunk));
    }
    commit(&mut writer, 3);
}

fn open(dir: &std::path::Path) -> LexicalIndex {
    LexicalIndex::open(Some(dir), &LexicalOptions::default()).unwrap()
}

fn entry(chunk: i64) -> crate::Result<LexicalEntry> {
    Ok(LexicalEntry {
        chunk,
        heading: String::new(),
        text: format!("tea {chunk}"),
    })
}

#[test]
fn the_first_deletion_after_a_kill_is_not_lost_in_the_merge_that_was_due() {
    let dir = tempfile::tempdir().unwrap();
    leave_unmerged(dir.path());
    let index = open(dir.path());
    assert_eq!((index.len(), index.stamp()), (52, 3));
    // The merge starts as soon as the new passages are written, before they are committed with the deletion.
    index.update(&[50], &mut [entry(60)].into_iter(), 4).unwrap();
    assert_eq!((index.len(), index.contains(50).unwrap()), (52, false));
    // Which waits for the merge.
    drop(index);
    let index = open(dir.path());
    assert_eq!((index.len(), index.stamp()), (52, 4));
    assert!(!index.contains(50).unwrap() && index.contains(60).unwrap());
}

#[test]
fn a_cleared_index_is_filled_again_with_the_same_passages() {
    let dir = tempfile::tempdir().unwrap();
    leave_unmerged(dir.path());
    let index = open(dir.path());
    let removed: Vec<i64> = (0..30).collect();
    index.update(&removed, &mut std::iter::empty(), 4).unwrap();
    index.clear().unwrap();
    assert_eq!((index.len(), index.stamp()), (0, 0));
    index.update(&[], &mut (0..30).map(entry), 5).unwrap();
    drop(index);
    let index = open(dir.path());
    assert_eq!((index.len(), index.stamp()), (30, 5));
    assert!((0..30).all(|chunk| index.contains(chunk).unwrap()));
}
