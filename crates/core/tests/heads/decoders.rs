//! Classifiers on decoders: the numbers of transformers, new heads on every family, folders that Python loads.

use ragtune_core::Error;
use ragtune_core::adapters::{AdapterBase, AdapterSet, AdapterStack};
use ragtune_core::device;
use ragtune_core::models::{
    CrossEncoder, DECODER_FAMILIES, HeadPooling, Labels, NewHead, ProblemType, SequenceClassifier,
    Transformer,
};
use ragtune_core::text::Reranker;
use ragtune_core::weights::{Checkpoint, FloatType, ModelFiles};
use serde::Deserialize;
use serde_json::{Value, json};

use super::everything::everything;
use super::fixture::{assert_close, decoder, fixtures, stack};
use super::out::Out;
use super::saving::{assert_exact, updates};

const FAMILIES: [&str; 2] = ["llama", "gpt2"];
const TEXTS: [&str; 4] = [
    "tea!",
    "what is rust?",
    "the leaves of the plant, in hot water",
    "",
];
/// The token that ends a text, which fills batches as well.
const END: u32 = 2;

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    logits: Vec<Vec<f32>>,
    pairs: Vec<(String, String)>,
    pair_logits: Vec<Vec<f32>>,
}

fn labels() -> Labels {
    Labels::new(["tea", "rust", "neither"]).unwrap()
}

#[test]
fn classes_of_texts_equal_transformers() {
    for family in FAMILIES {
        let classifier = SequenceClassifier::from_files(&decoder(family), &device::cpu()).unwrap();
        assert!(classifier.report().unused.is_empty(), "{:?}", classifier.report());
        assert_eq!(classifier.labels(), &labels());
        assert_eq!(
            (classifier.pooling(), classifier.heads()),
            (HeadPooling::LastToken, vec!["score"])
        );
        assert!(matches!(classifier.transformer(), Transformer::Decoder(_)));
        let expected: Expected = super::fixture::json(
            fixtures()
                .join("heads/sequence")
                .join(family)
                .join("expected.json"),
        );
        let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
        for (found, ids) in classifier.tokenize(&texts).unwrap().iter().zip(&expected.ids) {
            // What fills batches is no part of a text at its end.
            let end = ids.iter().rposition(|id| *id != END).unwrap() + 1;
            assert_eq!(found.ids, ids[..end], "{family}");
        }
        let found = classifier.classify(&texts).unwrap();
        let pairs = expected.pairs.iter().map(|(a, b)| (a.as_str(), b.as_str()));
        let of_pairs = classifier.classify_pairs(&pairs.collect::<Vec<_>>()).unwrap();
        let all = found.iter().zip(&expected.logits);
        for (found, logits) in all.chain(of_pairs.iter().zip(&expected.pair_logits)) {
            assert_close(&found.logits, logits, family);
        }
    }
}

#[test]
fn every_decoder_gets_a_head_that_python_loads() {
    let out = Out::new();
    let folders = [
        "llama", "mistral", "mixtral", "qwen2", "qwen3", "gemma3", "phi3", "gpt2", "gpt-neox", "smollm3",
    ];
    assert_eq!(folders.len(), DECODER_FAMILIES.len());
    for (folder, family) in folders.iter().zip(DECODER_FAMILIES) {
        let source = fixtures().join("decoder").join(folder);
        let new = |seed| {
            let head = NewHead::new(labels()).with_seed(seed);
            SequenceClassifier::with_new_head(&source, &head, &device::cpu()).unwrap()
        };
        let classifier = new(1);
        assert_eq!(classifier.transformer().model_type(), *family);
        let found = classifier.classify(&TEXTS).unwrap();
        assert_eq!(found, new(1).classify(&TEXTS).unwrap(), "{family}");
        assert_ne!(found, new(2).classify(&TEXTS).unwrap(), "{family}");
        let set = everything(&classifier);
        let name = format!("sequence.{folder}");
        let folder = out.folder(&name);
        let adapters = stack(set.clone());
        classifier.save(&folder, &adapters, FloatType::F32).unwrap();
        if *family != "gpt2" {
            // Its weights are stored turned.
            assert_exact(&set, &folder, str::to_owned);
        }
        assert!(!Checkpoint::open(&folder).unwrap().contains("lm_head.weight"));
        let again = SequenceClassifier::load(&folder, &device::cpu()).unwrap();
        assert!(again.report().unused.is_empty(), "{:?}", again.report());
        assert_eq!(again.labels(), classifier.labels());
        let encoded = classifier.tokenize(&TEXTS).unwrap();
        let expected = classifier.classify_tokens(&encoded, &adapters).unwrap();
        let found = again.classify(&TEXTS).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(&found.logits, &expected.logits, &name);
        }
        let ids: Vec<_> = encoded.iter().map(|text| &text.ids).collect();
        let logits: Vec<_> = found.iter().map(|found| &found.logits).collect();
        out.expect(
            &name,
            &json!({"kind": "sequence", "ids": ids, "logits": logits, "labels": ["tea", "rust", "neither"], "pad": END}),
        );
    }
}

#[test]
fn a_tuned_head_on_a_decoder_goes_on() {
    let files = decoder("llama");
    let device = device::cpu();
    let other_order = Labels::new(["rust", "neither", "tea"]).unwrap();
    let classifier =
        SequenceClassifier::for_tuning_from_files(&files, &NewHead::new(other_order), &device).unwrap();
    assert_eq!(classifier.labels(), &labels());
    let other = NewHead::new(Labels::new(["a", "b"]).unwrap());
    let error = SequenceClassifier::for_tuning_from_files(&files, &other, &device).unwrap_err();
    assert!(matches!(error, Error::OtherLabels { .. }), "{error}");
    let replaced = SequenceClassifier::with_new_head_from_files(&files, &other, &device).unwrap();
    assert_eq!(replaced.classify(&["tea"]).unwrap()[0].logits.len(), 2);
}

#[test]
fn what_a_decoder_cannot_be_asked_is_said() {
    let device = device::cpu();
    let llama = fixtures().join("decoder/llama");
    for (folder, pooling) in [
        (&llama, HeadPooling::FirstToken),
        (&llama, HeadPooling::Sentence { normalised: true }),
        (&fixtures().join("encoders/models/bert"), HeadPooling::LastToken),
    ] {
        let head = NewHead::new(labels()).with_pooling(pooling);
        let error = SequenceClassifier::with_new_head(folder, &head, &device).unwrap_err();
        let expected = matches!(
            error,
            Error::InvalidArgument {
                argument: "pooling",
                ..
            }
        );
        assert!(expected, "{error}");
    }
    // A language model is no classifier.
    let error = SequenceClassifier::load(&llama, &device).unwrap_err();
    assert!(
        matches!(&error, Error::MissingTensors { report, .. } if report.missing.len() == 1),
        "{error}"
    );
    let classifier = SequenceClassifier::with_new_head(&llama, &NewHead::new(labels()), &device).unwrap();
    assert_eq!(classifier.max_seq_length(), 128);
    assert!(classifier.clone().with_max_seq_length(129).is_err());
    let short = classifier.with_max_seq_length(3).unwrap();
    assert!(short.classify(&["what is rust?"]).unwrap()[0].truncated);
}

#[test]
fn adapters_beside_classifiers_on_decoders_are_pefts() {
    let out = Out::new();
    for (family, target) in [("llama", "self_attn."), ("gpt2", "attn.")] {
        let classifier = SequenceClassifier::from_files(&decoder(family), &device::cpu()).unwrap();
        let (all, whole) = (updates(&classifier), everything(&classifier));
        let mut set = AdapterSet::new();
        for (slot, change) in all.linears().filter(|(slot, _)| slot.contains(target)) {
            set = set.with_linear(slot, change.clone());
        }
        let (slot, change) = whole.linears().find(|(slot, _)| *slot == "score").unwrap();
        let set = set.with_linear(slot, change.clone()).beside(&classifier).unwrap();
        let mut config = set.config().clone();
        config.task_type = Some("SEQ_CLS".to_owned());
        let set = set.with_config(config);
        let name = format!("peft.{family}");
        let folder = out.folder(&name);
        set.save(&folder).unwrap();
        let again = AdapterSet::load(&folder, &classifier).unwrap();
        let encoded = classifier.tokenize(&TEXTS).unwrap();
        let expected = classifier.classify_tokens(&encoded, &stack(set)).unwrap();
        let found = classifier.classify_tokens(&encoded, &stack(again)).unwrap();
        assert_eq!(found, expected);
        let ids: Vec<_> = encoded.iter().map(|text| &text.ids).collect();
        let logits: Vec<_> = found.iter().map(|found| &found.logits).collect();
        let base = format!("../heads/sequence/{family}");
        out.expect(
            &name,
            &json!({"kind": "peft", "base": base, "ids": ids, "logits": logits}),
        );
    }
}

#[test]
fn a_reranker_stands_on_a_decoder() {
    let out = Out::new();
    let folder = fixtures().join("decoder/qwen2");
    let reranker = CrossEncoder::for_tuning(&folder, 4, &device::cpu()).unwrap();
    assert_eq!(reranker.classifier().problem_type(), ProblemType::Regression);
    assert_eq!(reranker.classifier().pooling(), HeadPooling::LastToken);
    let set = everything(&reranker);
    let folder = out.folder("cross.qwen2");
    reranker
        .save(&folder, &stack(set.clone()), FloatType::F32)
        .unwrap();
    let again = CrossEncoder::load(&folder, &device::cpu()).unwrap();
    let pairs: Vec<(&str, &str)> = TEXTS.iter().map(|text| ("who drinks tea?", *text)).collect();
    let expected = reranker.score_pairs(&pairs, &stack(set)).unwrap();
    assert_close(
        &again.score("who drinks tea?", &TEXTS).unwrap(),
        &expected,
        "qwen2",
    );
    let config: Value = ModelFiles::folder(&folder)
        .unwrap()
        .json("config.json")
        .unwrap()
        .unwrap();
    assert_eq!(config["architectures"], json!(["Qwen2ForSequenceClassification"]));
    assert_eq!(config["id2label"].as_object().unwrap().len(), 1);
    let encoded = again.classifier().tokenize_pairs(&pairs).unwrap();
    let found = again
        .classifier()
        .classify_tokens(&encoded, &AdapterStack::base())
        .unwrap();
    let ids: Vec<_> = encoded.iter().map(|text| &text.ids).collect();
    let logits: Vec<_> = found.iter().map(|found| &found.logits).collect();
    out.expect(
        "cross.qwen2",
        &json!({"kind": "sequence", "ids": ids, "logits": logits, "pad": END}),
    );
    assert_eq!(again.module_shapes().get("lm_head"), None);
}
