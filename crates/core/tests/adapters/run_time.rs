//! Attaching, switching, stacking and mixing adapters, without touching the base.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use proptest::prelude::*;
use ragtune_core::adapters::{AdapterBase, AdapterSet, AdapterStack, LowRank, Module};
use ragtune_core::device;
use ragtune_core::models::CausalLm;
use ragtune_core::nn::{Context, KvCache, Segments};

use super::fixture::{adapter, assert_close, base, distance, expected, logits, plain, stack};

/// All kinds of adapters that stand beside one base.
const KINDS: [&str; 8] = [
    "lora",
    "rslora",
    "dora",
    "patterns",
    "modules_to_save",
    "embedding",
    "embedding_dora",
    "ia3",
];

fn sets(lm: &CausalLm) -> Vec<Arc<AdapterSet>> {
    KINDS.iter().map(|name| Arc::new(adapter(name, lm))).collect()
}

/// The adapters of one text: indices of kinds with weights.
fn any_stack() -> impl Strategy<Value = Vec<(usize, f64)>> {
    prop::collection::vec((0..KINDS.len(), prop_oneof![Just(1.0), -1.5f64..1.5]), 0..3)
}

fn built(sets: &[Arc<AdapterSet>], parts: &[(usize, f64)]) -> AdapterStack {
    parts.iter().fold(AdapterStack::base(), |stack, (kind, weight)| {
        stack.with(Arc::clone(&sets[*kind]), *weight)
    })
}

#[test]
fn sets_and_stacks_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<AdapterSet>();
    shared::<AdapterStack>();
    shared::<Context>();
    shared::<CausalLm>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_mixed_batch_equals_single_runs(
        texts in prop::collection::vec((prop::collection::vec(0u32..64, 1..9), any_stack()), 1..6),
    ) {
        let lm = base("llama");
        let sets = sets(&lm);
        let (ids, parts): (Vec<Vec<u32>>, Vec<_>) = texts.into_iter().unzip();
        let stacks: Vec<AdapterStack> = parts.iter().map(|parts| built(&sets, parts)).collect();
        let together = logits(&lm, &ids, &stacks);
        for (i, found) in together.iter().enumerate() {
            let alone = logits(&lm, &ids[i..=i], &stacks[i..=i]);
            assert_close(found, &alone[0], 1e-4, &format!("text {i} of {parts:?}"));
        }
    }

    #[test]
    fn updates_add_up_in_any_order(weights in prop::collection::vec(-1.5f64..1.5, 3), order in Just([0, 1, 3]).prop_shuffle()) {
        let (lm, texts) = (base("llama"), expected().texts);
        let sets = sets(&lm);
        let parts: Vec<(usize, f64)> = [0, 1, 3].into_iter().zip(weights).collect();
        let shuffled: Vec<(usize, f64)> = order
            .iter()
            .map(|kind| *parts.iter().find(|(found, _)| found == kind).unwrap())
            .collect();
        let [a, b] = [parts, shuffled].map(|parts| logits(&lm, &texts, &vec![built(&sets, &parts); texts.len()]));
        prop_assert!(distance(&a, &b) < 2e-4);
    }

    #[test]
    fn cached_decoding_equals_uncached(stacks in prop::collection::vec(any_stack(), 3)) {
        let lm = base("llama");
        let sets = sets(&lm);
        let stacks: Vec<AdapterStack> = stacks.iter().map(|parts| built(&sets, parts)).collect();
        let texts: Vec<Vec<u32>> = vec![vec![1, 5, 9, 33, 2, 7], vec![1, 40, 8, 22], vec![3, 60, 4, 4, 11]];
        let whole = logits(&lm, &texts, &stacks);
        let mut caches: Vec<KvCache> = texts.iter().map(|_| lm.cache(16)).collect();
        let (starts, ends): (Vec<&[u32]>, Vec<&[u32]>) = texts.iter().map(|text| text.split_at(text.len() - 1)).unzip();
        for parts in [starts, ends] {
            let context = Context::new(Segments::from_lengths(parts.iter().map(|part| part.len())))
                .with_adapters(stacks.clone());
            let mut borrowed: Vec<&mut KvCache> = caches.iter_mut().collect();
            let next = lm.next_logits(&parts.concat(), &mut borrowed, &context).unwrap();
            let [_, v] = next.dims();
            let next = next.into_data().try_into_vec::<f32>().unwrap();
            for (i, text) in texts.iter().enumerate() {
                let tokens = caches[i].len();
                prop_assert!(tokens <= text.len());
                assert_close(&next[i * v..(i + 1) * v], &whole[i][(tokens - 1) * v..tokens * v], 1e-4, &format!("text {i}"));
            }
        }
    }
}

#[test]
fn a_weight_of_nothing_is_the_base() {
    let (lm, texts) = (base("llama"), expected().texts);
    let before = plain(&lm, &texts);
    for (set, name) in sets(&lm).into_iter().zip(KINDS) {
        let none = AdapterStack::base().with(set, 0.0);
        let found = logits(&lm, &texts, &vec![none; texts.len()]);
        assert!(distance(&before, &found) < 1e-4, "{name}");
    }
}

#[test]
fn an_adapter_and_its_opposite_cancel_out() {
    let (lm, texts) = (base("llama"), expected().texts);
    let before = plain(&lm, &texts);
    for name in ["lora", "rslora", "patterns", "modules_to_save", "embedding"] {
        let set = Arc::new(adapter(name, &lm));
        let both = stack(&set).with(set, -1.0);
        let found = logits(&lm, &texts, &vec![both; texts.len()]);
        assert!(distance(&before, &found) < 1e-3, "{name}");
    }
}

/// An adapter of its own for every number.
fn numbered(lm: &CausalLm, number: usize) -> AdapterSet {
    const RANK: usize = 2;
    let mut state = number as u64 * 2 + 1;
    let mut noise = |length: usize| -> Vec<f32> {
        (0..length)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u64 << 24) as f32 * 0.2 - 0.1
            })
            .collect()
    };
    let mut tensor = |shape: [usize; 2]| -> Tensor<2> {
        Tensor::from_data(TensorData::new(noise(shape[0] * shape[1]), shape), &device::cpu())
    };
    lm.modules()
        .iter()
        .filter_map(|module| match module {
            Module::Linear(layer) if layer.slot().ends_with("q_proj") => Some(layer),
            _ => None,
        })
        .fold(AdapterSet::new(), |set, layer| {
            let pair = LowRank::new(
                tensor([RANK, layer.in_features()]),
                tensor([layer.out_features(), RANK]),
                1.0,
            );
            set.with_low_rank(layer.slot(), pair)
        })
}

#[test]
fn a_hundred_adapters_share_one_base() {
    let lm = Arc::new(base("llama"));
    let sets: Vec<Arc<AdapterSet>> = (0..100).map(|number| Arc::new(numbered(&lm, number))).collect();
    // What the adapters hold is theirs alone: two pairs of 2 x (32 + 32) weights each, whatever the base's size.
    for set in &sets {
        assert_eq!(set.parameters(), 2 * 2 * (32 + 32));
    }
    // Switching is another context: it shares the sets and holds no weight of its own.
    let text = vec![1u32, 5, 9];
    let context = |set: &Arc<AdapterSet>| {
        Context::new(Segments::from_lengths([text.len()])).with_adapters(vec![stack(set)])
    };
    for set in &sets {
        let before = Arc::strong_count(set);
        let context = context(set);
        let (held, weight) = &context.adapters()[0].sets()[0];
        assert!(Arc::ptr_eq(held, set));
        assert_eq!(*weight, 1.0);
        assert!(Arc::strong_count(set) > before);
        drop(context);
        assert_eq!(Arc::strong_count(set), before);
    }
    // A batch in which every text uses another adapter, and all of them are different.
    let texts = vec![text.clone(); sets.len()];
    let stacks: Vec<AdapterStack> = sets.iter().map(stack).collect();
    let found = logits(&lm, &texts, &stacks);
    for (i, set) in sets.iter().enumerate().step_by(17) {
        let alone = logits(&lm, &texts[..1], &[stack(set)]);
        assert_close(&found[i], &alone[0], 1e-4, &format!("adapter {i}"));
    }
    for pair in found.windows(2) {
        assert_ne!(pair[0], pair[1]);
    }
    assert_eq!(plain(&lm, &texts[..1]), plain(&base("llama"), &texts[..1]));
}

#[test]
fn an_adapter_of_another_base_is_refused_before_it_computes() {
    let (llama, gpt2, tied) = (base("llama"), base("gpt2"), base("llama-tied"));
    let set = Arc::new(adapter("lora", &llama));
    for other in [&gpt2, &tied] {
        let context = Context::new(Segments::from_lengths([2])).with_adapters(vec![stack(&set)]);
        let error = other.logits(&[1, 2], &context).unwrap_err();
        let text = super::fixture::chain(&error);
        assert!(text.contains("another base"), "{text}");
    }
    // The same base, loaded once more, takes it.
    let again = base("llama");
    let texts = expected().texts;
    assert_eq!(
        logits(&again, &texts, &vec![stack(&set); 2]),
        logits(&llama, &texts, &vec![stack(&set); 2])
    );
}
