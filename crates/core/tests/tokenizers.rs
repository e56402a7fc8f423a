//! Tokenizers against the reference vectors in the shared data folder (`RAGTUNE_SHARED`); streams against whole texts.

#![cfg(feature = "cpu")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "functions of tests, which the lints do not know for such"
)]
#![cfg(feature = "models")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use ragtune_core::chat::RenderedPrompt;
use ragtune_core::models::{Detokenizer, TextTokenizer};
use ragtune_core::weights::ModelFiles;
use serde_json::{Value, json};

fn shared(path: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("RAGTUNE_SHARED") else {
        eprintln!("skipped: set RAGTUNE_SHARED to the shared data folder to run this test");
        return None;
    };
    Some(Path::new(&root).join(path))
}

/// A tokenizer from its file and a `tokenizer_config.json`.
fn tokenizer(file: &Path, config: &Value) -> TextTokenizer {
    let files = [
        ("tokenizer.json", std::fs::read(file).unwrap()),
        ("tokenizer_config.json", config.to_string().into_bytes()),
    ];
    TextTokenizer::load(&ModelFiles::in_memory("reference", files)).unwrap()
}

#[test]
fn all_reference_vectors_are_equal() {
    let Some(data) = shared("data") else { return };
    let path = data.join("reference/tokenizer_vectors.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut seen = 0;
    for (file, cases) in vectors["tests"].as_object().unwrap() {
        // The references were made when transformers cleaned spaces up by default.
        let tokenizer = tokenizer(&data.join(file), &json!({"clean_up_tokenization_spaces": true}));
        for (name, case) in cases.as_object().unwrap() {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            let ids = match case["text_pair"].as_str() {
                None => tokenizer.encode_with_special(text, true).unwrap().ids,
                Some(pair) => tokenizer.encode_pairs(text, &[pair], 512).unwrap()[0].ids.clone(),
            };
            assert_eq!(ids, expected, "{file} {name}");
            let decoded = tokenizer.decode_with_special(&ids).unwrap();
            assert_eq!(
                tokenizer.cleaned_up(decoded),
                case["decoded"].as_str().unwrap(),
                "{file} {name}"
            );
            if case["text_pair"].is_null() {
                let tokens: Vec<String> = serde_json::from_value(case["tokens"].clone()).unwrap();
                let content = tokenizer.encode_with_special(text, false).unwrap();
                let texts: Vec<String> = content
                    .ids
                    .iter()
                    .map(|&id| tokenizer.token_text(id).unwrap())
                    .collect();
                assert_eq!(texts, tokens, "{file} {name}");
                for span in &content.spans {
                    assert!(
                        span.start <= span.end && text.get(span.start..span.end).is_some(),
                        "{name}"
                    );
                }
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 56);
}

#[test]
fn offsets_of_broken_text_are_bytes_of_the_text_itself() {
    let Some(root) = shared("data/tokenizers") else {
        return;
    };
    for file in ["gpt2/tokenizer.json", "gpt-neox-20b/20B_tokenizer.json"] {
        let tokenizer = tokenizer(&root.join(file), &json!({}));
        let text = "Größe <|endoftext|> und <|endoftext|>, ja 茶.";
        let ordinary = tokenizer.encode_ordinary(text, false).unwrap();
        assert!(ordinary.ids.iter().all(|&id| !tokenizer.is_special(id)));
        assert_eq!(tokenizer.decode(&ordinary.ids).unwrap(), text);
        // Byte-level tokens may be parts of characters: their spans are whole ones.
        for (id, span) in ordinary.ids.iter().zip(&ordinary.spans) {
            let piece = &text[span.start..span.end];
            let own = tokenizer.decode(&[*id]).unwrap();
            assert!(
                own.trim() == piece.trim() || own.contains('\u{FFFD}'),
                "{own:?} {piece:?}"
            );
        }
        let special = tokenizer.encode_with_special(text, false).unwrap();
        assert_eq!(
            special.ids.iter().filter(|&&id| tokenizer.is_special(id)).count(),
            2
        );
        // Without imitations, both ways give the same tokens.
        let plain = "No control tokens here; <|endof text|>.";
        assert_eq!(
            tokenizer.encode_ordinary(plain, false).unwrap(),
            tokenizer.encode_with_special(plain, false).unwrap()
        );
        let prompt = RenderedPrompt::trusted(text);
        assert_eq!(tokenizer.encode_prompt(&prompt).unwrap(), special);
    }
}

#[test]
fn stories_text_round_trips_as_in_transformers() {
    let Some(root) = shared("models/stories260K") else {
        return;
    };
    let tokenizer = TextTokenizer::load(&ModelFiles::folder(root).unwrap()).unwrap();
    let tokens = tokenizer.encode_with_special("Once upon a time", true).unwrap();
    assert_eq!(tokens.ids, [1, 403, 407, 261, 378]);
    assert_eq!(tokenizer.decode(&tokens.ids).unwrap(), "Once upon a time");
}

fn check_stream(tokenizer: &Arc<TextTokenizer>, ids: &[u32]) -> Result<(), TestCaseError> {
    let whole = tokenizer.decode(ids).unwrap();
    let mut detokenizer = Detokenizer::new(tokenizer.clone());
    let mut text = String::new();
    for &id in ids {
        let piece = detokenizer.push(id).unwrap();
        prop_assert!(
            whole.starts_with(&format!("{text}{piece}")),
            "{ids:?}: {whole:?} {text:?} {piece:?}"
        );
        text += &piece;
    }
    text += &detokenizer.finish().unwrap();
    prop_assert_eq!(text, whole, "{:?}", ids);
    Ok(())
}

#[test]
fn streamed_pieces_are_the_whole_text() {
    let Some(root) = shared("") else { return };
    let folder = |path: &str| root.join(path).join("tokenizer.json");
    let mut files = vec![
        folder("data/tokenizers/gpt2"),
        folder("models/stories260K"),
        folder("models/all-minilm-l6-v2"),
    ];
    files.push(root.join("data/tokenizers/gpt-neox-20b/20B_tokenizer.json"));
    for file in files {
        let tokenizer = Arc::new(tokenizer(&file, &json!({})));
        let size = tokenizer.vocab_size() as u32;
        let mut runner = proptest::test_runner::TestRunner::new_with_rng(
            ProptestConfig {
                cases: 200,
                failure_persistence: None,
                ..ProptestConfig::default()
            },
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        // Any ids, and ids of the vocabulary's beginning, where bytes are.
        let ids = prop::collection::vec(prop_oneof![0..size, 0..size.min(300)], 0..30);
        runner.run(&ids, |ids| check_stream(&tokenizer, &ids)).unwrap();
        let texts = "(\\PC|\n| ){0,40}";
        runner
            .run(&texts, |text| {
                let ids = tokenizer.encode_ordinary(&text, true).unwrap().ids;
                check_stream(&tokenizer, &ids)
            })
            .unwrap();
    }
}
