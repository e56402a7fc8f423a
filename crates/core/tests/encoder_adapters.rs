//! Adapters beside encoders, as PEFT computes with them (`fixtures/encoder_adapters/make.py`), and encoders one layer at
//! a time.
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod beside;
mod everything;

use std::path::Path;
use std::sync::Arc;

use beside::{Expected, assert_within, by_text, fixtures, stack};
use everything::everything;
use ragtune_core::Error;
use ragtune_core::adapters::{AdapterBase, AdapterError, AdapterSet, AdapterStack, EmbeddingChange};
use ragtune_core::device;
use ragtune_core::models::layered::{Layered, Tokens};
use ragtune_core::models::{Decoder, EncoderModel};
use ragtune_core::nn::{Context, Segments};
use ragtune_core::weights::{Checkpoint, ModelFiles};

const TOLERANCE: f32 = 1e-5;

fn expected() -> Expected {
    beside::expected("encoder_adapters")
}

fn encoder(base: &str) -> EncoderModel {
    beside::encoder(Path::new("encoders").join(base))
}

/// The hidden states of texts in one batch, each with its adapters.
fn hidden(model: &EncoderModel, texts: &[Vec<u32>], stacks: Vec<AdapterStack>) -> Vec<Vec<f32>> {
    let segments = Segments::from_lengths(texts.iter().map(Vec::len));
    let context = Context::new(segments.clone()).with_adapters(stacks);
    let states = model.forward(&texts.concat(), &[], &context).unwrap();
    by_text(states, &segments)
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_within(TOLERANCE, found, expected, what);
}

#[test]
fn adapters_beside_encoders_equal_peft() {
    let Expected { texts, bases, .. } = expected();
    let reference = Checkpoint::open(fixtures().join("encoder_adapters/expected.safetensors")).unwrap();
    let bare = bases.iter().filter(|(case, _)| !case.contains("classifier"));
    assert_eq!(bare.clone().count(), 6);
    for (case, base) in bare {
        let model = encoder(base);
        let set = Arc::new(AdapterSet::load(fixtures().join("encoder_adapters").join(case), &model).unwrap());
        let states = hidden(&model, &texts, vec![stack(&set); texts.len()]);
        let plain = hidden(&model, &texts, vec![AdapterStack::base(); texts.len()]);
        for (i, state) in states.iter().enumerate() {
            let name = format!("{case}.{i}");
            let shape = reference.shape(&name).unwrap().to_vec();
            let expected = reference.read(&name, &shape).unwrap().unwrap();
            assert_close(state, &expected, &name);
            assert_ne!(state, &plain[i], "{name}");
        }
        // Beside a text without adapters, in one batch.
        let mixed = hidden(&model, &texts, vec![AdapterStack::base(), stack(&set)]);
        assert_close(&mixed[0], &plain[0], case);
        assert_close(&mixed[1], &states[1], case);
        // Written, it is an adapter of the bare model again.
        let folder = tempfile::tempdir().unwrap();
        set.save(folder.path()).unwrap();
        let again = Arc::new(AdapterSet::load(folder.path(), &model).unwrap());
        assert_eq!(hidden(&model, &texts, vec![stack(&again); 2]), states, "{case}");
        let written = Checkpoint::open(folder.path().join(AdapterSet::WEIGHTS)).unwrap();
        assert!(written.names().all(|name| !name.contains(".bert.")), "{case}");
    }
}

#[test]
fn every_module_of_every_family_can_be_changed() {
    let texts = vec![vec![2, 5, 9, 33, 12, 3], vec![2, 40, 8, 3], vec![2, 3]];
    for family in ["bert", "distilbert", "roberta", "xlm-roberta", "mpnet"] {
        let model = encoder(&format!("models/{family}"));
        let set = Arc::new(everything(&model).beside(&model).unwrap());
        let plain = hidden(&model, &texts, vec![AdapterStack::base(); 3]);
        let changed = hidden(&model, &texts, vec![stack(&set); 3]);
        let mixed = hidden(
            &model,
            &texts,
            vec![stack(&set), AdapterStack::base(), stack(&set)],
        );
        for (found, expected) in mixed.iter().zip([&changed[0], &plain[1], &changed[2]]) {
            assert_close(found, expected, family);
        }
        // One module at a time: each has its say.
        for module in model.modules() {
            let slot = module.slot().to_owned();
            let mut one = AdapterSet::new();
            for (name, change) in set.linears().filter(|(name, _)| *name == slot) {
                one = one.with_linear(name, change.clone());
            }
            for (name, change) in set.embeddings().filter(|(name, _)| *name == slot) {
                one = one.with_embedding(name, change.clone());
            }
            for (name, change) in set.norms().filter(|(name, _)| *name == slot) {
                one = one.with_norm(name, change.clone());
            }
            let alone = hidden(&model, &texts, vec![stack(&Arc::new(one)); 3]);
            assert_ne!(alone[0], plain[0], "{family}: {slot}");
        }
    }
}

#[test]
fn layers_run_again_from_a_kept_state() {
    let model: Arc<dyn Layered> = Arc::new(encoder("models/mpnet"));
    let tokens = Tokens {
        ids: vec![2, 5, 9, 33, 3, 2, 40, 3],
        type_ids: Vec::new(),
    };
    let set = AdapterSet::new().with_embedding(
        "encoder.relative_attention_bias",
        EmbeddingChange {
            weight: Some(burn::tensor::Tensor::ones([32, 4], &device::cpu())),
            ..EmbeddingChange::default()
        },
    );
    let plain = Context::new(Segments::from_lengths([5, 3]));
    let adapted = plain
        .clone()
        .with_adapters(vec![stack(&Arc::new(set)), AdapterStack::base()]);
    for (context, streams) in [(plain, 1), (adapted, 3)] {
        let whole = model.hidden(&tokens, &context).unwrap();
        let mut state = model.enter(&tokens, &context).unwrap();
        assert_eq!(state.streams().len(), streams);
        for index in 0..model.num_layers() {
            let kept = state.with_streams(state.streams().to_vec());
            let first = model.layer(index, state, &context).unwrap();
            state = model.layer(index, kept, &context).unwrap();
            let pairs = first.streams().iter().zip(state.streams());
            assert!(
                pairs
                    .into_iter()
                    .all(|(a, b)| a.clone().into_data() == b.clone().into_data())
            );
        }
        assert!(model.layer(2, state.clone(), &context).is_err());
        assert!(model.leave(state.with_streams(Vec::new()), &context).is_err());
        let left = model.leave(state, &context).unwrap();
        assert_eq!(left.into_data(), whole.into_data());
    }
}

#[test]
fn a_decoder_is_layered_too() {
    let files = ModelFiles::folder(fixtures().join("decoder/llama")).unwrap();
    let config = Decoder::config(&files).unwrap();
    let checkpoint = files.checkpoint().unwrap();
    let loaded = checkpoint.load(&device::cpu(), |loader| Decoder::load(&config, loader));
    let model = loaded.unwrap().0;
    let context = Context::new(Segments::from_lengths([3, 2]));
    let ids = vec![1, 5, 9, 1, 40];
    let whole = model.forward(&ids, &context).unwrap();
    let tokens = Tokens {
        ids,
        type_ids: Vec::new(),
    };
    let found = model.hidden(&tokens, &context).unwrap();
    assert_eq!(found.into_data(), whole.into_data());
    let state = model.enter(&tokens, &context).unwrap();
    assert!(model.layer(model.num_layers(), state, &context).is_err());
}

#[test]
fn adapters_of_another_base_are_refused() {
    let (bert, distilbert) = (encoder("models/bert"), encoder("models/distilbert"));
    let error = AdapterSet::load(fixtures().join("encoder_adapters/bert"), &distilbert).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Adapter {
                source: AdapterError::NoTarget { .. },
                ..
            }
        ),
        "{error:?}"
    );
    // An adapter of a classifier needs the head that it was trained with.
    let error = AdapterSet::load(fixtures().join("encoder_adapters/bert_classifier"), &bert).unwrap_err();
    assert!(matches!(&error, Error::Adapter { .. }), "{error:?}");
    let set = Arc::new(everything(&bert));
    let context = Context::new(Segments::from_lengths([2])).with_adapters(vec![stack(&set)]);
    let error = distilbert.forward(&[2, 3], &[], &context).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Adapter {
                source: AdapterError::MissingModule { .. },
                ..
            }
        ),
        "{error:?}"
    );
}
