//! Merged weights compute what side paths compute, and come out again.

use std::sync::Arc;

use ragtune_core::adapters::{AdapterBase, AdapterStack, Module};
use ragtune_core::models::CausalLm;

use super::fixture::{adapter, assert_close, assert_near, base, distance, expected, logits, plain, stack};

#[test]
fn merged_models_equal_side_paths_and_unmerge() {
    let about = expected();
    for (case, base_name) in &about.bases {
        let lm = base(base_name);
        let set = Arc::new(adapter(case, &lm));
        let before = plain(&lm, &about.texts);
        let side = logits(&lm, &about.texts, &vec![stack(&set); about.texts.len()]);
        let mut merged = lm.clone();
        let merge = merged.merge(&stack(&set)).unwrap();
        let found = plain(&merged, &about.texts);
        for (found, side) in found.iter().zip(&side) {
            assert_near(found, side, 1e-5, case);
        }
        assert!(distance(&before, &found) > 0.05, "{case}");
        // The model that the merged one was cloned from is as it was.
        assert_eq!(before, plain(&lm, &about.texts), "{case}");
        merged.unmerge(merge).unwrap();
        assert_weights_close(&merged, &lm, 1e-5, case);
        for (found, before) in plain(&merged, &about.texts).iter().zip(&before) {
            assert_near(found, before, 1e-5, case);
        }
        assert_eq!(merged.config().tie_word_embeddings, lm.config().tie_word_embeddings);
    }
}

#[test]
fn merged_stacks_equal_side_paths_and_unmerge() {
    let (lm, texts) = (base("llama"), expected().texts);
    let parts = [
        ("embedding_dora", 0.75),
        ("dora", 1.0),
        ("lora", -0.5),
        ("modules_to_save", 0.5),
        ("rslora", 1.25),
        ("dora", 0.5),
        ("ia3", 0.9),
    ];
    let all = parts.iter().fold(AdapterStack::base(), |stack, (name, weight)| {
        stack.with(Arc::new(adapter(name, &lm)), *weight)
    });
    let side = logits(&lm, &texts, &vec![all.clone(); texts.len()]);
    let mut merged = lm.clone();
    let merge = merged.merge(&all).unwrap();
    for (found, side) in plain(&merged, &texts).iter().zip(&side) {
        assert_near(found, side, 1e-5, "stack");
    }
    merged.unmerge(merge).unwrap();
    assert_weights_close(&merged, &lm, 1e-5, "stack");
}

#[test]
fn merges_one_after_another_come_out_in_reverse() {
    let (lm, texts) = (base("llama-tied"), expected().texts);
    let [a, b] = ["tied_embedding", "tied_head"].map(|name| Arc::new(adapter(name, &lm)));
    let mut merged = lm.clone();
    let first = merged.merge(&stack(&a)).unwrap();
    assert!(!merged.config().tie_word_embeddings);
    let second = merged.merge(&stack(&b)).unwrap();
    let both = stack(&a).with(Arc::clone(&b), 1.0);
    for (found, side) in plain(&merged, &texts)
        .iter()
        .zip(&logits(&lm, &texts, &vec![both; texts.len()]))
    {
        assert_near(found, side, 1e-5, "both");
    }
    merged.unmerge(second).unwrap();
    assert!(!merged.config().tie_word_embeddings);
    merged.unmerge(first).unwrap();
    assert!(merged.config().tie_word_embeddings);
    assert_weights_close(&merged, &lm, 1e-5, "both");
}

#[test]
fn adapters_of_another_base_are_not_merged() {
    let (llama, mut gpt2) = (base("llama"), base("gpt2"));
    let set = Arc::new(adapter("lora", &llama));
    assert!(gpt2.merge(&stack(&set)).is_err());
}

fn assert_weights_close(found: &CausalLm, expected: &CausalLm, tolerance: f32, what: &str) {
    for (found, expected) in found.modules().into_iter().zip(expected.modules()) {
        let what = format!("{what}: {}", found.slot());
        assert_eq!(found.slot(), expected.slot());
        for (found, expected) in values(found).iter().zip(&values(expected)) {
            assert_close(found, expected, tolerance, &what);
        }
    }
}

fn values(module: Module<'_>) -> Vec<Vec<f32>> {
    let vector = |tensor: &burn::tensor::Tensor<1>| tensor.clone().into_data().try_into_vec::<f32>().unwrap();
    let matrix = |tensor: burn::tensor::Tensor<2>| tensor.into_data().try_into_vec::<f32>().unwrap();
    match module {
        Module::Linear(layer) => {
            let bias = layer.bias().map(vector);
            [Some(matrix(layer.weight())), bias].into_iter().flatten().collect()
        }
        Module::Embedding(table) => vec![matrix(table.weight())],
        Module::RmsNorm(norm) => vec![vector(norm.weight())],
        Module::LayerNorm(norm) => vec![vector(norm.weight()), vector(norm.bias())],
        _ => panic!("an unknown module"),
    }
}
