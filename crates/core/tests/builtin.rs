//! The encoder inside the library: the vectors that it gave when it was made, and its nearness to the f32 model.
//!
//! The golden vectors run everywhere. The comparison with the f32 folder needs `RAGTUNE_SHARED`, a folder with
//! `models/all-minilm-l6-v2` and `data/{rust-book,docs-rag,banking77}`.

#![cfg(feature = "builtin")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its texts fails, in a function of its own too"
)]

use std::fs;
use std::path::{Path, PathBuf};

use ragtune_core::device;
use ragtune_core::models::Encoder;
use ragtune_core::testing::conformance;
use ragtune_core::text::{Embedder, Embeddings, Role};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    text: String,
    /// The first components, from PyTorch over the dequantised weights.
    head: Vec<f32>,
    /// The sum of all components.
    sum: f32,
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |x: &[f32], y: &[f32]| -> f64 { x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn the_built_in_encoder_gives_its_golden_vectors() {
    let golden: Vec<Golden> = serde_json::from_str(include_str!("fixtures/builtin/golden.json")).unwrap();
    let encoder = Encoder::builtin().unwrap();
    let texts: Vec<&str> = golden.iter().map(|golden| golden.text.as_str()).collect();
    let vectors = encoder.embed(&texts, Role::Document).unwrap();
    assert_eq!((vectors.dim(), vectors.truncated()), (384, 1));
    for (row, golden) in vectors.rows().zip(&golden) {
        for (found, expected) in row.iter().zip(&golden.head) {
            assert!(
                (found - expected).abs() < 2e-5,
                "{:?}: {found} for {expected}",
                golden.text
            );
        }
        let sum: f32 = row.iter().sum();
        assert!(
            (sum - golden.sum).abs() < 1e-3,
            "{:?}: {sum} for {}",
            golden.text,
            golden.sum
        );
    }
}

#[test]
fn the_built_in_encoder_keeps_the_contract() {
    let encoder = Encoder::builtin().unwrap();
    assert_eq!(conformance::embedder(&encoder), Vec::<String>::new());
    assert_eq!(encoder.id(), Encoder::builtin().unwrap().id());
    // The pooler of the original checkpoint is no part of a sentence encoder.
    assert!(encoder.report().missing.is_empty());
    assert!(
        encoder
            .report()
            .unused
            .iter()
            .all(|name| name.starts_with("pooler."))
    );
}

/// Threads take batches as they get to them; what comes out does not tell in which order.
#[test]
fn vectors_do_not_depend_on_batches_or_threads() {
    let words = "Tea is drunk all over the world, hot or cold, black or green, with milk or without. ";
    let texts: Vec<String> = (0..60).map(|i| format!("{i} {}", words.repeat(i % 7))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoder = Encoder::builtin().unwrap();
    let vectors = encoder.embed(&texts, Role::Document).unwrap();
    let again = encoder.embed(&texts, Role::Document).unwrap();
    assert_eq!(vectors.as_slice(), again.as_slice());
    let tokens = encoder.tokenize(&texts, Role::Document).unwrap();
    let from_tokens = encoder.embed_tokens(&tokens, Role::Document).unwrap();
    assert_eq!(vectors.as_slice(), from_tokens.as_slice());
    let encoder = encoder.with_batch_tokens(4096).unwrap();
    let larger = encoder.embed(&texts, Role::Document).unwrap();
    for (x, y) in vectors.as_slice().iter().zip(larger.as_slice()) {
        assert!((x - y).abs() <= 1e-5, "{x} is not {y}");
    }
}

#[test]
fn the_built_in_encoder_is_near_the_f32_model_on_every_sentence() {
    let Some(shared) = std::env::var_os("RAGTUNE_SHARED").map(PathBuf::from) else {
        println!("skipped: RAGTUNE_SHARED is not set");
        return;
    };
    let sentences = sentences(&shared.join("data"));
    assert_eq!(sentences.len(), 300);
    let texts: Vec<&str> = sentences.iter().map(String::as_str).collect();
    let embed = |encoder: &Encoder| -> Embeddings { encoder.embed(&texts, Role::Document).unwrap() };
    let builtin = embed(&Encoder::builtin().unwrap());
    let whole = embed(&Encoder::load(shared.join("models/all-minilm-l6-v2"), &device::cpu()).unwrap());
    let cosines: Vec<f64> = builtin
        .rows()
        .zip(whole.rows())
        .map(|(a, b)| cosine(a, b))
        .collect();
    let least = cosines.iter().copied().fold(f64::INFINITY, f64::min);
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    println!("cosine to the f32 model over 300 sentences: least {least:.6}, mean {mean:.6}");
    assert!(least >= 0.9995, "{least}");
}

/// A hundred paragraphs of a book, a hundred questions about documentation, a hundred of a bank's customers.
fn sentences(data: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(data.join("rust-book"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    files.sort();
    let paragraphs = files.iter().filter_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        text.split("\n\n")
            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
            .find(|paragraph| paragraph.len() > 120 && paragraph.starts_with(char::is_alphabetic))
    });
    let mut sentences: Vec<String> = paragraphs.take(100).collect();
    let queries = fs::read_to_string(data.join("docs-rag/queries.jsonl")).unwrap();
    sentences.extend(queries.lines().take(100).map(|line| {
        let query: serde_json::Value = serde_json::from_str(line).unwrap();
        query["text"].as_str().unwrap().to_owned()
    }));
    let banking = fs::read_to_string(data.join("banking77/test.csv")).unwrap();
    let questions = banking.lines().skip(1).filter(|line| !line.starts_with('"'));
    sentences.extend(
        questions
            .step_by(20)
            .take(100)
            .filter_map(|line| Some(line.rsplit_once(',')?.0.to_owned())),
    );
    sentences
}
