//! stories260K, a real Llama: its golden text, token for token, with and without a cache.

#![cfg(feature = "cpu")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "functions of tests, which the lints do not know for such"
)]

use std::path::PathBuf;

use burn::tensor::Tensor;
use ragtune_core::device;
use ragtune_core::models::CausalLm;
use ragtune_core::nn::{Context, KvCache, Segments};
use serde_json::Value;

fn folder() -> Option<PathBuf> {
    match std::env::var_os("RAGTUNE_SHARED") {
        Some(shared) => Some(PathBuf::from(shared).join("models/stories260K")),
        None => {
            eprintln!("skipped: RAGTUNE_SHARED does not name the folder of test data");
            None
        }
    }
}

fn golden(folder: &std::path::Path) -> Vec<u32> {
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let ids = expected["greedy_token_ids"].as_array().unwrap();
    ids.iter()
        .map(|id| u32::try_from(id.as_u64().unwrap()).unwrap())
        .collect()
}

fn best(logits: Tensor<2>) -> Vec<u32> {
    let [_, v] = logits.dims();
    let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
    let best = |row: &[f32]| (0..v).rev().max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
    values
        .chunks_exact(v)
        .map(|row| u32::try_from(best(row)).unwrap())
        .collect()
}

fn one(tokens: usize) -> Context {
    Context::new(Segments::from_lengths([tokens]))
}

#[test]
fn every_token_of_the_golden_text_follows_from_those_before() {
    let Some(folder) = folder() else { return };
    let lm = CausalLm::load(&folder, &device::cpu()).unwrap();
    assert_eq!(lm.report().unused, Vec::<String>::new());
    let golden = golden(&folder);
    let ids: Vec<u32> = [1].into_iter().chain(golden.iter().copied()).collect();
    let found = best(lm.logits(&ids, &one(ids.len())).unwrap());
    assert_eq!(found[..golden.len()], golden);
}

#[test]
fn cached_texts_of_a_batch_go_on_alike() {
    let Some(folder) = folder() else { return };
    let lm = CausalLm::load(&folder, &device::cpu()).unwrap();
    let golden = golden(&folder);
    let ids: Vec<u32> = [1].into_iter().chain(golden.iter().copied()).collect();
    // Three texts that are at different places of the same story.
    let starts = [1, 37, 120];
    let mut caches: Vec<KvCache> = starts.iter().map(|_| lm.cache(256)).collect();
    let mut next: Vec<Vec<u32>> = starts.iter().map(|start| ids[..*start].to_vec()).collect();
    for step in 0..60 {
        let context = Context::new(Segments::from_lengths(next.iter().map(Vec::len)));
        let mut borrowed: Vec<&mut KvCache> = caches.iter_mut().collect();
        let found = best(lm.next_logits(&next.concat(), &mut borrowed, &context).unwrap());
        let expected: Vec<u32> = starts.iter().map(|start| ids[start + step]).collect();
        assert_eq!(found, expected, "step {step}");
        next = found.iter().map(|id| vec![*id]).collect();
    }
    // Forgetting the end and going on again gives the same.
    assert_eq!(caches[1].truncate(50), 50);
    let found = best(
        lm.next_logits(&ids[50..60], &mut [&mut caches[1]], &one(10))
            .unwrap(),
    );
    assert_eq!(found, [ids[60]]);
}
