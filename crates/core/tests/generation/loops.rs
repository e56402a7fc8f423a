//! Caches, blocks, batches and prefixes change nothing.

use std::sync::Arc;

use ragtune_core::adapters::{AdapterSet, AdapterStack};
use ragtune_core::error::Error;
use ragtune_core::generation::{LocalGenerator, PREFILL_TOKENS, processors};
use ragtune_core::models::CausalLm;
use ragtune_core::nn::{Context, Segments};
use ragtune_core::text::{GenerateEvent, GenerateOptions, Overflow, TokenStream};
use serde_json::json;

use crate::tiny::{BEGIN, Tiny};

fn prompt(length: u32, salt: u32) -> Vec<u32> {
    let inside = (1..length).map(|i| (i * 37 + salt * 11) % 256);
    [BEGIN].into_iter().chain(inside).collect()
}

/// Greedy tokens without any cache.
fn uncached(lm: &CausalLm, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut ids = prompt.to_vec();
    for _ in 0..count {
        let context = Context::new(Segments::from_lengths([ids.len()]));
        let logits = lm.logits(&ids, &context).unwrap();
        let [t, v] = logits.dims();
        let all: Vec<f32> = logits.into_data().try_into_vec().unwrap();
        ids.push(processors::argmax(&all[(t - 1) * v..]));
    }
    ids.split_off(prompt.len())
}

fn ids(stream: TokenStream) -> Vec<u32> {
    stream
        .filter_map(|event| match event.unwrap() {
            GenerateEvent::Token(token) => token.id,
            _ => None,
        })
        .collect()
}

fn options(count: usize) -> GenerateOptions {
    GenerateOptions::default()
        .with_max_tokens(count)
        .with_ignore_end(true)
        .with_logprobs(0)
}

fn models() -> Vec<(&'static str, Arc<CausalLm>)> {
    let window = Tiny {
        config: vec![("model_type", json!("mistral")), ("sliding_window", json!(16))],
        ..Tiny::default()
    };
    vec![
        ("llama", Tiny::default().load()),
        ("mistral with a window of 16", window.load()),
    ]
}

#[test]
fn cached_and_uncached_decoding_agree_token_for_token() {
    for (name, lm) in models() {
        let generator = LocalGenerator::new(lm.clone());
        for length in [1, 5, 40] {
            let prompt = prompt(length, length);
            let cached = ids(generator.continue_tokens(prompt.clone(), options(40)).unwrap());
            assert_eq!(cached, uncached(&lm, &prompt, 40), "{name}, {length}");
        }
    }
}

#[test]
fn a_prompt_in_blocks_is_the_prompt_in_one() {
    for (name, lm) in models() {
        let prompt = prompt(2 * PREFILL_TOKENS as u32 + 77, 3);
        let stream = LocalGenerator::new(lm.clone())
            .continue_tokens(prompt.clone(), options(6))
            .unwrap();
        assert_eq!(ids(stream), uncached(&lm, &prompt, 6), "{name}");
    }
}

#[test]
fn a_batch_of_ragged_prompts_gives_what_each_alone_gives() {
    for (name, lm) in models() {
        let prompts: Vec<Vec<u32>> = [3, 90, 1, 17, 40, 2]
            .map(|length| prompt(length, length))
            .to_vec();
        let sampled = options(25).with_temperature(0.9).with_top_k(40).with_seed(5);
        for options in [options(25), sampled] {
            let alone: Vec<Vec<u32>> = prompts
                .iter()
                .map(|prompt| {
                    let generator = LocalGenerator::new(lm.clone());
                    ids(generator
                        .continue_tokens(prompt.clone(), options.clone())
                        .unwrap())
                })
                .collect();
            for batch in [1, 2, 8] {
                let generator = LocalGenerator::new(lm.clone()).with_batch(batch);
                let together = generator.continue_batch(prompts.clone(), &options).unwrap();
                let together: Vec<Vec<u32>> = together
                    .iter()
                    .map(|answer| answer.tokens.iter().filter_map(|token| token.id).collect())
                    .collect();
                assert_eq!(together, alone, "{name}, {batch} at a time");
            }
        }
    }
}

#[test]
fn kept_prefixes_change_nothing() {
    for (name, lm) in models() {
        let generator = LocalGenerator::new(lm.clone()).with_kept_prefixes(2);
        let mut conversation = prompt(20, 1);
        for turn in 0..4 {
            let answer = ids(generator
                .continue_tokens(conversation.clone(), options(12))
                .unwrap());
            assert_eq!(answer, uncached(&lm, &conversation, 12), "{name}, turn {turn}");
            conversation.extend(answer);
            conversation.extend(prompt(9, turn).into_iter().skip(1));
        }
        // The same prompt again, a beginning of it, and one that leaves it in the middle.
        for other in [conversation[..30].to_vec(), conversation[..12].to_vec(), {
            let mut other = conversation[..25].to_vec();
            other.extend([1, 2, 3]);
            other
        }] {
            for _ in 0..2 {
                let answer = ids(generator.continue_tokens(other.clone(), options(8)).unwrap());
                assert_eq!(answer, uncached(&lm, &other, 8), "{name}");
            }
        }
    }
}

#[test]
fn a_dropped_stream_ends_the_work_and_leaves_a_whole_cache() {
    let lm = Tiny::default().load();
    let generator = LocalGenerator::new(lm.clone());
    let prompt = prompt(PREFILL_TOKENS as u32 + 200, 9);
    for pulls in [1, 2, 5] {
        let stream = generator.continue_tokens(prompt.clone(), options(400)).unwrap();
        assert_eq!(stream.take(pulls).filter(|event| event.is_ok()).count(), pulls);
        let answer = ids(generator.continue_tokens(prompt.clone(), options(4)).unwrap());
        assert_eq!(answer, uncached(&lm, &prompt, 4), "after {pulls} pulls");
    }
}

#[test]
fn a_context_that_is_too_small_is_an_error_or_follows_the_policy() {
    let lm = Tiny::default().load();
    let generator = LocalGenerator::new(lm.clone()).with_context_tokens(50).unwrap();
    let prompt = prompt(45, 2);
    match generator.continue_tokens(prompt.clone(), options(10)) {
        Err(Error::ContextOverflow {
            excess,
            context_tokens,
            ..
        }) => assert_eq!((excess, context_tokens), (5, 50)),
        other => panic!("{other:?}"),
    }
    let shorten = options(10).with_overflow(Overflow::ShortenAnswer);
    let answer = ids(generator.continue_tokens(prompt.clone(), shorten).unwrap());
    assert_eq!(answer, uncached(&lm, &prompt, 5));
    let drop = options(10).with_overflow(Overflow::DropOldest);
    let answer = ids(generator.continue_tokens(prompt.clone(), drop).unwrap());
    let kept: Vec<u32> = [BEGIN].into_iter().chain(prompt[6..].iter().copied()).collect();
    assert_eq!(answer, uncached(&lm, &kept, 10));
}

#[test]
fn a_stop_token_that_does_not_exist_is_refused() {
    let lm = Tiny::default().load();
    let vocabulary = lm.config().vocab_size as u32;
    let generator = LocalGenerator::new(lm);
    let stop = |id| generator.continue_tokens(prompt(5, 2), options(1).with_stop_token(id));
    assert!(stop(vocabulary - 1).is_ok());
    match stop(vocabulary) {
        Err(Error::InvalidArgument { argument, .. }) => assert_eq!(argument, "stop_tokens"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_two_prompts_have_in_common_is_read_once() {
    let lm = Tiny::default().load();
    let generator = LocalGenerator::new(lm);
    let long = prompt(3 * PREFILL_TOKENS as u32 + 9, 4);
    // Each pull is one pass of the model.
    let passes_to_first_token = |prompt: &[u32]| {
        let stream = generator.continue_tokens(prompt.to_vec(), options(3)).unwrap();
        let events: Vec<_> = stream.map(Result::unwrap).collect();
        events
            .iter()
            .position(|event| matches!(event, GenerateEvent::Token(_)))
            .unwrap()
    };
    assert_eq!(passes_to_first_token(&long), 3);
    assert_eq!(passes_to_first_token(&long), 0);
    let mut longer = long.clone();
    longer.extend([1, 2, 3]);
    assert_eq!(passes_to_first_token(&longer), 0);
    assert!(passes_to_first_token(&prompt(3 * PREFILL_TOKENS as u32, 5)) > 0);
    // Other adapters see other keys and values.
    let set = Arc::new(AdapterSet::new());
    let other = generator
        .clone()
        .with_adapters(AdapterStack::base().with(set, 1.0));
    let stream = other.continue_tokens(long, options(3)).unwrap();
    let first = stream
        .map(Result::unwrap)
        .position(|event| matches!(event, GenerateEvent::Token(_)));
    assert!(first.unwrap() > 0);
}
