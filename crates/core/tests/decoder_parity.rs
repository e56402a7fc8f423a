//! Tiny decoders of every family against what transformers computes (`fixtures/decoder/make.py`).
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod decoders;

use std::collections::BTreeSet;

use decoders::{Fixture, assert_close, fixture, fixtures, forward, greedy};
use ragtune_core::models::{CausalLm, DECODER_FAMILIES};
use ragtune_core::nn::{Context, KvCache, Segments};
use ragtune_core::weights::Checkpoint;

const TOLERANCE: f32 = 1e-4;

#[test]
fn every_family_has_a_fixture() {
    let found: BTreeSet<String> = fixtures().into_iter().map(|fixture| fixture.model_type).collect();
    let known: BTreeSet<String> = DECODER_FAMILIES
        .iter()
        .map(|family| (*family).to_owned())
        .collect();
    assert_eq!(
        found, known,
        "each family needs a case in fixtures/decoder/make.py; see docs/adding-a-model.md"
    );
}

#[test]
fn every_layer_of_every_family_equals_transformers() {
    for Fixture {
        name,
        texts,
        lm,
        folder,
        ..
    } in fixtures()
    {
        assert!(lm.report().unused.is_empty(), "{name}: {:?}", lm.report());
        assert!(lm.report().missing.is_empty(), "{name}: {:?}", lm.report());
        let reference = Checkpoint::open(folder.join("expected.safetensors")).unwrap();
        // Both texts in one batch.
        let segments = Segments::from_lengths(texts.iter().map(Vec::len));
        let context = Context::new(segments.clone());
        let mut states = lm.decoder().hidden_states(&texts.concat(), &context).unwrap();
        let layers = lm.config().num_hidden_layers();
        assert_eq!(states.len(), layers + 2);
        let logits = lm.decoder().logits(states[layers + 1].clone(), &context);
        states.push(logits);
        let stages = (0..=layers)
            .map(|layer| layer.to_string())
            .chain(["norm", "logits"].map(str::to_owned));
        for (stage, state) in stages.zip(states) {
            let [_, width] = state.dims();
            let state = state.into_data().try_into_vec::<f32>().unwrap();
            for (i, range) in segments.iter().enumerate() {
                let tensor = format!("{i}.{stage}");
                let shape = [range.len(), width];
                let expected = reference.read(&tensor, &shape).unwrap().unwrap();
                let rows = range.start * width..range.end * width;
                assert_close(&state[rows], &expected, TOLERANCE, &format!("{name}, {tensor}"));
            }
        }
    }
}

#[test]
fn texts_in_a_batch_equal_single_ones() {
    for Fixture { name, texts, lm, .. } in fixtures() {
        let together = forward(&lm, &texts);
        for (text, together) in texts.iter().zip(together) {
            let alone = forward(&lm, std::slice::from_ref(text)).remove(0);
            assert_close(&together, &alone, 1e-5, &name);
        }
    }
}

#[test]
fn greedy_tokens_without_a_cache_equal_transformers() {
    for Fixture {
        name,
        texts,
        greedy: expected,
        lm,
        ..
    } in fixtures()
    {
        let (mut texts, lengths): (Vec<_>, Vec<_>) =
            texts.into_iter().map(|text| (text.clone(), text.len())).unzip();
        for _ in 0..expected[0].len() {
            let logits = forward(&lm, &texts);
            let v = lm.config().vocab_size;
            for (text, logits) in texts.iter_mut().zip(logits) {
                text.push(greedy(&logits[logits.len() - v..]));
            }
        }
        for ((text, length), expected) in texts.iter().zip(lengths).zip(&expected) {
            assert_eq!(&text[length..], expected, "{name}");
        }
    }
}

/// Tokens behind each text, through caches that were filled in blocks of these sizes, cyclically.
fn continued(lm: &CausalLm, texts: &[Vec<u32>], blocks: &[usize], count: usize) -> Vec<Vec<u32>> {
    let v = lm.config().vocab_size;
    let mut caches: Vec<KvCache> = texts.iter().map(|text| lm.cache(text.len() + count)).collect();
    let mut written = vec![Vec::new(); texts.len()];
    let mut step = 0;
    while written.iter().any(|tokens: &Vec<u32>| tokens.len() < count) {
        // Each text goes on by a block of its own size, and by single tokens when its prompt is through.
        let (mut ids, mut lengths, mut who) = (Vec::new(), Vec::new(), Vec::new());
        for (i, text) in texts.iter().enumerate() {
            let done = caches[i].len();
            let next: Vec<u32> = if done < text.len() {
                let block = blocks[(step + i) % blocks.len()];
                text[done..(done + block).min(text.len())].to_vec()
            } else if written[i].len() < count {
                written[i][done - text.len()..].to_vec()
            } else {
                continue;
            };
            lengths.push(next.len());
            ids.extend(next);
            who.push(i);
        }
        let mut used: Vec<&mut KvCache> = caches
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| who.contains(i))
            .map(|(_, cache)| cache)
            .collect();
        let context = Context::new(Segments::from_lengths(lengths));
        let logits = lm.next_logits(&ids, &mut used, &context).unwrap();
        let logits = logits.into_data().try_into_vec::<f32>().unwrap();
        for (row, i) in logits.chunks_exact(v).zip(who) {
            if caches[i].len() >= texts[i].len() {
                written[i].push(greedy(row));
            }
        }
        step += 1;
    }
    written
}

#[test]
fn greedy_tokens_through_the_cache_equal_transformers() {
    for Fixture {
        name,
        texts,
        greedy: expected,
        lm,
        ..
    } in fixtures()
    {
        let count = expected[0].len();
        for blocks in [&[64][..], &[1], &[3, 7, 1, 5]] {
            let found = continued(&lm, &texts, blocks, count);
            assert_eq!(found, expected, "{name}, blocks of {blocks:?}");
        }
        // Alone as well as together.
        let alone = continued(&lm, &texts[..1], &[5, 2], count);
        assert_eq!(alone, expected[..1], "{name}, alone");
    }
}

#[test]
fn a_shortened_cache_goes_on_as_a_new_one() {
    for Fixture { name, texts, lm, .. } in fixtures() {
        let text = &texts[0];
        let one = |ids: &[u32], cache: &mut KvCache| {
            let context = Context::new(Segments::from_lengths([ids.len()]));
            let logits = lm.next_logits(ids, &mut [cache], &context).unwrap();
            logits.into_data().try_into_vec::<f32>().unwrap()
        };
        let mut cache = lm.cache(text.len());
        one(text, &mut cache);
        // What a sliding window has dropped is computed again.
        for keep in [text.len() - 1, 9, 4] {
            let kept = cache.truncate(keep);
            assert!(kept == keep || kept == 0, "{name}: {kept}");
            let until = keep + 2;
            let again = one(&text[kept..until.min(text.len())], &mut cache);
            let mut fresh = lm.cache(text.len());
            let expected = one(&text[..until.min(text.len())], &mut fresh);
            assert_close(&again, &expected, TOLERANCE, &format!("{name}, kept {keep}"));
        }
    }
}

#[test]
fn windows_slide_over_texts_much_longer_than_they_are() {
    for name in [
        "mistral",
        "mixtral-window",
        "qwen2-window",
        "gemma3",
        "phi3",
        "llama",
    ] {
        let Fixture { lm, .. } = fixture(name);
        let v = lm.config().vocab_size;
        let text: Vec<u32> = (0..1500u32).map(|i| 3 + (i * i + i / 7) % 60).collect();
        let expected = forward(&lm, std::slice::from_ref(&text)).remove(0);
        let mut cache = lm.cache(text.len());
        let goes_on = |cache: &mut KvCache, until: usize| {
            let ids = &text[cache.len()..until];
            let context = Context::new(Segments::from_lengths([ids.len()]));
            let logits = lm.next_logits(ids, &mut [cache], &context).unwrap();
            let logits = logits.into_data().try_into_vec::<f32>().unwrap();
            let expected = &expected[(until - 1) * v..until * v];
            // Rounding over so many keys grows with the logits, whichever of them is small.
            let largest = expected.iter().fold(1.0f32, |largest, x| largest.max(x.abs()));
            let share = |logits: &[f32]| logits.iter().map(|x| x / largest).collect::<Vec<_>>();
            assert_close(
                &share(&logits),
                &share(expected),
                TOLERANCE,
                &format!("{name}, token {until}"),
            );
        };
        for until in [1, 100, 101, 102, 333, 900, 901, 902, 1450, 1451, 1452] {
            goes_on(&mut cache, until);
        }
        // Back to where the window may have dropped what is needed, and on again.
        for keep in [1440, 700, 3] {
            let kept = cache.truncate(keep);
            assert!(kept == keep || kept == 0, "{name}: {kept}");
            for until in [keep + 1, keep + 40, 1500] {
                goes_on(&mut cache, until);
            }
        }
    }
}

#[test]
fn experts_differ_from_token_to_token() {
    for name in ["mixtral", "mixtral-window"] {
        let expected = fixture(name).expected;
        // So many different pairs of the four experts were chosen by transformers for the texts of this fixture.
        assert!(expected["expert_sets"].as_u64().unwrap() >= 4, "{name}");
    }
}

#[test]
fn limits_are_passed_by_the_fixtures() {
    // Windows, original lengths and tables are shorter than what the fixtures compute.
    for Fixture {
        name,
        texts,
        greedy,
        lm,
        ..
    } in fixtures()
    {
        let longest = texts[0].len();
        for window in lm.config().layers.iter().filter_map(|layer| layer.sliding_window) {
            assert!(window < texts[1].len() && window < longest, "{name}");
        }
        assert!(texts[1].len() + greedy[1].len() > 16, "{name}");
    }
}
