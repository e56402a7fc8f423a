//! The folders of `fixtures/decoder`, loaded, and what tests do with them.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::borrow::Cow;
use std::error::Error as _;
use std::path::{Path, PathBuf};

use ragtune_core::models::CausalLm;
use ragtune_core::nn::{Context, Segments};
use ragtune_core::weights::ModelFiles;
use ragtune_core::{Error, device};
use serde_json::Value;

/// A tiny model, and what transformers says of it.
pub struct Fixture {
    pub name: String,
    pub model_type: String,
    pub folder: PathBuf,
    /// `config.json`.
    pub config: Value,
    /// `expected.json`.
    pub expected: Value,
    /// Token ids of two texts of different lengths.
    pub texts: Vec<Vec<u32>>,
    /// Greedy tokens behind each.
    pub greedy: Vec<Vec<u32>>,
    pub lm: CausalLm,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/decoder")
}

/// Every case's name, sorted.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn fixture(name: &str) -> Fixture {
    let folder = folder().join(name);
    let (config, expected) = (
        json(&folder.join("config.json")),
        json(&folder.join("expected.json")),
    );
    let ids = |field: &str| serde_json::from_value(expected[field].clone()).unwrap();
    Fixture {
        name: name.to_owned(),
        model_type: config["model_type"].as_str().unwrap().to_owned(),
        lm: CausalLm::load(&folder, &device::cpu()).unwrap_or_else(|error| panic!("{name}: {error:?}")),
        texts: ids("texts"),
        greedy: ids("greedy"),
        folder,
        config,
        expected,
    }
}

pub fn fixtures() -> Vec<Fixture> {
    names().iter().map(|name| fixture(name)).collect()
}

/// The logits of each text, all tokens, computed in one batch.
pub fn forward(lm: &CausalLm, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let segments = Segments::from_lengths(texts.iter().map(Vec::len));
    let logits = lm
        .logits(&texts.concat(), &Context::new(segments.clone()))
        .unwrap();
    let [_, v] = logits.dims();
    let logits = logits.into_data().try_into_vec::<f32>().unwrap();
    segments
        .iter()
        .map(|range| logits[range.start * v..range.end * v].to_vec())
        .collect()
}

/// The id of the largest logit.
pub fn greedy(logits: &[f32]) -> u32 {
    let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
    u32::try_from(best.unwrap()).unwrap()
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

/// The files of a fixture's folder.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

/// The same files, one of them replaced.
pub fn with(files: &[(String, Vec<u8>)], name: &str, bytes: &[u8]) -> ModelFiles {
    assert!(files.iter().any(|(found, _)| found == name), "{name}");
    ModelFiles::in_memory(
        "m",
        files.iter().map(|(found, old)| {
            let bytes = if found == name {
                bytes.to_vec()
            } else {
                old.clone()
            };
            (found.as_str(), Cow::Owned(bytes))
        }),
    )
}

/// An error with all its causes, as a user would read it.
pub fn message(error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    message
}
