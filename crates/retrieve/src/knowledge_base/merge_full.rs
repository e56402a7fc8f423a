//! A disk that fills up while vectors are merged.

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::{Document, Query};

use super::{KnowledgeBase, MergeOptions, SearchOptions};
use crate::error::Error;
use crate::index::{PlanOptions, limit_writing};
use crate::{Mode, Retriever};

#[test]
fn a_merge_without_room_leaves_the_base_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let plan = PlanOptions::default().with_graph_from(0).with_ef_search(1000);
    let kb = KnowledgeBase::open(folder.path())
        .unwrap()
        .with_embedder(HashingEmbedder::new(32))
        .unwrap()
        .with_search(SearchOptions::default().with_mode(Mode::Dense).with_plan(plan));
    let document =
        |i: usize| Document::new(format!("{i:04}"), format!("Document {i} about topic {}.", i % 13));
    let always = MergeOptions::default().with_always(true);
    kb.add((0..60).map(document)).unwrap();
    kb.merge(&always).unwrap();
    kb.add((60..200).map(document)).unwrap();
    let query = Query::new("topic 7").with_top_k(9);
    let before = kb.retrieve(&query).unwrap();
    let files = || std::fs::read_dir(folder.path().join("vectors")).unwrap().count();
    for limit in [0, 3000, 12_000] {
        limit_writing(limit);
        let error = kb.merge(&always).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert_eq!(files(), 1);
        assert_eq!(kb.retrieve(&query).unwrap(), before);
        assert!(kb.check().unwrap().is_whole());
    }
    limit_writing(u64::MAX);
    assert!(kb.merge(&always).unwrap().added > 0);
    assert_eq!((files(), kb.retrieve(&query).unwrap()), (1, before));
    assert!(kb.check().unwrap().is_whole());
}
