//! Adapters of one topic of `fixtures` beside their bases, and comparisons with what Python computes.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Tensor;
use ragtune_core::adapters::{AdapterSet, AdapterStack};
use ragtune_core::device;
use ragtune_core::models::EncoderModel;
use ragtune_core::nn::Segments;
use ragtune_core::weights::ModelFiles;
use serde::Deserialize;

/// `expected.json` of a topic.
#[derive(Deserialize)]
pub struct Expected {
    /// The ids of each text.
    pub texts: Vec<Vec<u32>>,
    /// The base of each case.
    pub bases: BTreeMap<String, String>,
    /// What is generated behind a text, where the topic says it.
    #[serde(default)]
    pub continued: BTreeMap<String, Vec<u32>>,
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub fn expected(topic: &str) -> Expected {
    let path = fixtures().join(topic).join("expected.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// An encoder of a folder in `fixtures`.
pub fn encoder(folder: impl AsRef<Path>) -> EncoderModel {
    let files = ModelFiles::folder(fixtures().join(folder)).unwrap();
    let config = EncoderModel::config(&files).unwrap();
    let checkpoint = files.checkpoint().unwrap();
    let loaded = checkpoint.load(&device::cpu(), |loader| EncoderModel::load(&config, loader));
    loaded.unwrap().0
}

pub fn stack(set: &Arc<AdapterSet>) -> AdapterStack {
    AdapterStack::base().with(Arc::clone(set), 1.0)
}

/// The rows of each text, one behind another.
pub fn by_text(rows: Tensor<2>, segments: &Segments) -> Vec<Vec<f32>> {
    let [_, width] = rows.dims();
    let rows = rows.into_data().try_into_vec::<f32>().unwrap();
    let part = |range: std::ops::Range<usize>| rows[range.start * width..range.end * width].to_vec();
    segments.iter().map(part).collect()
}

/// Absolute for small values, relative for large ones.
pub fn assert_within(tolerance: f32, found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let far = (found - expected).abs() / expected.abs().max(1.0);
        assert!(
            far <= tolerance,
            "{what}: component {i} is {found}, not {expected} ({far})"
        );
    }
}
