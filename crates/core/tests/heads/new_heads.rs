//! Heads that nobody trained yet.

use burn::tensor::Tensor;
use ragtune_core::Error;
use ragtune_core::adapters::{AdapterBase, AdapterSet, AdapterStack, LinearChange, Module};
use ragtune_core::device;
use ragtune_core::kernels::LinearWeight;
use ragtune_core::models::{
    CrossEncoder, Encoder, HeadPooling, Labels, NewHead, ProblemType, SequenceClassifier, SpanReader,
    TokenClassifier,
};
use ragtune_core::nn::{Context, Segments};
use ragtune_core::text::{Embedder, Reranker, Role};

use super::fixture::{FAMILIES, assert_close, fixtures, sentence, stack};

fn labels() -> Labels {
    Labels::new(["a", "b", "c"]).unwrap()
}

fn weights(model: &impl AdapterBase, slot: &str) -> Vec<f32> {
    let found = model
        .modules()
        .into_iter()
        .find(|module| module.slot() == slot)
        .unwrap();
    let Module::Linear(layer) = found else {
        panic!("{slot}")
    };
    layer.weight().into_data().try_into_vec::<f32>().unwrap()
}

#[test]
fn every_family_gets_heads_of_a_seed() {
    for family in FAMILIES {
        let folder = fixtures().join("encoders/models").join(family);
        let device = device::cpu();
        let new = |seed: u64| {
            let head = NewHead::new(labels()).with_seed(seed);
            SequenceClassifier::with_new_head(&folder, &head, &device).unwrap()
        };
        let (one, same, other) = (new(1), new(1), new(2));
        assert_eq!(one.pooling(), HeadPooling::FirstToken);
        let slots = one.heads();
        for slot in &slots {
            let (one, same, other) = (weights(&one, slot), weights(&same, slot), weights(&other, slot));
            assert_eq!(one, same, "{family}: {slot}");
            // The tiny BERT has a pooler, which is kept as transformers keeps it.
            assert_eq!(one != other, *slot != "pooler.dense", "{family}: {slot}");
            assert!(one.iter().all(|weight| weight.abs() < 0.2) || *slot == "pooler.dense");
        }
        let found = one.classify(&["Tea!", ""]).unwrap();
        assert!(
            found
                .iter()
                .all(|found| found.scores.iter().all(|score| (0.2..0.5).contains(score)))
        );
        let tagger = TokenClassifier::with_new_head(&folder, labels(), 3, &device).unwrap();
        assert_eq!(tagger.tag(&["Tea", "!"]).unwrap().len(), 2);
        let reader = SpanReader::with_new_head(&folder, 3, &device).unwrap();
        assert!(!reader.read("Tea?", "Tea is a drink.").unwrap().answers.is_empty());
        let reranker = CrossEncoder::with_new_head(&folder, 3, &device).unwrap();
        assert_eq!(reranker.score("Tea?", &["Tea is a drink.", ""]).unwrap().len(), 2);
        assert_eq!(reranker.classifier().problem_type(), ProblemType::Regression);
    }
}

#[test]
fn a_head_over_sentence_vectors_sees_what_the_encoder_gives() {
    let device = device::cpu();
    let texts = ["Tea!", "What is Rust?", "The leaves of the plant, in hot water."];
    for (case, pooling) in [
        ("normalize", None),
        ("dense", None),
        ("pooling-mean", Some(HeadPooling::Sentence { normalised: true })),
        ("normalize", Some(HeadPooling::Sentence { normalised: false })),
        ("plain", Some(HeadPooling::Sentence { normalised: false })),
    ] {
        let files = sentence(case);
        let mut head = NewHead::new(labels()).with_seed(5);
        if let Some(pooling) = pooling {
            head = head.with_pooling(pooling);
        }
        let classifier = SequenceClassifier::with_new_head_from_files(&files, &head, &device).unwrap();
        let expected = pooling.unwrap_or(HeadPooling::Sentence { normalised: true });
        assert_eq!(classifier.pooling(), expected);
        // What the head reads is the encoder's vector, up to its length.
        let encoder = Encoder::from_files(&files, &device).unwrap();
        let vectors = encoder.embed(&texts, Role::Document).unwrap();
        let encoded = classifier.tokenize(&texts).unwrap();
        for (i, text) in encoded.iter().enumerate() {
            let context = Context::new(Segments::from_lengths([text.ids.len()]));
            let hidden = classifier
                .transformer()
                .forward(&text.ids, &text.type_ids, &context)
                .unwrap();
            let pooled = classifier
                .pool(&hidden, &context)
                .into_data()
                .try_into_vec::<f32>()
                .unwrap();
            let unit = |vector: &[f32]| {
                let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
                vector.iter().map(|x| x / length).collect::<Vec<_>>()
            };
            assert_close(&unit(&pooled), &unit(vectors.row(i).unwrap()), case);
        }
        // The head alone changes the classes.
        let slots = classifier.heads();
        let slot = (*slots.last().unwrap()).to_owned();
        let zeros = LinearChange {
            weight: Some(LinearWeight::new(Tensor::zeros([3, vectors.dim()], &device))),
            bias: Some(Tensor::from_floats([0.0, 1.0, 0.0], &device)),
            ..LinearChange::default()
        };
        let set = AdapterSet::new()
            .with_linear(slot, zeros)
            .beside(&classifier)
            .unwrap();
        let found = classifier.classify_tokens(&encoded, &stack(set)).unwrap();
        assert!(
            found
                .iter()
                .all(|found| found.best() == 1 && found.logits == [0.0, 1.0, 0.0])
        );
    }
}

#[test]
fn adapters_change_the_id_of_an_encoder() {
    let encoder = || Encoder::from_files(&sentence("dense"), &device::cpu()).unwrap();
    let set = super::everything::everything(&encoder());
    let adapted = encoder().with_adapters(stack(set)).unwrap();
    assert_ne!(adapted.id(), encoder().id());
    assert_eq!(
        encoder().with_adapters(AdapterStack::base()).unwrap().id(),
        encoder().id()
    );
    let (a, b) = (
        adapted.embed(&["Tea"], Role::Query).unwrap(),
        encoder().embed(&["Tea"], Role::Query).unwrap(),
    );
    assert_ne!(a.as_slice(), b.as_slice());
    let one = ragtune_core::adapters::NormChange {
        weight: Some(burn::tensor::Tensor::ones([32], &device::cpu())),
        bias: None,
    };
    let foreign = AdapterSet::new().with_norm("nowhere", one);
    assert!(matches!(
        encoder().with_adapters(stack(foreign)),
        Err(Error::Adapter { .. })
    ));
}

#[test]
fn a_checkpoint_without_a_head_is_named() {
    let device = device::cpu();
    let folder = fixtures().join("encoders/models/roberta");
    let error = SequenceClassifier::load(&folder, &device).unwrap_err();
    assert!(
        matches!(&error, Error::MissingTensors { report, .. } if report.missing.len() == 4),
        "{error}"
    );
    assert!(matches!(
        TokenClassifier::load(&folder, &device),
        Err(Error::MissingTensors { .. })
    ));
    assert!(matches!(
        SpanReader::load(&folder, &device),
        Err(Error::MissingTensors { .. })
    ));
}
