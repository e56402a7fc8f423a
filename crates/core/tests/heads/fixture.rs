//! The folders of `fixtures/heads` and `fixtures/encoders` as files, and comparisons.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ragtune_core::adapters::{AdapterSet, AdapterStack};
use ragtune_core::weights::ModelFiles;
use serde::Deserialize;

pub const FAMILIES: [&str; 4] = ["bert", "distilbert", "roberta", "mpnet"];

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub fn json<T: for<'de> Deserialize<'de>>(path: PathBuf) -> T {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A model with a head, with the tokenizer of its family.
pub fn model(kind: &str, family: &str) -> ModelFiles {
    let head = fixtures().join("heads").join(kind).join(family);
    let tokenizer = fixtures().join("encoders/models").join(family);
    let files = [
        (&head, "config.json"),
        (&head, "model.safetensors"),
        (&tokenizer, "tokenizer.json"),
        (&tokenizer, "tokenizer_config.json"),
    ];
    of_files(&format!("{kind}/{family}"), &files)
}

/// A classifier on a decoder, with the tokenizer of its family.
pub fn decoder(family: &str) -> ModelFiles {
    let head = fixtures().join("heads/sequence").join(family);
    let tokenizer = fixtures().join("decoder").join(family);
    let files = [
        (&head, "config.json"),
        (&head, "model.safetensors"),
        (&tokenizer, "tokenizer.json"),
    ];
    of_files(&format!("sequence/{family}"), &files)
}

fn of_files(name: &str, files: &[(&PathBuf, &str)]) -> ModelFiles {
    let read = |(folder, name): &(&PathBuf, &str)| {
        (
            (*name).to_owned(),
            Cow::Owned(std::fs::read(folder.join(name)).unwrap()),
        )
    };
    ModelFiles::in_memory(name, files.iter().map(read))
}

/// All files under a folder by their names inside it.
fn files_under(folder: &Path, prefix: &str, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        match path.is_dir() {
            true => files_under(&path, &format!("{name}/"), into),
            false => {
                into.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
}

/// A sentence-transformers folder: a case's files around those of the tiny BERT.
pub fn sentence(case: &str) -> ModelFiles {
    let mut files = BTreeMap::new();
    files_under(&fixtures().join("encoders/models/bert"), "", &mut files);
    let folder = fixtures().join("encoders/sentence").join(case);
    if folder.is_dir() {
        files_under(&folder, "", &mut files);
    }
    ModelFiles::in_memory(
        case,
        files.into_iter().map(|(name, bytes)| (name, Cow::Owned(bytes))),
    )
}

pub fn stack(set: AdapterSet) -> AdapterStack {
    AdapterStack::base().with(Arc::new(set), 1.0)
}

/// Absolute for small values, relative for large ones.
pub fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    const TOLERANCE: f32 = 1e-5;
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let far = (found - expected).abs() / expected.abs().max(1.0);
        assert!(
            far <= TOLERANCE,
            "{what}: number {i} is {found}, not {expected} ({far})"
        );
    }
}
