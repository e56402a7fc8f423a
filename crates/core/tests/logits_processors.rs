//! The logits processors against those of transformers (`fixtures/generation/processors.py`).

#![cfg(feature = "cpu")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "functions of tests, which the lints do not know for such"
)]
#![cfg(feature = "models")]

use std::collections::{BTreeMap, BTreeSet};

use ragtune_core::generation::processors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    options: Options,
    logits: Vec<f32>,
    tokens: Vec<u32>,
    scores: Vec<Option<f32>>,
}

#[derive(Debug, Deserialize)]
struct Options {
    #[serde(default)]
    logit_bias: BTreeMap<u32, f32>,
    repetition_penalty: Option<f32>,
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    min_p: Option<f32>,
}

#[test]
fn scores_are_those_of_transformers() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("fixtures/generation/processors.json")).unwrap();
    assert_eq!(cases.len(), 24);
    for case in cases {
        let (mut logits, options) = (case.logits, case.options);
        processors::logit_bias(&mut logits, &options.logit_bias).unwrap();
        if let Some(penalty) = options.repetition_penalty {
            let tokens: BTreeSet<u32> = case.tokens.iter().copied().collect();
            processors::repetition_penalty(&mut logits, tokens, penalty);
        }
        if let Some(temperature) = options.temperature {
            processors::temperature(&mut logits, temperature);
        }
        if let Some(k) = options.top_k {
            processors::top_k(&mut logits, k);
        }
        if let Some(p) = options.top_p {
            processors::top_p(&mut logits, p);
        }
        if let Some(p) = options.min_p {
            processors::min_p(&mut logits, p);
        }
        for (token, (ours, theirs)) in logits.iter().zip(&case.scores).enumerate() {
            match theirs {
                Some(theirs) => assert!(
                    (ours - theirs).abs() < 1e-4,
                    "{token} {options:?}: {ours} {theirs}"
                ),
                None => assert_eq!(*ours, f32::NEG_INFINITY, "{token} {options:?}"),
            }
        }
    }
}
