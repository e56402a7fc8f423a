//! Index files: written and read back, damaged at random places, cut short, and foreign.

#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lint does not know for such"
)]

#[path = "support/index_entry.rs"]
mod entry;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use ragtune_retrieve::{Error, Found, GraphIndex, GraphOptions, Metric, PlanOptions, SlotSet, VectorIndex};

const DIM: usize = 20;

fn vectors(count: usize) -> Vec<Vec<f32>> {
    let component = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5;
    let mut vectors: Vec<Vec<f32>> = (0..count)
        .map(|row| (0..DIM).map(|at| component(row * DIM + at)).collect())
        .collect();
    // Equal vectors share a node.
    for at in (10..count).step_by(10) {
        vectors[at] = vectors[at - 3].clone();
    }
    vectors
}

fn index(metric: Metric, count: usize) -> GraphIndex {
    let vectors = vectors(count);
    let rows = vectors.iter().map(Vec::as_slice);
    GraphIndex::build(metric, DIM, rows, &GraphOptions::default()).unwrap()
}

fn answers(index: &GraphIndex) -> Result<Vec<Found>, Error> {
    let odd: SlotSet = (0..index.len() as u32).filter(|slot| slot % 2 == 1).collect();
    let walking = index
        .clone()
        .with_plan(PlanOptions::default().with_graph_from(0).with_ef_search(40));
    let mut all = Vec::new();
    for query in vectors(1200).iter().step_by(40) {
        all.push(index.find(query, 10, None)?);
        all.push(walking.find(query, 10, None)?);
        all.push(walking.find(query, 10, Some(&odd))?);
    }
    Ok(all)
}

#[test]
fn an_index_answers_from_its_file_as_it_did_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.index");
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        let built = index(metric, 1200);
        built.save(&path).unwrap();
        let opened = GraphIndex::open(&path).unwrap();
        assert_eq!((opened.len(), opened.dim(), opened.metric()), (1200, DIM, metric));
        assert_eq!(opened.ef_search(), built.ef_search());
        assert_eq!(answers(&opened).unwrap(), answers(&built).unwrap());
        // The same data give the same file.
        let bytes = fs::read(&path).unwrap();
        index(metric, 1200).save(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
        // An open index goes on while its file is replaced.
        index(metric, 40).save(&path).unwrap();
        assert_eq!(answers(&opened).unwrap(), answers(&built).unwrap());
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
    let empty = GraphIndex::build(Metric::L2, 3, [], &GraphOptions::default()).unwrap();
    empty.save(&path).unwrap();
    assert!(GraphIndex::open(&path).unwrap().is_empty());
}

/// A damaged file is refused, or it answers as the whole one did, or it says that it is damaged.
fn check(path: &Path, wanted: &[Found]) -> Result<bool, TestCaseError> {
    match GraphIndex::open(path).and_then(|index| answers(&index)) {
        Ok(found) => {
            prop_assert_eq!(found, wanted);
            Ok(true)
        }
        Err(Error::DamagedIndex { path: named, .. }) => {
            prop_assert_eq!(named, path);
            Ok(false)
        }
        Err(other) => Err(TestCaseError::fail(other.to_string())),
    }
}

#[test]
fn no_flipped_bit_makes_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.index");
    let built = index(Metric::Cosine, 1200);
    built.save(&path).unwrap();
    let (whole, wanted) = (fs::read(&path).unwrap(), answers(&built).unwrap());
    let cases = if std::env::var_os("RAGTUNE_LONG").is_some() {
        20_000
    } else {
        200
    };
    let mut state = 0x2545_f491u32;
    let mut refused = 0;
    for case in 0..cases {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // A third of the flips fall into the first kilobytes, where the sizes stand.
        let span = if case % 3 == 0 { 4096 } else { whole.len() };
        let at = ((u64::from(state) * span as u64) >> 32) as usize;
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (case % 8);
        fs::write(&path, &bytes).unwrap();
        refused += usize::from(!check(&path, &wanted).unwrap());
        if case % 10 == 0 {
            entry::index_file(&bytes);
        }
    }
    // What is left are blocks that no answer touched, and the padding between parts.
    assert!(refused * 10 > cases * 6, "{refused} of {cases}");
}

#[test]
fn no_cut_file_and_no_foreign_one_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.index");
    index(Metric::L2, 300).save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let cuts = (0..700)
        .chain((700..whole.len()).step_by(997))
        .chain([whole.len() - 1]);
    for length in cuts {
        fs::write(&path, &whole[..length]).unwrap();
        let error = GraphIndex::open(&path).unwrap_err();
        assert!(matches!(error, Error::DamagedIndex { .. }), "{length}: {error}");
    }
    for foreign in [
        [whole.clone(), vec![0]].concat(),
        b"SQLite format 3\0".repeat(100),
        vec![0; 5000],
    ] {
        fs::write(&path, foreign).unwrap();
        let error = GraphIndex::open(&path).unwrap_err();
        assert!(matches!(error, Error::DamagedIndex { .. }), "{error}");
    }
    let mut newer = whole.clone();
    newer[8] = 2;
    fs::write(&path, newer).unwrap();
    assert!(
        GraphIndex::open(&path)
            .unwrap_err()
            .to_string()
            .contains("version 2")
    );
    assert!(matches!(
        GraphIndex::open(folder.path()),
        Err(Error::DamagedIndex { .. })
    ));
    assert!(matches!(
        GraphIndex::open(folder.path().join("none")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn what_cannot_be_written_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.index");
    let built = index(Metric::Dot, 200);
    built.save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let missing = folder.path().join("no/folder/vectors.index");
    assert!(matches!(built.save(missing), Err(Error::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}
