//! stories260K, a real model: its golden text, and perplexity as transformers measures it.

use std::path::PathBuf;

use ragtune_core::adapters::AdapterStack;
use ragtune_core::device;
use ragtune_core::generation::{LocalGenerator, perplexity};
use ragtune_core::models::CausalLm;
use ragtune_core::text::GenerateOptions;
use serde_json::Value;

fn shared(path: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("RAGTUNE_SHARED") else {
        eprintln!("skipped: set RAGTUNE_SHARED to the shared data folder to run this test");
        return None;
    };
    Some(PathBuf::from(root).join(path))
}

#[test]
fn the_golden_text_comes_out_exactly() {
    let Some(folder) = shared("models/stories260K") else {
        return;
    };
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let generator = LocalGenerator::load(&folder, &device::cpu()).unwrap();
    let golden: Vec<u32> = serde_json::from_value(expected["greedy_token_ids"].clone()).unwrap();
    let options = GenerateOptions::default()
        .with_max_tokens(golden.len())
        .with_logprobs(0);
    let answer = generator
        .continue_tokens(vec![1], options.clone())
        .unwrap()
        .collect_all()
        .unwrap();
    let ids: Vec<u32> = answer.tokens.iter().filter_map(|token| token.id).collect();
    assert_eq!(ids, golden);
    assert_eq!(answer.text, expected["expected_text"].as_str().unwrap());
    // What follows a text keeps its space.
    let answer = generator
        .complete("Once upon", options.with_max_tokens(2))
        .unwrap()
        .collect_all()
        .unwrap();
    assert_eq!(answer.text, " a time");
}

#[test]
fn perplexity_is_that_of_transformers() {
    let Some(folder) = shared("models/stories260K") else {
        return;
    };
    let expected: Value =
        serde_json::from_str(include_str!("../fixtures/generation/perplexity.json")).unwrap();
    let text = std::fs::read_to_string(shared(expected["file"].as_str().unwrap()).unwrap()).unwrap();
    let part: String = text
        .chars()
        .take(expected["characters"].as_u64().unwrap() as usize)
        .collect();
    let lm = CausalLm::load(&folder, &device::cpu()).unwrap();
    let ids = lm.tokenizer().encode_ordinary(&part, true).unwrap().ids;
    assert_eq!(ids.len() as u64, expected["ids"].as_u64().unwrap());
    for case in expected["cases"].as_array().unwrap() {
        let number = |name: &str| case[name].as_u64().unwrap() as usize;
        let (context, stride) = (number("context"), number("stride"));
        let found = perplexity(&lm, &ids, context, stride, &AdapterStack::base(), |_, _| {}).unwrap();
        assert_eq!(found.tokens, number("tokens"));
        let reference = case["perplexity"].as_f64().unwrap();
        let difference = (found.perplexity / reference - 1.0).abs();
        assert!(
            difference < 1e-5,
            "{context} {stride}: {} {reference}",
            found.perplexity
        );
    }
    assert!(perplexity(&lm, &ids, 512, 513, &AdapterStack::base(), |_, _| {}).is_err());
    assert!(perplexity(&lm, &ids[..1], 512, 256, &AdapterStack::base(), |_, _| {}).is_err());
}
