//! What a fuzzer does with the bytes of an index file.

use ragtune_retrieve::{GraphIndex, PlanOptions, VectorIndex};

/// Opens the bytes as an index and searches it, if it is one.
pub fn index_file(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("fuzzed.index");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    if let Ok(index) = GraphIndex::open(&path) {
        let index = index.with_plan(PlanOptions::default().with_graph_from(0));
        let query: Vec<f32> = (0..index.dim()).map(|i| i as f32 + 1.0).collect();
        if let Ok(found) = index.search(&query, 10, None) {
            assert!(found.len() <= index.len());
        }
    }
}
