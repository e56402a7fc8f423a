//! PEFT's adapters give PEFT's logits, also after they were written and read again.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use ragtune_core::adapters::{
    AdapterBase, AdapterMethod, AdapterSet, AdapterStack, LowRank, LowRankEmbedding, Module, Targets,
    TrainedBiases,
};
use ragtune_core::device;
use ragtune_core::models::CausalLm;

use super::fixture::{adapter, assert_close, base, chain, distance, expected, logits, peft, plain, stack};

#[test]
fn every_adapter_gives_the_logits_of_peft() {
    let about = expected();
    for (case, base_name) in &about.bases {
        let lm = base(base_name);
        let set = Arc::new(adapter(case, &lm));
        let before = plain(&lm, &about.texts);
        let found = logits(&lm, &about.texts, &vec![stack(&set); about.texts.len()]);
        for (i, expected) in peft(case, &about.texts).iter().enumerate() {
            assert_close(&found[i], expected, 1e-4, &format!("{case}, text {i}"));
        }
        assert!(distance(&before, &found) > 0.05, "{case} changes nothing");
        // The base is as it was.
        assert_eq!(before, plain(&lm, &about.texts), "{case}");
    }
}

#[test]
fn stacked_adapters_give_the_logits_of_peft() {
    let about = expected();
    let lm = base("llama");
    for (case, parts) in &about.stacks {
        let stack = parts.iter().fold(AdapterStack::base(), |stack, (name, weight)| {
            stack.with(Arc::new(adapter(name, &lm)), *weight)
        });
        let found = logits(&lm, &about.texts, &vec![stack; about.texts.len()]);
        for (i, expected) in peft(case, &about.texts).iter().enumerate() {
            assert_close(&found[i], expected, 1e-4, &format!("{case}, text {i}"));
        }
    }
}

/// Where adapters are written: a folder that check.py looks into, or one that goes away.
fn out() -> (PathBuf, Option<tempfile::TempDir>) {
    match std::env::var_os("RAGTUNE_ADAPTERS_OUT") {
        Some(out) => (PathBuf::from(out), None),
        None => {
            let folder = tempfile::tempdir().unwrap();
            (folder.path().to_owned(), Some(folder))
        }
    }
}

#[test]
fn written_adapters_are_read_as_they_were() {
    let about = expected();
    let (out, _folder) = out();
    for (case, base_name) in &about.bases {
        let lm = base(base_name);
        let set = Arc::new(adapter(case, &lm));
        let folder = out.join(case);
        set.save(&folder).unwrap();
        let again = Arc::new(AdapterSet::load(&folder, &lm).unwrap());
        assert_eq!(again.config(), set.config(), "{case}");
        assert_eq!(again.parameters(), set.parameters(), "{case}");
        let found = logits(&lm, &about.texts, &vec![stack(&again); about.texts.len()]);
        let before = logits(&lm, &about.texts, &vec![stack(&set); about.texts.len()]);
        assert_eq!(found, before, "{case}");
        let names: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        assert_eq!(names.len(), 2, "{case}: no partial file stays");
    }
}

#[test]
fn written_adapters_may_have_a_rank_for_every_module() {
    let lm = base("llama");
    let mut set = AdapterSet::new();
    for (number, module) in lm.modules().into_iter().enumerate() {
        let rank = 1 + number % 4;
        let scaling = 0.5 + number as f64 / 7.0;
        set = match module {
            Module::Linear(layer) => {
                let a = noise(number, rank, layer.in_features());
                let b = noise(number + 50, layer.out_features(), rank);
                set.with_low_rank(layer.slot(), LowRank::new(a, b, scaling))
            }
            Module::Embedding(table) => {
                let a = noise(number, rank, table.num_embeddings());
                let b = noise(number + 50, table.embedding_dim(), rank);
                set.with_low_rank_embedding(table.slot(), LowRankEmbedding::new(a, b, scaling))
            }
            _ => set,
        };
    }
    write_and_read("made", &lm, set);
}

#[test]
fn written_experts_are_read_as_they_were() {
    let lm = base("mixtral");
    let mut set = AdapterSet::new();
    for (number, module) in lm.modules().into_iter().enumerate() {
        if let Module::Linear(layer) = module
            && (layer.slot().contains(".experts.") || layer.slot().ends_with("k_proj"))
        {
            let a = noise(number, 2, layer.in_features());
            let b = noise(number + 50, layer.out_features(), 2);
            set = set.with_low_rank(layer.slot(), LowRank::new(a, b, 1.5));
        }
    }
    let set = set.beside(&lm).unwrap();
    let again = write_and_read("made_experts", &lm, set);
    // Every module with these ends has an update, so the ends are enough.
    let names = ["k_proj", "w1", "w2", "w3"].map(str::to_owned).to_vec();
    assert_eq!(again.config().target_modules, Some(Targets::Names(names)));
    // What was read of stacked parameters is one pair for each expert.
    let set = adapter("experts", &lm);
    assert_eq!(set.linears().len(), 2 * (1 + 4 * 3));
    assert_eq!(set.config().target_parameters, ["down_proj", "gate_up_proj"]);
}

fn noise(salt: usize, rows: usize, columns: usize) -> Tensor<2> {
    let values: Vec<f32> = (0..rows * columns)
        .map(|i| ((i * 37 + salt * 101) as f32 * 0.61).sin() * 0.08)
        .collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), &device::cpu())
}

fn write_and_read(name: &str, lm: &CausalLm, set: AdapterSet) -> Arc<AdapterSet> {
    let texts = expected().texts;
    let set = Arc::new(set);
    let (out, _folder) = out();
    set.save(out.join(name)).unwrap();
    let again = Arc::new(AdapterSet::load(out.join(name), lm).unwrap());
    let [before, found] = [&set, &again].map(|set| logits(lm, &texts, &vec![stack(set); texts.len()]));
    for (found, before) in found.iter().zip(&before) {
        assert_close(found, before, 1e-5, name);
    }
    // For check.py.
    let bytes: Vec<Vec<u8>> = before
        .iter()
        .map(|logits| logits.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = bytes.iter().enumerate().map(|(i, bytes)| {
        let shape = vec![texts[i].len(), lm.config().vocab_size];
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes).unwrap();
        (i.to_string(), view)
    });
    safetensors::serialize_to_file(views, None, &out.join(format!("{name}.safetensors"))).unwrap();
    again
}

#[test]
fn sets_that_the_format_cannot_hold_are_not_written() {
    let lm = base("llama");
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("a");
    let (lora, dora, ia3) = (adapter("lora", &lm), adapter("dora", &lm), adapter("ia3", &lm));
    let mixed = |other: &AdapterSet, slot: &str| {
        let (slot, change) = other.linears().find(|(found, _)| found.ends_with(slot)).unwrap();
        lora.clone().with_linear(slot, change.clone())
    };
    for (set, says) in [
        (AdapterSet::new(), "neither"),
        (mixed(&ia3, "0.self_attn.k_proj"), "both"),
        (mixed(&dora, "0.self_attn.k_proj"), "DoRA"),
    ] {
        let error = chain(&set.save(&folder).unwrap_err());
        assert!(error.contains(says), "{error}");
        assert!(!folder.exists());
    }
}

#[test]
fn configurations_are_kept() {
    let lm = base("llama");
    let config = adapter("patterns", &lm).config().clone();
    assert_eq!(config.peft_type, AdapterMethod::Lora);
    assert_eq!(
        config.base_model_name_or_path.as_deref(),
        Some("../decoder/llama")
    );
    assert_eq!(config.task_type.as_deref(), Some("CAUSAL_LM"));
    assert_eq!((config.r, config.lora_alpha), (4, 8.0));
    assert_eq!(config.rank_pattern.len(), 3);
    assert_eq!(config.bias, TrainedBiases::None);
    assert!(matches!(config.target_modules, Some(Targets::Pattern(_))));
    assert!(adapter("rslora", &lm).config().use_rslora);
    assert!(adapter("dora", &lm).config().use_dora);
    let set = adapter("patterns", &lm);
    let ranks: Vec<_> = set
        .linears()
        .map(|(slot, change)| (slot, change.low_rank.as_ref().unwrap().rank()))
        .collect();
    assert_eq!(
        ranks,
        [
            ("model.layers.0.mlp.down_proj", 4),
            ("model.layers.0.self_attn.k_proj", 6),
            ("model.layers.0.self_attn.q_proj", 2),
            ("model.layers.0.self_attn.v_proj", 6),
            ("model.layers.1.mlp.down_proj", 5),
            ("model.layers.1.self_attn.k_proj", 6),
            ("model.layers.1.self_attn.q_proj", 4),
            ("model.layers.1.self_attn.v_proj", 6),
        ]
    );
    let lora = adapter("lora", &lm);
    assert_eq!(lora.parameters(), 2 * (4 * (32 + 32) + 4 * (32 + 16)));
}
