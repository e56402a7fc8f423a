//! Tiny encoders of every family, sentence-transformers folders and cross-encoders against what the reference
//! implementations compute (`fixtures/encoders/make.py`).
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ragtune_core::device;
use ragtune_core::models::{CrossEncoder, Encoder, EncoderModel, FAMILIES, TextTokenizer};
use ragtune_core::nn::{Context, Segments};
use ragtune_core::testing::conformance;
use ragtune_core::text::{Embedder, Reranker, Role, TokenCount};
use ragtune_core::weights::{Checkpoint, ModelFiles};
use serde::Deserialize;

const TOLERANCE: f32 = 1e-5;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders")
}

fn json<T: for<'de> Deserialize<'de>>(path: PathBuf) -> T {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn expected(checkpoint: &Checkpoint, name: &str) -> (Vec<usize>, Vec<f32>) {
    let shape = checkpoint.shape(name).unwrap().to_vec();
    let values = checkpoint.read(name, &shape).unwrap().unwrap();
    (shape, values)
}

/// Absolute for small values, relative for large ones.
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let far = (found - expected).abs() / expected.abs().max(1.0);
        assert!(
            far <= TOLERANCE,
            "{what}: component {i} is {found}, not {expected} ({far})"
        );
    }
}

/// All files under a folder by their names inside it.
fn files_under(folder: &Path, prefix: &str, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            files_under(&path, &format!("{name}/"), into);
        } else {
            into.insert(name, std::fs::read(path).unwrap());
        }
    }
}

/// A sentence-transformers folder: a case's files around those of the tiny BERT.
fn sentence_files(case: &str) -> ModelFiles {
    let mut files = BTreeMap::new();
    files_under(&fixtures().join("models/bert"), "", &mut files);
    let folder = fixtures().join("sentence").join(case);
    if folder.is_dir() {
        files_under(&folder, "", &mut files);
    }
    ModelFiles::in_memory(
        case,
        files.into_iter().map(|(name, bytes)| (name, Cow::Owned(bytes))),
    )
}

#[derive(Deserialize)]
struct States {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
}

#[test]
fn every_layer_of_every_family_equals_transformers() {
    let device = device::cpu();
    let mut seen = Vec::new();
    for family in ["bert", "distilbert", "roberta", "xlm-roberta", "mpnet"] {
        let folder = fixtures().join("models").join(family);
        let files = ModelFiles::folder(&folder).unwrap();
        let config = EncoderModel::config(&files).unwrap();
        seen.push(config.model_type.clone());
        let (model, report) = files
            .checkpoint()
            .unwrap()
            .load(&device, |loader| EncoderModel::load(&config, loader))
            .unwrap();
        assert!(
            report.unused.iter().all(|name| name.starts_with("pooler.")),
            "{family}: {:?}",
            report.unused
        );
        let States { texts, ids } = json(folder.join("expected.json"));
        let reference = Checkpoint::open(folder.join("expected.safetensors")).unwrap();
        // Tokens.
        let tokenizer = TextTokenizer::load(&files).unwrap();
        let limit = config.max_position_embeddings - 4;
        let encoded = tokenizer.encode(&texts, limit).unwrap();
        for ((text, encoded), ids) in texts.iter().zip(&encoded).zip(&ids) {
            assert_eq!(&encoded.ids, ids, "{family}: {text:?}");
        }
        // States, of all texts in one batch.
        let segments = Segments::from_lengths(ids.iter().map(Vec::len));
        let context = Context::new(segments.clone());
        let packed = ids.concat();
        let states = model
            .hidden_states(&packed, &vec![0; packed.len()], &context)
            .unwrap();
        assert_eq!(states.len(), config.num_hidden_layers + 1);
        for (layer, state) in states.into_iter().enumerate() {
            let state = state.into_data().try_into_vec::<f32>().unwrap();
            for (i, range) in segments.iter().enumerate() {
                let (shape, expected) = expected(&reference, &format!("{i}.{layer}"));
                assert_eq!(shape, [range.len(), config.hidden_size]);
                let rows = range.start * config.hidden_size..range.end * config.hidden_size;
                assert_close(
                    &state[rows],
                    &expected,
                    &format!("{family}, text {i}, layer {layer}"),
                );
            }
        }
    }
    assert!(seen.iter().all(|family| FAMILIES.contains(&family.as_str())));
}

#[test]
fn every_precision_and_shards_equal_transformers() {
    let device = device::cpu();
    for variant in ["f16", "bf16", "sharded"] {
        let folder = fixtures().join("variants").join(variant);
        let files = ModelFiles::folder(&folder).unwrap();
        let config = EncoderModel::config(&files).unwrap();
        let (model, _) = files
            .checkpoint()
            .unwrap()
            .load(&device, |loader| EncoderModel::load(&config, loader))
            .unwrap();
        let text = "Tea is a drink made from the leaves of a plant, steeped in hot water for some minutes.";
        let tokens = TextTokenizer::load(&files)
            .unwrap()
            .encode(&[text], 24)
            .unwrap()
            .remove(0);
        assert!(tokens.truncated);
        let context = Context::new(Segments::from_lengths([tokens.ids.len()]));
        let state = model.forward(&tokens.ids, &tokens.type_ids, &context).unwrap();
        let reference = Checkpoint::open(folder.join("expected.safetensors")).unwrap();
        let (_, expected) = expected(&reference, "last_hidden_state");
        let state = state.into_data().try_into_vec::<f32>().unwrap();
        assert_close(&state, &expected, variant);
    }
}

#[derive(Deserialize)]
struct Case {
    texts: Vec<String>,
    max_seq_length: usize,
}

#[test]
fn sentence_folders_equal_sentence_transformers() {
    let reference = Checkpoint::open(fixtures().join("sentence/expected.safetensors")).unwrap();
    let cases: BTreeMap<String, Case> = json(fixtures().join("sentence/cases.json"));
    assert!(cases.len() >= 20);
    for (name, case) in cases {
        let encoder = Encoder::from_files(&sentence_files(&name), &device::cpu()).unwrap();
        assert_eq!(encoder.max_seq_length(), case.max_seq_length, "{name}");
        let texts: Vec<&str> = case.texts.iter().map(String::as_str).collect();
        for (role, part) in [(Role::Query, "query"), (Role::Document, "document")] {
            let vectors = encoder.embed(&texts, role).unwrap();
            vectors.check(encoder.dim(), texts.len()).unwrap();
            let (shape, expected) = expected(&reference, &format!("{name}.{part}"));
            assert_eq!(shape, [texts.len(), encoder.dim()], "{name}");
            for (i, text) in texts.iter().enumerate() {
                let expected = &expected[i * encoder.dim()..(i + 1) * encoder.dim()];
                assert_close(
                    vectors.row(i).unwrap(),
                    expected,
                    &format!("{name}, {part} {text:?}"),
                );
            }
        }
    }
}

#[test]
fn cut_texts_are_counted_and_limits_are_content_tokens() {
    let encoder = Encoder::from_files(&sentence_files("truncated"), &device::cpu()).unwrap();
    assert_eq!((encoder.max_seq_length(), encoder.max_tokens()), (12, 10));
    let fits = "t t t t t t t t t t";
    assert_eq!(encoder.count_tokens(fits), TokenCount::Exact(10));
    let over = format!("{fits} t");
    let vectors = encoder.embed(&[fits, &over, "", &over], Role::Document).unwrap();
    assert_eq!(vectors.truncated(), 2);
    // What is cut away does not matter.
    assert_eq!(vectors.row(0), vectors.row(1));
    let prompted = Encoder::from_files(&sentence_files("prompts"), &device::cpu()).unwrap();
    let longest = prompted
        .count_tokens("what is: ")
        .get()
        .max(prompted.count_tokens("tea ").get());
    assert_eq!(prompted.max_tokens(), 24 - 2 - longest);
}

#[test]
fn encoders_keep_their_contract() {
    for case in ["plain", "dense", "prompts", "prompts-excluded-mean"] {
        let encoder = Encoder::from_files(&sentence_files(case), &device::cpu()).unwrap();
        assert_eq!(conformance::embedder(&encoder), Vec::<String>::new(), "{case}");
    }
    let cross = CrossEncoder::load(fixtures().join("cross/bert"), &device::cpu()).unwrap();
    assert_eq!(conformance::reranker(&cross), Vec::<String>::new());
}

#[test]
fn vectors_do_not_depend_on_batches() {
    let encoder = || Encoder::from_files(&sentence_files("normalize"), &device::cpu()).unwrap();
    let texts: Vec<String> = (0..60).map(|i| "tea in hot water ".repeat(i * 7 % 11)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let whole = encoder().embed(&texts, Role::Document).unwrap();
    let single = encoder().with_batch_tokens(1).unwrap();
    assert_eq!(single.id(), encoder().id());
    let single = single.embed(&texts, Role::Document).unwrap();
    assert_close(single.as_slice(), whole.as_slice(), "batches of one");
    assert!(encoder().with_batch_tokens(0).is_err());
}

#[test]
fn ids_follow_what_vectors_depend_on() {
    let id = |case: &str| {
        Encoder::from_files(&sentence_files(case), &device::cpu())
            .unwrap()
            .id()
            .to_owned()
    };
    let mut ids: Vec<String> = [
        "plain",
        "normalize",
        "truncated",
        "dense",
        "prompts",
        "pooling-cls",
        "pooling-max",
        "lower-case",
        "truncated-dimension",
        "prompts-excluded-mean",
    ]
    .map(id)
    .to_vec();
    assert_eq!(id("plain"), ids[0]);
    let plain = Encoder::from_files(&sentence_files("plain"), &device::cpu()).unwrap();
    ids.push(plain.with_max_seq_length(9).unwrap().id().to_owned());
    // The same folder on disk is the same encoder.
    let on_disk = Encoder::load(fixtures().join("models/bert"), &device::cpu()).unwrap();
    assert_eq!(on_disk.id(), ids[0]);
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[derive(Deserialize)]
struct Pairs {
    pairs: Vec<(String, String)>,
    logits: Vec<Vec<f32>>,
}

#[test]
fn cross_encoders_equal_sentence_transformers() {
    for family in [
        "bert",
        "bert-two-labels",
        "distilbert",
        "roberta",
        "xlm-roberta",
        "mpnet",
    ] {
        let folder = fixtures().join("cross").join(family);
        let cross = CrossEncoder::load(&folder, &device::cpu()).unwrap();
        assert!(cross.report().unused.is_empty(), "{:?}", cross.report());
        let Pairs { pairs, logits } = json(folder.join("expected.json"));
        for ((query, passage), expected) in pairs.iter().zip(&logits) {
            let found = cross.logits(query, &[passage, "Tea"]).unwrap();
            assert_close(&found[0], expected, &format!("{family}, {query:?} {passage:?}"));
            let probability = cross.score(query, &[passage]).unwrap()[0];
            let expected = match expected[..] {
                [relevant] => 1.0 / (1.0 + (-relevant).exp()),
                [no, yes] => yes.exp() / (no.exp() + yes.exp()),
                _ => f32::NAN,
            };
            assert!(
                (probability - expected).abs() <= TOLERANCE,
                "{family}: {probability} {expected}"
            );
        }
    }
}
