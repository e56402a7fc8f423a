//! Models written as folders, read again here and, with `check.py`, in Python.

use std::path::{Path, PathBuf};

use ragtune_core::adapters::{AdapterBase, AdapterSet, AdapterStack, LinearChange, LowRank, Module};
use ragtune_core::device;
use ragtune_core::kernels::LinearWeight;
use ragtune_core::models::{
    CausalLm, CrossEncoder, Encoder, HeadPooling, Labels, NewHead, SequenceClassifier, SpanReader,
    TokenClassifier,
};
use ragtune_core::nn::{Context, Segments};
use ragtune_core::text::{Embedder, Reranker, Role};
use ragtune_core::weights::{Checkpoint, FloatType, ModelFiles};
use serde_json::{Value, json};

use super::everything::everything;
use super::fixture::{FAMILIES, assert_close, fixtures, model, sentence, stack};
use super::out::Out;

const TEXTS: [&str; 4] = [
    "Tea!",
    "What is Rust?",
    "The leaves of the plant, in hot water.",
    "",
];

/// A set with updates of all linear layers, and whole weights of the rest.
pub fn updates(base: &impl AdapterBase) -> AdapterSet {
    base.modules()
        .into_iter()
        .fold(everything(base), |set, module| match module {
            Module::Linear(layer) => {
                let (o, i) = (layer.out_features(), layer.in_features());
                let device = device::cpu();
                let wave = |count: usize, step: f32| {
                    (0..count)
                        .map(|n| (n as f32 * step).sin() * 0.3)
                        .collect::<Vec<_>>()
                };
                let a = burn::tensor::Tensor::<1>::from_floats(wave(2 * i, 0.7).as_slice(), &device)
                    .reshape([2, i]);
                let b = burn::tensor::Tensor::<1>::from_floats(wave(2 * o, 0.3).as_slice(), &device)
                    .reshape([o, 2]);
                let change = LinearChange {
                    low_rank: Some(LowRank::new(a, b, 0.5)),
                    ..LinearChange::default()
                };
                set.with_linear(layer.slot(), change)
            }
            _ => set,
        })
}

/// The whole weights of a set are in a file to the last bit.
pub fn assert_exact(set: &AdapterSet, folder: &Path, path: impl Fn(&str) -> String) {
    let file = Checkpoint::open(folder).unwrap();
    let check = |name: String, expected: Vec<f32>| {
        let shape = file.shape(&name).unwrap_or_else(|| panic!("{name}")).to_vec();
        let found = file.read(&name, &shape).unwrap().unwrap();
        assert!(
            found
                .iter()
                .zip(&expected)
                .all(|(a, b)| a.to_bits() == b.to_bits()),
            "{name}"
        );
        assert_eq!(found.len(), expected.len());
    };
    for (slot, change) in set.linears().filter(|(slot, _)| !slot.ends_with(".linear")) {
        let weight: &LinearWeight = change.weight.as_ref().unwrap();
        check(
            format!("{}.weight", path(slot)),
            weight.to_tensor().into_data().try_into_vec().unwrap(),
        );
    }
    for (slot, change) in set.embeddings() {
        let table = change.weight.clone().unwrap();
        check(
            format!("{}.weight", path(slot)),
            table.into_data().try_into_vec().unwrap(),
        );
    }
    for (slot, change) in set.norms() {
        let weight = change.weight.clone().unwrap();
        check(
            format!("{}.weight", path(slot)),
            weight.into_data().try_into_vec().unwrap(),
        );
    }
}

fn prefixed<'a>(prefix: &'a str, encoder: &'a impl AdapterBase) -> impl Fn(&str) -> String + 'a {
    move |slot| match encoder.module_shapes().get(slot).is_some() || slot == "pooler.dense" {
        true => format!("{prefix}{slot}"),
        false => slot.to_owned(),
    }
}

fn prefix(family: &str) -> String {
    format!("{family}.")
}

#[test]
fn written_classifiers_of_texts_compute_the_same() {
    let out = Out::new();
    for family in FAMILIES {
        let classifier = SequenceClassifier::from_files(&model("sequence", family), &device::cpu()).unwrap();
        let encoded = classifier.tokenize(&TEXTS).unwrap();
        for (kind, set) in [
            ("whole", everything(&classifier)),
            ("updates", updates(&classifier)),
        ] {
            let name = format!("sequence.{family}.{kind}");
            let folder = out.folder(&name);
            let adapters = stack(set.clone());
            classifier.save(&folder, &adapters, FloatType::F32).unwrap();
            if kind == "whole" {
                assert_exact(&set, &folder, prefixed(&prefix(family), classifier.transformer()));
            }
            let again = SequenceClassifier::load(&folder, &device::cpu()).unwrap();
            assert!(again.report().unused.is_empty(), "{:?}", again.report());
            assert_eq!(
                (again.labels(), again.problem_type()),
                (classifier.labels(), classifier.problem_type())
            );
            let expected = classifier.classify_tokens(&encoded, &adapters).unwrap();
            let found = again.classify(&TEXTS).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert_close(&found.logits, &expected.logits, &name);
            }
            let ids: Vec<_> = encoded.iter().map(|text| &text.ids).collect();
            let logits: Vec<_> = found.iter().map(|found| &found.logits).collect();
            let labels: Vec<_> = again.labels().iter().collect();
            out.expect(
                &name,
                &json!({"kind": "sequence", "texts": TEXTS, "ids": ids, "logits": logits, "labels": labels}),
            );
        }
        // Nothing is written over.
        let folder = out.folder(&format!("sequence.{family}.twice"));
        classifier
            .save(&folder, &AdapterStack::base(), FloatType::Bf16)
            .unwrap();
        assert!(
            classifier
                .save(&folder, &AdapterStack::base(), FloatType::F32)
                .is_err()
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn written_classifiers_of_words_and_readers_compute_the_same() {
    let out = Out::new();
    let words = ["Tea", "is", "a", "drink", "!"];
    for family in FAMILIES {
        let tagger = TokenClassifier::from_files(&model("token", family), &device::cpu()).unwrap();
        let set = everything(&tagger);
        let name = format!("token.{family}");
        let folder = out.folder(&name);
        tagger.save(&folder, &stack(set.clone()), FloatType::F32).unwrap();
        assert_exact(&set, &folder, prefixed(&prefix(family), &**tagger.encoder()));
        let again = TokenClassifier::load(&folder, &device::cpu()).unwrap();
        let expected = tagger.tag_all(&[words.to_vec()], &stack(set)).unwrap();
        for (found, expected) in again.tag(&words).unwrap().iter().zip(&expected[0]) {
            assert_close(&found.scores, &expected.scores, &name);
        }
        let ids = again.tokenize(&words).unwrap().remove(0).ids;
        let context = Context::new(Segments::from_lengths([ids.len()]));
        let hidden = again.encoder().forward(&ids, &[], &context).unwrap();
        let logits = again
            .logits(hidden, &context)
            .into_data()
            .try_into_vec::<f32>()
            .unwrap();
        let text = words.join(" ");
        out.expect(
            &name,
            &json!({"kind": "token", "texts": [text], "ids": [ids], "logits": [logits]}),
        );

        let reader = SpanReader::from_files(&model("span", family), &device::cpu()).unwrap();
        assert_eq!(reader.options().no_answer_threshold, 0.0);
        let set = everything(&reader);
        let name = format!("span.{family}");
        let folder = out.folder(&name);
        reader.save(&folder, &stack(set.clone()), FloatType::F32).unwrap();
        assert_exact(&set, &folder, prefixed(&prefix(family), &**reader.encoder()));
        let again = SpanReader::load(&folder, &device::cpu()).unwrap();
        let (question, passage) = ("Tea?", "Tea is a drink.");
        let expected = reader.read_all(&[(question, passage)], &stack(set)).unwrap();
        let found = again.read(question, passage).unwrap();
        assert_eq!(
            found.best().map(|best| best.span),
            expected[0].best().map(|best| best.span)
        );
        assert_close(&[found.no_answer_score], &[expected[0].no_answer_score], &name);
        let window = again.tokenize(question, passage).unwrap().remove(0);
        let context = Context::new(Segments::from_lengths([window.ids.len()]));
        let hidden = again
            .encoder()
            .forward(&window.ids, &window.type_ids, &context)
            .unwrap();
        let logits = again
            .logits(hidden, &context)
            .into_data()
            .try_into_vec::<f32>()
            .unwrap();
        let pair = [question, passage];
        out.expect(
            &name,
            &json!({"kind": "span", "texts": [pair], "ids": [window.ids], "logits": [logits]}),
        );
    }
}

#[test]
fn written_classifiers_over_sentence_vectors_compute_the_same() {
    let out = Out::new();
    for (case, normalised) in [("normalize", true), ("dense", false), ("plain", true)] {
        let labels = Labels::new(["a", "b", "c"]).unwrap();
        let head = NewHead::new(labels)
            .with_seed(9)
            .with_pooling(HeadPooling::Sentence { normalised });
        let classifier =
            SequenceClassifier::with_new_head_from_files(&sentence(case), &head, &device::cpu()).unwrap();
        let set = everything(&classifier);
        let name = format!("sentence-classifier.{case}");
        let folder = out.folder(&name);
        classifier
            .save(&folder, &stack(set.clone()), FloatType::F32)
            .unwrap();
        assert_exact(&set, &folder, str::to_owned);
        let again = SequenceClassifier::load(&folder, &device::cpu()).unwrap();
        assert_eq!(
            (again.pooling(), again.labels()),
            (classifier.pooling(), classifier.labels())
        );
        // The transformer alone is no classifier, and transformers must not take it for one.
        let config: Value = ModelFiles::folder(&folder)
            .unwrap()
            .json("config.json")
            .unwrap()
            .unwrap();
        assert!(
            config.get("id2label").is_none() && config.get("problem_type").is_none(),
            "{config}"
        );
        assert_eq!(again.heads(), classifier.heads());
        let encoded = classifier.tokenize(&TEXTS).unwrap();
        let expected = classifier.classify_tokens(&encoded, &stack(set)).unwrap();
        let found = again.classify(&TEXTS).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(&found.logits, &expected.logits, &name);
        }
        let logits: Vec<_> = found.iter().map(|found| &found.logits).collect();
        out.expect(
            &name,
            &json!({"kind": "encode", "texts": TEXTS, "logits": logits, "labels": ["a", "b", "c"]}),
        );
    }
}

#[test]
fn written_sentence_encoders_compute_the_same() {
    let out = Out::new();
    for case in [
        "plain",
        "normalize",
        "dense",
        "prompts",
        "pooling-two",
        "pooling-older",
        "truncated",
        "truncated-dimension",
    ] {
        let encoder = Encoder::from_files(&sentence(case), &device::cpu()).unwrap();
        let set = everything(&encoder);
        let name = format!("sentence.{case}");
        let folder = out.folder(&name);
        encoder
            .save(&folder, &stack(set.clone()), FloatType::F32)
            .unwrap();
        assert_exact(&set, &folder, str::to_owned);
        let again = Encoder::load(&folder, &device::cpu()).unwrap();
        assert_eq!(
            (again.max_seq_length(), again.dim()),
            (encoder.max_seq_length(), encoder.dim())
        );
        let adapted = encoder.with_adapters(stack(set)).unwrap();
        for (role, part) in [(Role::Query, "query"), (Role::Document, "document")] {
            let (found, expected) = (
                again.embed(&TEXTS, role).unwrap(),
                adapted.embed(&TEXTS, role).unwrap(),
            );
            assert_close(found.as_slice(), expected.as_slice(), &name);
            let rows: Vec<_> = (0..TEXTS.len()).map(|i| found.row(i).unwrap().to_vec()).collect();
            out.expect(
                &format!("{name}.{part}"),
                &json!({"kind": part, "folder": name, "texts": TEXTS, "logits": rows}),
            );
        }
    }
}

#[test]
fn written_rerankers_compute_the_same() {
    let out = Out::new();
    for family in FAMILIES {
        let folder = fixtures().join("encoders/models").join(family);
        let reranker = CrossEncoder::with_new_head(folder, 4, &device::cpu()).unwrap();
        let set = everything(&reranker);
        let name = format!("cross.{family}");
        let folder = out.folder(&name);
        reranker
            .save(&folder, &stack(set.clone()), FloatType::F32)
            .unwrap();
        let again = CrossEncoder::load(&folder, &device::cpu()).unwrap();
        let pairs: Vec<(&str, &str)> = TEXTS.iter().map(|text| ("Who drinks tea?", *text)).collect();
        let expected = reranker.score_pairs(&pairs, &stack(set)).unwrap();
        let found = again.score("Who drinks tea?", &TEXTS).unwrap();
        assert_close(&found, &expected, &name);
        out.expect(&name, &json!({"kind": "rerank", "texts": pairs, "logits": found}));
    }
}

#[test]
fn written_language_models_keep_whole_weights_and_ties() {
    let out = Out::new();
    for (base, tied) in [("llama", false), ("llama-tied", true)] {
        let source = fixtures().join("decoder").join(base);
        let lm = CausalLm::load(&source, &device::cpu()).unwrap();
        let mut set = everything(&lm);
        if let Some((words, output)) = lm.decoder().tied() {
            // Trained as one.
            let weight = set
                .embeddings()
                .find(|(slot, _)| *slot == words)
                .unwrap()
                .1
                .weight
                .clone();
            let change = LinearChange {
                weight: weight.map(LinearWeight::new),
                ..LinearChange::default()
            };
            set = set.with_linear(output, change);
        }
        let mut merged = lm.clone();
        let merge = merged.merge(&stack(set.clone())).unwrap();
        assert_eq!(merged.config().tie_word_embeddings, tied);
        let name = format!("causal.{base}");
        let folder = out.folder(&name);
        merged.save(&source, &folder, FloatType::F32).unwrap();
        let ids: Vec<u32> = vec![1, 5, 9, 33, 12];
        let context = Context::new(Segments::from_lengths([ids.len()]));
        let adapted = context.clone().with_adapters(vec![stack(set.clone())]);
        let again = CausalLm::load(&folder, &device::cpu()).unwrap();
        let logits = |lm: &CausalLm, context: &Context| {
            lm.logits(&ids, context)
                .unwrap()
                .into_data()
                .try_into_vec::<f32>()
                .unwrap()
        };
        let found = logits(&again, &context);
        assert_close(&found, &logits(&lm, &adapted), &name);
        assert_eq!(found, logits(&merged, &context));
        if tied {
            assert!(!Checkpoint::open(&folder).unwrap().contains("lm_head.weight"));
        } else {
            assert_exact(&set, &folder, str::to_owned);
        }
        out.expect(&name, &json!({"kind": "causal", "ids": [ids], "logits": [found]}));
        merged.unmerge(merge).unwrap();
        assert_eq!(merged.config().tie_word_embeddings, tied);
        assert_eq!(logits(&merged, &context), logits(&lm, &context));
    }
}

#[test]
fn written_models_are_whole_folders() {
    let out = Out::new();
    let folder = out.folder("whole-folder");
    let classifier = SequenceClassifier::from_files(&model("sequence", "bert"), &device::cpu()).unwrap();
    let one = ragtune_core::adapters::NormChange {
        weight: Some(burn::tensor::Tensor::ones([32], &device::cpu())),
        bias: None,
    };
    let foreign = stack(AdapterSet::new().with_norm("nowhere", one));
    assert!(classifier.save(&folder, &foreign, FloatType::F32).is_err());
    // A value that the type cannot hold leaves nothing behind.
    let huge = burn::tensor::Tensor::<1>::from_floats([1e6; 32], &device::cpu());
    let change = ragtune_core::adapters::NormChange {
        weight: Some(huge),
        bias: None,
    };
    let set = AdapterSet::new().with_norm("embeddings.LayerNorm", change);
    assert!(classifier.save(&folder, &stack(set), FloatType::F16).is_err());
    let left = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    assert!(left.into_iter().all(|entry| {
        !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("whole-folder")
    }));
    // A shortened classifier says so to Python too.
    classifier
        .with_max_seq_length(12)
        .unwrap()
        .save(&folder, &AdapterStack::base(), FloatType::F32)
        .unwrap();
    let files = ModelFiles::folder(&folder).unwrap();
    let config: Value = files.json("tokenizer_config.json").unwrap().unwrap();
    assert_eq!(config["model_max_length"], 12);
    assert_eq!(
        SequenceClassifier::load(&folder, &device::cpu())
            .unwrap()
            .max_seq_length(),
        12
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn adapters_made_beside_classifiers_are_read_as_they_were() {
    let out = Out::new();
    for (family, base) in [
        ("bert", "cross/bert-two-labels"),
        ("roberta", "cross/roberta"),
        ("mpnet", "cross/mpnet"),
    ] {
        let classifier =
            SequenceClassifier::load(fixtures().join("encoders").join(base), &device::cpu()).unwrap();
        // Updates of the attention, and the last layer of the head as a whole.
        let (all, whole) = (updates(&classifier), everything(&classifier));
        let last = (*classifier.heads().last().unwrap()).to_owned();
        let mut set = AdapterSet::new();
        for (slot, change) in all.linears().filter(|(slot, _)| slot.contains("attention.")) {
            set = set.with_linear(slot, change.clone());
        }
        let (slot, change) = whole.linears().find(|(slot, _)| *slot == last).unwrap();
        let set = set.with_linear(slot, change.clone()).beside(&classifier).unwrap();
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
        out.expect(
            &name,
            &json!({"kind": "peft", "base": base, "ids": ids, "logits": logits}),
        );
    }
}

#[test]
fn a_published_encoder_gets_heads_that_python_loads() {
    let Some(shared) = std::env::var_os("RAGTUNE_SHARED").map(PathBuf::from) else {
        eprintln!("skipped: RAGTUNE_SHARED does not name the folder with models/all-minilm-l6-v2");
        return;
    };
    let out = Out::new();
    let labels: Vec<String> = (0..77).map(|number| format!("intent {number}")).collect();
    for (kind, pooling) in [
        ("encode", HeadPooling::Sentence { normalised: true }),
        ("sequence", HeadPooling::FirstToken),
    ] {
        let head = NewHead::new(Labels::new(labels.clone()).unwrap())
            .with_pooling(pooling)
            .with_seed(1);
        let classifier =
            SequenceClassifier::with_new_head(shared.join("models/all-minilm-l6-v2"), &head, &device::cpu())
                .unwrap();
        let name = format!("minilm.{kind}");
        let folder = out.folder(&name);
        classifier
            .save(&folder, &AdapterStack::base(), FloatType::F32)
            .unwrap();
        let again = SequenceClassifier::load(&folder, &device::cpu()).unwrap();
        let found = again.classify(&TEXTS).unwrap();
        assert_eq!(found, classifier.classify(&TEXTS).unwrap());
        let logits: Vec<_> = found.iter().map(|found| &found.logits).collect();
        let encoded = again.tokenize(&TEXTS).unwrap();
        let ids: Vec<_> = encoded.iter().map(|text| &text.ids).collect();
        out.expect(
            &name,
            &json!({"kind": kind, "texts": TEXTS, "ids": ids, "logits": logits, "labels": labels}),
        );
    }
}
