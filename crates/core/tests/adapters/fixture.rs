//! The folders of `fixtures/adapters`, their bases, and what PEFT computes with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ragtune_core::adapters::{AdapterSet, AdapterStack};
use ragtune_core::device;
use ragtune_core::models::CausalLm;
use ragtune_core::nn::{Context, Segments};
use ragtune_core::weights::Checkpoint;
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Expected {
    pub texts: Vec<Vec<u32>>,
    /// The base of each adapter.
    pub bases: BTreeMap<String, String>,
    /// Several adapters at once, each with a weight.
    pub stacks: BTreeMap<String, Vec<(String, f64)>>,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adapters")
}

pub fn expected() -> Expected {
    serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap()
}

pub fn base(name: &str) -> CausalLm {
    CausalLm::load(folder().join("../decoder").join(name), &device::cpu()).unwrap()
}

pub fn adapter(name: &str, lm: &CausalLm) -> AdapterSet {
    AdapterSet::load(folder().join(name), lm).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)))
}

pub fn stack(set: &Arc<AdapterSet>) -> AdapterStack {
    AdapterStack::base().with(Arc::clone(set), 1.0)
}

/// The logits of each text, computed in one batch with one stack for each.
pub fn logits(lm: &CausalLm, texts: &[Vec<u32>], stacks: &[AdapterStack]) -> Vec<Vec<f32>> {
    let segments = Segments::from_lengths(texts.iter().map(Vec::len));
    let context = Context::new(segments.clone()).with_adapters(stacks.to_vec());
    let logits = lm.logits(&texts.concat(), &context).unwrap();
    let [_, v] = logits.dims();
    let logits = logits.into_data().try_into_vec::<f32>().unwrap();
    segments
        .iter()
        .map(|range| logits[range.start * v..range.end * v].to_vec())
        .collect()
}

/// The logits of each text without adapters.
pub fn plain(lm: &CausalLm, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    logits(lm, texts, &vec![AdapterStack::base(); texts.len()])
}

/// PEFT's logits of each text.
pub fn peft(case: &str, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let file = Checkpoint::open(folder().join("expected.safetensors")).unwrap();
    let read = |i: usize| {
        let name = format!("{case}.{i}");
        let shape = file.shape(&name).unwrap().to_vec();
        file.read(&name, &shape).unwrap().unwrap()
    };
    (0..texts.len()).map(read).collect()
}

/// Absolute for small values, relative for large ones.
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let far = (found - expected).abs() / expected.abs().max(1.0);
        assert!(
            far <= tolerance,
            "{what}: component {i} is {found}, not {expected} ({far})"
        );
    }
}

/// Within a share of the largest value.
pub fn assert_near(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let largest = expected
        .iter()
        .fold(1.0f32, |largest, value| largest.max(value.abs()));
    let far = distance(&[found.to_vec()], &[expected.to_vec()]) / largest;
    assert_eq!(found.len(), expected.len(), "{what}");
    assert!(far <= tolerance, "{what}: {far} of the largest logit {largest}");
}

/// How far the values are apart at most.
pub fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
