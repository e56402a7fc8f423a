//! all-MiniLM-L6-v2 against vectors that other implementations computed; runs where `RAGTUNE_SHARED` names the folder
//! that has the model and the vectors.
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that meets the first fails, and says on the second why it was skipped"
)]

use std::path::PathBuf;

use ragtune_core::device;
use ragtune_core::models::Encoder;
use ragtune_core::testing::conformance;
use ragtune_core::text::{Embedder, Role};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    upstream_golden: Upstream,
    independent_numpy: Vectors,
}

#[derive(Deserialize)]
struct Upstream {
    texts: Vec<String>,
    embedding_sums: Vec<f32>,
    sample_text_file: String,
    sample_text_first10: Vec<f32>,
    max_length: usize,
}

#[derive(Deserialize)]
struct Vectors {
    texts: Vec<String>,
    embeddings: Vec<Vec<f32>>,
}

/// The shared folder, or `None` with a line that says so.
fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("RAGTUNE_SHARED").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: RAGTUNE_SHARED does not name the folder with models/all-minilm-l6-v2");
    }
    folder
}

fn encoder(shared: &std::path::Path) -> Encoder {
    Encoder::load(shared.join("models/all-minilm-l6-v2"), &device::cpu()).unwrap()
}

#[test]
fn vectors_equal_other_implementations() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("data/reference/minilm-embeddings");
    let golden: Golden = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    let encoder = encoder(&shared);
    assert_eq!((encoder.dim(), encoder.max_seq_length()), (384, 256));

    let Vectors { texts, embeddings } = golden.independent_numpy;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = encoder.embed(&texts, Role::Document).unwrap();
    for (row, expected) in vectors.rows().zip(&embeddings) {
        let cosine: f32 = row.iter().zip(expected).map(|(x, y)| x * y).sum();
        assert!(cosine >= 0.99999, "cosine {cosine}");
        for (x, y) in row.iter().zip(expected) {
            assert!((x - y).abs() <= 1e-5, "{x} is not {y}");
        }
    }

    let upstream = golden.upstream_golden;
    let texts: Vec<&str> = upstream.texts.iter().map(String::as_str).collect();
    let vectors = encoder.embed(&texts, Role::Document).unwrap();
    for (row, sum) in vectors.rows().zip(&upstream.embedding_sums) {
        assert!((row.iter().sum::<f32>() - sum).abs() <= 1e-4);
    }

    let sample = std::fs::read_to_string(folder.join(upstream.sample_text_file)).unwrap();
    let encoder = encoder.with_max_seq_length(upstream.max_length).unwrap();
    let vectors = encoder.embed(&[&sample], Role::Document).unwrap();
    assert_eq!(vectors.truncated(), 1);
    for (x, y) in vectors.as_slice().iter().zip(&upstream.sample_text_first10) {
        assert!((x - y).abs() <= 1e-5, "{x} is not {y}");
    }
}

#[test]
fn the_contract_holds() {
    let Some(shared) = shared() else { return };
    let encoder = encoder(&shared);
    assert_eq!(conformance::embedder(&encoder), Vec::<String>::new());
    assert_eq!(
        encoder.report().unused,
        [
            "embeddings.position_ids",
            "pooler.dense.bias",
            "pooler.dense.weight"
        ]
    );
}

#[test]
fn neighbours_do_not_move_a_vector() {
    let Some(shared) = shared() else { return };
    let encoder = encoder(&shared);
    let words = "Tea is drunk all over the world, hot or cold, black or green, with milk or without. ";
    let texts: Vec<String> = (0..40).map(|i| format!("{i} {}", words.repeat(i % 9))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = encoder.embed(&texts, Role::Document).unwrap();
    for (text, row) in texts.iter().zip(together.rows()) {
        let alone = encoder.embed(&[text], Role::Document).unwrap();
        for (x, y) in row.iter().zip(alone.as_slice()) {
            assert!((x - y).abs() <= 1e-5, "{x} is not {y}");
        }
    }
}

/// The kept tokens of a long text are found without tokenizing all of it.
#[test]
fn long_texts_are_cut_as_if_tokenized_whole() {
    let Some(shared) = shared() else { return };
    let encoder = encoder(&shared);
    let sample =
        std::fs::read_to_string(shared.join("data/reference/minilm-embeddings/sample_text.txt")).unwrap();
    let long = sample.repeat(20);
    let huge = sample.repeat(2_000);
    assert!(huge.len() > 8_000_000);
    let tokenizer = encoder.tokenizer();
    let short = tokenizer.encode(&[&sample], 256).unwrap().remove(0);
    let words = "x".repeat(4_000_000);
    for text in [&long, &huge] {
        assert_eq!(tokenizer.encode(&[text], 256).unwrap()[0], short);
    }
    assert!(!tokenizer.encode(&[&words], 256).unwrap()[0].truncated);
    // Counting goes piece by piece and loses nothing.
    let line = format!("{sample}\n");
    assert_eq!(
        tokenizer.count(&line.repeat(400)).unwrap(),
        400 * tokenizer.count(&line).unwrap()
    );
}
