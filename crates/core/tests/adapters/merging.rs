//! Merged weights compute what side paths compute, and come out again.

use std::sync::Arc;

use burn::tensor::Tensor;
use ragtune_core::adapters::{AdapterBase, AdapterSet, AdapterStack, LowRank, Module};
use ragtune_core::models::CausalLm;
use ragtune_core::weights::{Checkpoint, Content, FloatType, Precision, StoredMatrix};
use ragtune_core::{Error, device};
use safetensors::tensor::{Dtype, TensorView};

use super::fixture::{
    adapter, assert_close, assert_near, base, chain, distance, expected, folder, logits, plain, stack,
};

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
        assert_eq!(
            merged.config().tie_word_embeddings,
            lm.config().tie_word_embeddings
        );
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
fn written_models_load_and_compute_the_same() {
    let about = expected();
    let temporary = tempfile::tempdir().unwrap();
    let out = std::env::var_os("RAGTUNE_ADAPTERS_OUT")
        .map_or_else(|| temporary.path().to_owned(), std::path::PathBuf::from);
    for (case, base_name) in &about.bases {
        let mut lm = base(base_name);
        let set = Arc::new(adapter(case, &lm));
        let side = logits(&lm, &about.texts, &vec![stack(&set); about.texts.len()]);
        let _ = lm.merge(&stack(&set)).unwrap();
        let (source, target) = (
            folder().join("../decoder").join(base_name),
            out.join(format!("{case}.merged")),
        );
        lm.save(&source, &target, FloatType::F32).unwrap();
        let again = CausalLm::load(&target, &device::cpu()).unwrap();
        assert!(
            again.report().unused.is_empty(),
            "{case}: {:?}",
            again.report().unused
        );
        assert_eq!(
            again.config().tie_word_embeddings,
            lm.config().tie_word_embeddings
        );
        let ties = ["tied_embedding", "tied_head", "tied_save"];
        assert!(
            !ties.contains(&case.as_str()) || !again.config().tie_word_embeddings,
            "{case}"
        );
        for (found, side) in plain(&again, &about.texts).iter().zip(&side) {
            assert_near(found, side, 1e-5, case);
        }
        assert!(target.join("tokenizer.json").is_file());
        assert!(!target.join("expected.safetensors").exists());
    }
}

#[test]
fn models_are_written_in_the_type_asked_for_and_whole_or_not_at_all() {
    let (lm, texts) = (base("llama"), expected().texts);
    let source = folder().join("../decoder/llama");
    let out = tempfile::tempdir().unwrap();
    let before = plain(&lm, &texts);
    for (dtype, tolerance) in [
        (FloatType::F32, 0.0),
        (FloatType::F16, 1e-2),
        (FloatType::Bf16, 1e-1),
    ] {
        let target = out.path().join(dtype.to_string());
        lm.save(&source, &target, dtype).unwrap();
        let again = CausalLm::load(&target, &device::cpu()).unwrap();
        for (found, before) in plain(&again, &texts).iter().zip(&before) {
            assert_near(found, before, tolerance, &dtype.to_string());
        }
        // What exists is not written over.
        assert!(matches!(
            lm.save(&source, &target, dtype),
            Err(Error::InvalidArgument { .. })
        ));
    }
    // A weight beyond f16, and a bias that the architecture has no place for.
    let huge = Tensor::<2>::full([32, 1], 300.0, &device::cpu());
    let pair = LowRank::new(huge.clone().transpose(), huge.clone(), 1.0);
    let set = AdapterSet::new().with_low_rank("model.layers.0.self_attn.q_proj", pair.clone());
    let mut merged = lm.clone();
    let _ = merged.merge(&stack(&Arc::new(set))).unwrap();
    let error = chain(
        &merged
            .save(&source, out.path().join("f16-2"), FloatType::F16)
            .unwrap_err(),
    );
    assert!(
        error.contains("model.layers.0.self_attn.q_proj.weight"),
        "{error}"
    );
    let pair = pair.with_bias(Tensor::ones([32], &device::cpu()));
    let set = AdapterSet::new().with_low_rank("model.layers.0.self_attn.q_proj", pair);
    let mut merged = lm.clone();
    let _ = merged.merge(&stack(&Arc::new(set))).unwrap();
    let error = chain(
        &merged
            .save(&source, out.path().join("bias"), FloatType::F32)
            .unwrap_err(),
    );
    assert!(error.contains("has a bias"), "{error}");
    let missing = lm.save(out.path().join("none"), out.path().join("other"), FloatType::F32);
    assert!(matches!(missing, Err(Error::Io { .. })));
    let mut left: Vec<_> = std::fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["bf16", "f16", "f32"]);
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
    let vector = |tensor: &Tensor<1>| tensor.clone().into_data().try_into_vec::<f32>().unwrap();
    let matrix = |tensor: Tensor<2>| tensor.into_data().try_into_vec::<f32>().unwrap();
    match module {
        Module::Linear(layer) => {
            let bias = layer.bias().map(vector);
            [Some(matrix(layer.weight())), bias]
                .into_iter()
                .flatten()
                .collect()
        }
        Module::Embedding(table) => vec![matrix(table.weight())],
        Module::RmsNorm(norm) => vec![vector(norm.weight())],
        Module::LayerNorm(norm) => vec![vector(norm.weight()), vector(norm.bias())],
        _ => panic!("an unknown module"),
    }
}

/// A base whose linear layers are stored in int8, and the same base with the weights that these stand for in f32.
fn int8_base(name: &str) -> [CausalLm; 2] {
    let source = folder().join("../decoder").join(name);
    let whole = Checkpoint::open(&source).unwrap();
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let (mut rounded, mut plain) = (Vec::new(), Vec::new());
    for tensor in whole.names() {
        let shape = whole.shape(tensor).unwrap().to_vec();
        let values = whole.read(tensor, &shape).unwrap().unwrap();
        let part = |values: &[f32]| (tensor.to_owned(), Dtype::F32, shape.clone(), bytes(values));
        let [rows, columns] = *shape else {
            rounded.push(part(&values));
            plain.push(part(&values));
            continue;
        };
        if !tensor.contains("_proj") {
            rounded.push(part(&values));
            plain.push(part(&values));
            continue;
        }
        let matrix = StoredMatrix::new(tensor, values, [rows, columns], Precision::Int8).unwrap();
        plain.push(part(&matrix.to_f32()));
        let Content::Int8(int8) = matrix.content() else {
            panic!("{tensor} is not int8");
        };
        let codes = int8.values.iter().map(|value| value.cast_unsigned()).collect();
        let scales: Vec<u8> = int8.scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
        rounded.push((tensor.to_owned(), Dtype::I8, shape.clone(), codes));
        rounded.push((
            format!("{tensor}_scale"),
            Dtype::F16,
            vec![rows, scales.len() / 2 / rows],
            scales,
        ));
    }
    [rounded, plain].map(|parts| {
        let to = tempfile::tempdir().unwrap();
        for file in ["config.json", "tokenizer.json"] {
            std::fs::copy(source.join(file), to.path().join(file)).unwrap();
        }
        let views = parts.iter().map(|(name, dtype, shape, bytes)| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize_to_file(views, None, &to.path().join(Checkpoint::FILE)).unwrap();
        CausalLm::load(to.path(), &device::cpu()).unwrap()
    })
}

#[test]
fn a_merge_into_an_int8_base_is_the_one_into_the_weights_that_it_stands_for() {
    let texts = expected().texts;
    let [int8, whole] = int8_base("llama");
    let dtype = |lm: &CausalLm, slot: &str| {
        let modules = lm.modules();
        let found = modules.iter().find(|module| module.slot() == slot);
        match found {
            Some(Module::Linear(layer)) => layer.precision(),
            _ => panic!("{slot} is no linear layer"),
        }
    };
    let (touched, untouched) = ("model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj");
    let rounding = plain(&int8, &texts)
        .iter()
        .zip(&plain(&whole, &texts))
        .map(|(int8, whole)| apart(int8, whole))
        .fold(0.0, f32::max);
    for case in ["lora", "dora", "ia3"] {
        let set = Arc::new(adapter(case, &int8));
        let before = plain(&int8, &texts);
        let mut merged = int8.clone();
        let merge = merged.merge(&stack(&set)).unwrap();
        // What an adapter changes becomes f32, the rest stays int8.
        if set.touches(touched) {
            assert_eq!(dtype(&merged, touched), Precision::F32, "{case}");
        }
        if !set.touches(untouched) {
            assert_eq!(dtype(&merged, untouched), Precision::Int8, "{case}");
        }
        let mut merged_whole = whole.clone();
        let _ = merged_whole.merge(&stack(&set)).unwrap();
        assert_touched_weights_close(&merged, &merged_whole, &set, case);
        // The side path beside int8 computes the same up to the rounding of rows in integer products.
        let side = logits(&int8, &texts, &vec![stack(&set); texts.len()]);
        for ((found, side), before) in plain(&merged, &texts).iter().zip(&side).zip(&before) {
            let (off, change) = (apart(found, side), apart(before, side));
            assert!(
                off < 2.0 * rounding && off < change / 4.0,
                "{case}: {off} of a change of {change}, where rounding alone makes {rounding}"
            );
        }
        // Out again, to the last bit: the int8 weights were kept.
        merged.unmerge(merge).unwrap();
        assert_eq!(dtype(&merged, touched), Precision::Int8, "{case}");
        assert_eq!(plain(&merged, &texts), before, "{case}");
    }
}

/// The largest difference.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn assert_touched_weights_close(a: &CausalLm, b: &CausalLm, set: &AdapterSet, case: &str) {
    for (a, b) in a.modules().into_iter().zip(b.modules()) {
        if let (Module::Linear(a), Module::Linear(b)) = (a, b)
            && set.touches(a.slot())
        {
            let [a_values, b_values] =
                [a, b].map(|layer| layer.weight().into_data().try_into_vec::<f32>().unwrap());
            assert_close(&a_values, &b_values, 1e-6, &format!("{case} {}", a.slot()));
        }
    }
}

#[test]
fn weights_of_adapters_that_are_no_numbers_are_not_merged() {
    let mut lm = base("llama");
    let set = Arc::new(adapter("lora", &lm));
    for weight in [f64::NAN, f64::INFINITY, 1e300] {
        let stack = AdapterStack::base().with(Arc::clone(&set), weight);
        let error = lm.merge(&stack).unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidArgument {
                    argument: "weight",
                    ..
                }
            ),
            "{error}"
        );
    }
    // A weight that is finite and makes weights that are not does not get into a file.
    let _ = lm.merge(&AdapterStack::base().with(set, 1e38)).unwrap();
    let to = tempfile::tempdir().unwrap();
    let source = folder().join("../decoder/llama");
    let error = lm
        .save(&source, to.path().join("out"), FloatType::F16)
        .unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }), "{error}");
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 0);
}
