//! Tuned prompts beside decoders, as PEFT computes with them (`fixtures/prompts/make.py`).
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod beside;

use std::path::PathBuf;
use std::sync::Arc;

use beside::{Expected, assert_within, by_text, encoder, fixtures, stack};
use ragtune_core::Error;
use ragtune_core::adapters::{AdapterBase, AdapterError, AdapterSet, AdapterStack};
use ragtune_core::device;
use ragtune_core::generation::{LocalGenerator, perplexity};
use ragtune_core::models::CausalLm;
use ragtune_core::models::layered::{Layered, Tokens};
use ragtune_core::nn::{Context, Segments};
use ragtune_core::text::{GenerateEvent, GenerateOptions, Generator};
use ragtune_core::weights::{Checkpoint, ModelFiles};
use serde_json::Value;

const TOLERANCE: f32 = 1e-4;

fn folder(case: &str) -> PathBuf {
    fixtures().join("prompts").join(case)
}

fn expected() -> Expected {
    beside::expected("prompts")
}

fn base(name: &str) -> Arc<CausalLm> {
    Arc::new(CausalLm::load(folder("../decoder").join(name), &device::cpu()).unwrap())
}

fn logits(lm: &CausalLm, texts: &[Vec<u32>], stacks: Vec<AdapterStack>) -> Vec<Vec<f32>> {
    let segments = Segments::from_lengths(texts.iter().map(Vec::len));
    let context = Context::new(segments.clone()).with_adapters(stacks);
    let logits = lm.logits(&texts.concat(), &context).unwrap();
    by_text(logits, &segments)
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_within(TOLERANCE, found, expected, what);
}

#[test]
fn every_prompt_computes_what_peft_computes_and_is_written_as_it_was() {
    let Expected { texts, bases, .. } = expected();
    let reference = Checkpoint::open(folder("expected.safetensors")).unwrap();
    let kept = std::env::var_os("RAGTUNE_PROMPTS_OUT").map(PathBuf::from);
    for (case, name) in &bases {
        let lm = base(name);
        let set = Arc::new(AdapterSet::load(folder(case), &lm).unwrap());
        let plain = logits(&lm, &texts, vec![AdapterStack::base(); 2]);
        let changed = logits(&lm, &texts, vec![stack(&set); 2]);
        for (i, found) in changed.iter().enumerate() {
            let name = format!("{case}.{i}");
            let shape = reference.shape(&name).unwrap().to_vec();
            assert_close(found, &reference.read(&name, &shape).unwrap().unwrap(), &name);
            assert_ne!(found, &plain[i], "{name}");
        }
        // Beside a text without, in one batch; and behind another prompt.
        let mixed = logits(&lm, &texts, vec![AdapterStack::base(), stack(&set)]);
        assert_close(&mixed[0], &plain[0], case);
        assert_close(&mixed[1], &changed[1], case);
        // Layer by layer.
        let context = Context::new(Segments::from_lengths([4])).with_adapters(vec![stack(&set)]);
        let tokens = Tokens {
            ids: texts[1].clone(),
            type_ids: Vec::new(),
        };
        let hidden = lm.hidden(&tokens, &context).unwrap();
        assert_eq!(hidden.dims()[0], 4);
        let found = lm
            .decoder()
            .logits(hidden, &context)
            .into_data()
            .try_into_vec::<f32>()
            .unwrap();
        assert_close(&found, &changed[1], case);
        assert!(
            lm.enter(&tokens, &context).is_err(),
            "tokens without virtual ones before them"
        );
        let states = lm.decoder().hidden_states(&texts[1], &context).unwrap();
        assert!(states.iter().all(|state| state.dims()[0] == 4));
        // Written and read again.
        let temporary = tempfile::tempdir().unwrap();
        let out = kept
            .clone()
            .unwrap_or_else(|| temporary.path().to_owned())
            .join(case);
        set.save(&out).unwrap();
        let again = Arc::new(AdapterSet::load(&out, &lm).unwrap());
        assert_eq!(again.config(), set.config(), "{case}");
        assert_eq!(logits(&lm, &texts, vec![stack(&again); 2]), changed, "{case}");
        assert_eq!(
            again.parameters(),
            set.prompt().unwrap().1.dims().iter().product::<usize>()
        );
    }
}

#[test]
fn generation_reads_the_prompt_into_its_cache_and_counts_it_nowhere() {
    let Expected {
        texts,
        bases,
        continued,
    } = expected();
    for (case, name) in &bases {
        let lm = base(name);
        let set = Arc::new(AdapterSet::load(folder(case), &lm).unwrap());
        let generator = LocalGenerator::new(Arc::clone(&lm)).with_adapters(stack(&set));
        let rows = set.prompt().unwrap().1.dims()[0];
        assert_eq!(
            generator.context_tokens() + rows,
            lm.config().max_position_embeddings
        );
        let options = GenerateOptions::default()
            .with_max_tokens(8)
            .with_ignore_end(true)
            .with_logprobs(0);
        // Three times: the second call goes on in the cache of the first.
        for _ in 0..3 {
            let stream = generator
                .continue_tokens(texts[1].clone(), options.clone())
                .unwrap();
            let mut ids = Vec::new();
            for event in stream {
                match event.unwrap() {
                    GenerateEvent::Token(token) => ids.extend(token.id),
                    GenerateEvent::Done { usage, .. } => assert_eq!(usage.prompt_tokens, texts[1].len()),
                    _ => {}
                }
            }
            assert_eq!(&ids, &continued[case], "{case}");
        }
        // One that begins alike, and several at once, beside what the logits without a cache say.
        let all = generator.continue_batch(texts.clone(), &options).unwrap();
        let last: Vec<f32> = logits(&lm, &texts, vec![stack(&set); 2])[1].clone();
        assert_eq!(all.len(), 2);
        assert!(last.iter().all(|value| value.is_finite()));
        // How well it foretells a text.
        let with = perplexity(&lm, &texts[0], 12, 6, &stack(&set), |_, _| {}).unwrap();
        let without = perplexity(&lm, &texts[0], 12, 6, &AdapterStack::base(), |_, _| {}).unwrap();
        assert_eq!(with.tokens, without.tokens);
        assert_ne!(with.perplexity, without.perplexity, "{case}");
    }
}

#[test]
fn cached_passes_equal_whole_ones_also_in_parts_and_stacks() {
    let texts = expected().texts;
    let lm = base("llama");
    let prompt = Arc::new(AdapterSet::load(folder("llama"), &lm).unwrap());
    let lora = Arc::new(AdapterSet::load(folder("../adapters/lora"), &lm).unwrap());
    let bottleneck = Arc::new(AdapterSet::load(folder("../bottlenecks/llama"), &lm).unwrap());
    let stacks = [
        stack(&prompt).with(Arc::clone(&lora), 0.5),
        stack(&lora)
            .with(Arc::clone(&prompt), 1.0)
            .with(bottleneck, 1.0)
            .with(Arc::clone(&prompt), 1.0),
    ];
    assert_eq!(stacks[1].virtual_tokens("model.embed_tokens"), 10);
    let whole = logits(&lm, &texts, stacks.to_vec());
    let v = lm.config().vocab_size;
    for split in [1, 2, 3] {
        let mut caches = [lm.cache(64), lm.cache(64)];
        let pass = |parts: [&[u32]; 2], caches: &mut [ragtune_core::nn::KvCache; 2]| {
            let context = Context::new(Segments::from_lengths(parts.iter().map(|part| part.len())))
                .with_adapters(stacks.to_vec());
            let mut caches: Vec<_> = caches.iter_mut().collect();
            let logits = lm.next_logits(&parts.concat(), &mut caches, &context).unwrap();
            logits.into_data().try_into_vec::<f32>().unwrap()
        };
        let first = pass([&texts[0][..split], &texts[1][..split]], &mut caches);
        let second = pass([&texts[0][split..], &texts[1][split..]], &mut caches);
        assert_eq!(caches[0].len(), 5 + texts[0].len());
        for (text, whole) in whole.iter().enumerate() {
            let row = |at: usize| &whole[at * v..(at + 1) * v];
            assert_close(&first[text * v..(text + 1) * v], row(split - 1), "first");
            assert_close(
                &second[text * v..(text + 1) * v],
                row(texts[text].len() - 1),
                "second",
            );
        }
    }
}

/// The files of a case, with one field of the configuration changed.
fn with_field(field: &str, value: Value) -> ModelFiles {
    let read = |name: &str| std::fs::read(folder("llama").join(name)).unwrap();
    let mut config: Value = serde_json::from_slice(&read("adapter_config.json")).unwrap();
    config[field] = value;
    let config = serde_json::to_vec(&config).unwrap();
    ModelFiles::in_memory(
        "prompt",
        [
            ("adapter_config.json", config),
            (AdapterSet::WEIGHTS, read(AdapterSet::WEIGHTS)),
        ],
    )
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let lm = base("llama");
    let message = |error: Error| match error {
        Error::Adapter { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    for (field, value, says) in [
        ("num_virtual_tokens", Value::from(6), "[6, 32]"),
        ("num_virtual_tokens", Value::from(0), "num_virtual_tokens"),
        ("num_virtual_tokens", Value::Null, "num_virtual_tokens"),
        ("token_dim", Value::from(16), "token_dim"),
        ("num_transformer_submodules", Value::from(2), "decoder"),
    ] {
        let error = AdapterSet::from_files(&with_field(field, value), &lm).unwrap_err();
        let text = message(error);
        assert!(text.contains(says), "{field}: {text}");
    }
    // Beside an encoder, with a share of a weight, folded in, beside other weights in one folder, with too little room.
    let encoder = encoder("encoders/models/bert");
    let text = message(AdapterSet::load(folder("llama"), &encoder).unwrap_err());
    assert!(text.contains("language models"), "{text}");
    let set = Arc::new(AdapterSet::load(folder("llama"), &lm).unwrap());
    let half = AdapterStack::base().with(Arc::clone(&set), 0.5);
    let context = Context::new(Segments::from_lengths([2])).with_adapters(vec![half]);
    let error = lm.logits(&[2, 3], &context).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    let mut merged = (*lm).clone();
    let Error::Adapter { source, .. } = merged.merge(&stack(&set)).unwrap_err() else {
        panic!("another error")
    };
    assert!(matches!(source, AdapterError::NotMergeable));
    let lora = AdapterSet::load(folder("../adapters/lora"), &lm).unwrap();
    let (slot, rows) = set.prompt().unwrap();
    let both = lora.with_prompt(slot, rows.clone()).beside(&lm).unwrap();
    let out = tempfile::tempdir().unwrap();
    assert!(message(both.save(out.path()).unwrap_err()).contains("apart"));
    let narrow = LocalGenerator::new(Arc::clone(&lm))
        .with_adapters(stack(&set))
        .with_context_tokens(8)
        .unwrap();
    let options = GenerateOptions::default().with_max_tokens(2);
    assert!(narrow.continue_tokens(vec![2, 3], options.clone()).is_err());
    assert!(narrow.continue_tokens(vec![2], options).is_ok());
    assert!(
        AdapterSet::new()
            .with_prompt("lm_head", rows.clone())
            .beside(&lm)
            .is_err()
    );
    assert_eq!(lm.module_shapes().words(), Some(("model.embed_tokens", 1.0)));
}
