//! Thousands of damaged files for every parser of outside bytes, the same in every run. The targets of `fuzz/` go on from
//! where this ends, with coverage to guide them.

#![cfg(all(feature = "cpu", feature = "openai"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "functions of tests, which the lints do not know for such"
)]

mod entries;
mod mutator;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mutator::{Random, mutate};
use ragtune_core::adapters::{AdapterConfig, AdapterSet};
use ragtune_core::device;
use ragtune_core::models::Decoder;
use ragtune_core::weights::ModelFiles;

/// A model, and the weights of an adapter for it.
const MODEL: [(&str, &[u8]); 2] = [
    (
        "config.json",
        include_bytes!("../fixtures/decoder/llama/config.json"),
    ),
    (
        "model.safetensors",
        include_bytes!("../fixtures/decoder/llama/model.safetensors"),
    ),
];
const ADAPTER: &[u8] = include_bytes!("../fixtures/adapters/lora/adapter_model.safetensors");

/// The good files of a parser.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn run(target: &str, inputs: usize, entry: impl Fn(&[u8])) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty());
    let mut random = Random::new(7);
    let check = |input: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| entry(input))).is_err() {
            panic!("{target}: this input makes it panic: {}", input.escape_ascii());
        }
    };
    for seed in &seeds {
        check(seed);
    }
    for i in 0..inputs {
        check(&mutate(&seeds[i % seeds.len()], &seeds, &mut random));
    }
}

#[test]
fn configurations() {
    run("config", 20_000, entries::config);
}

#[test]
fn adapter_configurations() {
    let files = ModelFiles::in_memory("base", MODEL);
    let config = Decoder::config(&files).unwrap();
    let checkpoint = files.checkpoint().unwrap();
    let load = |loader: &ragtune_core::weights::Loader<'_>| Decoder::load(&config, loader);
    let (base, _) = checkpoint.load(&device::cpu(), load).unwrap();
    run("adapter_config", 5_000, |data| {
        entries::adapter_config(data);
        // With weights beside a base, so that patterns are matched as well.
        let files = [
            (AdapterConfig::FILE, Cow::Owned(data.to_vec())),
            (AdapterSet::WEIGHTS, Cow::Borrowed(ADAPTER)),
        ];
        let _ = AdapterSet::from_files(&ModelFiles::in_memory("fuzz", files), &base);
    });
}

#[test]
fn module_lists() {
    run("modules", 10_000, entries::modules);
}

#[test]
fn chat_templates() {
    run("chat_template", 3_000, entries::chat_template);
}

#[test]
fn checkpoints() {
    run("checkpoint", 20_000, entries::checkpoint);
}

#[test]
fn event_streams() {
    run("sse", 20_000, entries::sse);
}

#[test]
fn tokenizer_configurations() {
    run("tokenizer_config", 3_000, entries::tokenizer_config);
}
