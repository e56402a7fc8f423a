//! Bottleneck adapters beside every kind of model, as AdapterHub's library computes with them
//! (`fixtures/bottlenecks/make.py`).
#![cfg(all(feature = "cpu", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod beside;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use beside::{Expected, assert_within, by_text, encoder, fixtures, stack};
use ragtune_core::Error;
use ragtune_core::adapters::{AdapterBase, AdapterError, AdapterSet, AdapterStack};
use ragtune_core::device;
use ragtune_core::models::layered::{Layered, Tokens};
use ragtune_core::models::{CausalLm, EncoderModel, LoadOptions, SequenceClassifier};
use ragtune_core::nn::{Context, Segments};
use ragtune_core::weights::{Checkpoint, FloatType, ModelFiles, Precision};
use serde_json::Value;

const TOLERANCE: f32 = 1e-4;

enum Model {
    Lm(Box<CausalLm>),
    Encoder(Arc<EncoderModel>),
    Classifier(Box<SequenceClassifier>),
}

fn folder(case: &str) -> PathBuf {
    fixtures().join("bottlenecks").join(case)
}

fn expected() -> Expected {
    beside::expected("bottlenecks")
}

fn lm(name: &str) -> CausalLm {
    CausalLm::load(fixtures().join("decoder").join(name), &device::cpu()).unwrap()
}

impl Model {
    fn load(case: &str, base: &str) -> Self {
        let path = fixtures().join(base);
        if base.starts_with("decoder") {
            return Self::Lm(Box::new(CausalLm::load(path, &device::cpu()).unwrap()));
        }
        if case.ends_with("classifier") {
            let files = ModelFiles::folder(path).unwrap();
            let model = SequenceClassifier::from_files(&files, &device::cpu()).unwrap();
            return Self::Classifier(Box::new(model));
        }
        Self::Encoder(Arc::new(encoder(base)))
    }

    fn adapter(&self, folder: &Path) -> Result<AdapterSet, Error> {
        match self {
            Self::Lm(model) => AdapterSet::load(folder, &**model),
            Self::Encoder(model) => AdapterSet::load(folder, model),
            Self::Classifier(model) => AdapterSet::load(folder, &**model),
        }
    }

    /// Logits, or hidden states, of each text in one batch.
    fn outputs(&self, texts: &[Vec<u32>], stacks: Vec<AdapterStack>) -> Vec<Vec<f32>> {
        let segments = Segments::from_lengths(texts.iter().map(Vec::len));
        let context = Context::new(segments.clone()).with_adapters(stacks);
        let ids = texts.concat();
        let (rows, per_text) = match self {
            Self::Lm(model) => (model.logits(&ids, &context).unwrap(), false),
            Self::Encoder(model) => (model.forward(&ids, &[], &context).unwrap(), false),
            Self::Classifier(model) => {
                let tokens = Tokens {
                    ids,
                    type_ids: Vec::new(),
                };
                let hidden = model.hidden(&tokens, &context).unwrap();
                (model.logits(&hidden, &context), true)
            }
        };
        match per_text {
            true => by_text(rows, &Segments::from_lengths(vec![1; texts.len()])),
            false => by_text(rows, &segments),
        }
    }
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_within(TOLERANCE, found, expected, what);
}

#[test]
fn every_adapter_computes_what_the_library_computes_and_is_written_as_it_was() {
    let Expected { texts, bases, .. } = expected();
    let reference = Checkpoint::open(folder("expected.safetensors")).unwrap();
    let kept = std::env::var_os("RAGTUNE_BOTTLENECKS_OUT").map(PathBuf::from);
    for (case, base) in &bases {
        let model = Model::load(case, base);
        let set = model
            .adapter(&folder(case))
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        let set = Arc::new(set);
        let plain = model.outputs(&texts, vec![AdapterStack::base(); 2]);
        let changed = model.outputs(&texts, vec![stack(&set); 2]);
        for (i, found) in changed.iter().enumerate() {
            let name = format!("{case}.{i}");
            let shape = reference.shape(&name).unwrap().to_vec();
            let expected = reference.read(&name, &shape).unwrap().unwrap();
            assert_close(found, &expected, &name);
            assert_ne!(found, &plain[i], "{name}");
        }
        // Beside a text without adapters, in one batch.
        let mixed = model.outputs(&texts, vec![AdapterStack::base(), stack(&set)]);
        assert_close(&mixed[0], &plain[0], case);
        assert_close(&mixed[1], &changed[1], case);
        // Written and read again.
        let temporary = tempfile::tempdir().unwrap();
        let out = kept
            .clone()
            .unwrap_or_else(|| temporary.path().to_owned())
            .join(case);
        set.save(&out).unwrap();
        let again = Arc::new(model.adapter(&out).unwrap());
        assert_eq!(again.config(), set.config(), "{case}");
        assert_eq!(again.parameters(), set.parameters(), "{case}");
        assert_eq!(model.outputs(&texts, vec![stack(&again); 2]), changed, "{case}");
        let names = |folder: &Path| {
            let file = Checkpoint::open(folder.join(AdapterSet::BOTTLENECK_WEIGHTS)).unwrap();
            file.names().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names(&out), names(&folder(case)), "{case}");
    }
}

#[test]
fn weights_of_a_stack_and_rounded_bases() {
    let texts = expected().texts;
    let model = Model::Lm(Box::new(lm("llama")));
    let set = Arc::new(model.adapter(&folder("llama")).unwrap());
    let both = Arc::new(model.adapter(&folder("llama_both")).unwrap());
    // Half of a bottleneck is one whose scaling is halved.
    let half = set.bottlenecks().fold(AdapterSet::new(), |half, (slot, whole)| {
        half.with_bottleneck(slot, whole.clone().with_scaling(0.5 * whole.scaling()))
    });
    let weighted = AdapterStack::base().with(Arc::clone(&set), 0.5);
    let found = model.outputs(&texts, vec![weighted; 2]);
    let expected = model.outputs(&texts, vec![stack(&Arc::new(half)); 2]);
    assert_close(&found.concat(), &expected.concat(), "half");
    // One behind another, also in a batch of several stacks.
    let two = stack(&set).with(Arc::clone(&both), 1.0);
    let found = model.outputs(&texts, vec![two.clone(); 2]);
    let mixed = model.outputs(&texts, vec![stack(&both), two]);
    assert_close(&mixed[1], &found[1], "two");
    let alone = model.outputs(&texts, vec![stack(&both); 2]);
    assert_close(&mixed[0], &alone[0], "beside two");
    assert_ne!(found, alone);
    for precision in [Precision::Int8, Precision::Int4] {
        let options = LoadOptions::default().with_precision(precision);
        let rounded =
            CausalLm::load_with(fixtures().join("decoder/llama"), &device::cpu(), &options).unwrap();
        let rounded = Model::Lm(Box::new(rounded));
        let set = Arc::new(rounded.adapter(&folder("llama")).unwrap());
        let plain = rounded.outputs(&texts, vec![AdapterStack::base(); 2]);
        let found = rounded.outputs(&texts, vec![stack(&set); 2]);
        assert_ne!(plain, found, "{precision}");
        assert!(found.concat().iter().all(|value| value.is_finite()));
    }
}

#[test]
fn bottlenecks_are_not_folded_into_weights() {
    let mut model = lm("llama");
    let set = Arc::new(AdapterSet::load(folder("llama"), &model).unwrap());
    let error = model.merge(&stack(&set)).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
    let Error::Adapter { source, .. } = error else {
        panic!("another error")
    };
    assert!(matches!(source, AdapterError::NotMergeable));
    let classifier = Model::load("bert_classifier", "encoders/cross/bert-two-labels");
    let set = Arc::new(classifier.adapter(&folder("bert_classifier")).unwrap());
    let Model::Classifier(model) = classifier else {
        panic!("no classifier")
    };
    let out = tempfile::tempdir().unwrap();
    assert!(
        model
            .save(out.path().join("x"), &stack(&set), FloatType::F32)
            .is_err()
    );
}

/// The files of a case, with one field of the configuration changed.
fn with_field(case: &str, field: &str, value: Value) -> ModelFiles {
    let read = |name: &str| std::fs::read(folder(case).join(name)).unwrap();
    let mut config: Value = serde_json::from_slice(&read("adapter_config.json")).unwrap();
    config["config"][field] = value;
    let config = serde_json::to_vec(&config).unwrap();
    let weights = read(AdapterSet::BOTTLENECK_WEIGHTS);
    ModelFiles::in_memory(
        case,
        [
            ("adapter_config.json", config),
            (AdapterSet::BOTTLENECK_WEIGHTS, weights),
        ],
    )
}

#[test]
fn what_is_not_supported_or_does_not_fit_is_refused_by_name() {
    let model = lm("llama");
    let refused = |field: &str, value: Value| {
        let error = AdapterSet::from_files(&with_field("llama", field, value), &model).unwrap_err();
        match error {
            Error::Adapter { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    };
    for (field, value) in [
        ("is_parallel", Value::Bool(true)),
        ("ln_before", Value::Bool(true)),
        ("ln_after", Value::Bool(true)),
        ("phm_layer", Value::Bool(true)),
        ("use_gating", Value::Bool(true)),
        ("inv_adapter", Value::from("nice")),
        ("scaling", Value::from("learned")),
        ("original_ln_after", Value::Bool(false)),
        ("residual_before_ln", Value::from("post_add")),
    ] {
        let message = refused(field, value);
        assert!(
            message.contains(field) && message.contains("not supported"),
            "{message}"
        );
    }
    assert!(refused("architecture", Value::from("prefix_tuning")).contains("prefix_tuning"));
    assert!(refused("non_linearity", Value::from("leakyrelu")).contains("non_linearity"));
    assert!(refused("reduction_factor", Value::from(0)).contains("above 0"));
    // A width that the tensors do not have, a place without tensors, tensors without a place.
    assert!(refused("reduction_factor", Value::from(2)).contains("[16, 32]"));
    assert!(refused("mh_adapter", Value::Bool(true)).contains("attention_adapters"));
    assert!(refused("leave_out", serde_json::json!([0])).contains("not used"));
    assert!(refused("leave_out", serde_json::json!([0, 1])).contains("names no module"));
    // Of another model.
    let error = AdapterSet::load(folder("gpt2"), &model).unwrap_err();
    let Error::Adapter { source, .. } = error else {
        panic!("another error")
    };
    assert!(
        source.to_string().contains("model.layers.0.attention_adapters"),
        "{source}"
    );
    // Made in memory, for what the model has not.
    let set = AdapterSet::load(folder("llama"), &model).unwrap();
    let (_, bottleneck) = set.bottlenecks().next().unwrap();
    let stranger = AdapterSet::new().with_bottleneck("model.layers.0.output_adapter", bottleneck.clone());
    assert!(stranger.beside(&model).is_err());
    assert_eq!(model.module_shapes().sublayers().len(), 4);
}
