//! PEFT's adapters give PEFT's logits, also after they were written and read again.

use std::sync::Arc;

use ragtune_core::adapters::{AdapterMethod, AdapterSet, AdapterStack, Targets, TrainedBiases};

use super::fixture::{adapter, assert_close, base, distance, expected, logits, peft, plain, stack};

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

#[test]
fn written_adapters_are_read_as_they_were() {
    let about = expected();
    let out = tempfile::tempdir().unwrap();
    for (case, base_name) in &about.bases {
        let lm = base(base_name);
        let set = Arc::new(adapter(case, &lm));
        let folder = out.path().join(case);
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
fn configurations_are_kept() {
    let lm = base("llama");
    let config = adapter("patterns", &lm).config().clone();
    assert_eq!(config.peft_type, AdapterMethod::Lora);
    assert_eq!(config.base_model_name_or_path.as_deref(), Some("../decoder/llama"));
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
