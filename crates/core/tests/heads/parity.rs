//! The numbers of transformers and PEFT.

use std::collections::BTreeMap;

use ragtune_core::adapters::{AdapterSet, AdapterStack};
use ragtune_core::device;
use ragtune_core::models::{
    Encoded, ProblemType, SequenceClassifier, SpanOptions, SpanReader, TokenClassifier,
};
use ragtune_core::nn::{Context, Segments};
use ragtune_core::weights::Checkpoint;
use serde::Deserialize;

use super::fixture::{FAMILIES, assert_close, fixtures, json, model, stack};

#[derive(Deserialize)]
struct Sequences {
    texts: Vec<String>,
    logits: Vec<Vec<f32>>,
    pairs: Vec<(String, String)>,
    pair_logits: Vec<Vec<f32>>,
}

#[test]
fn classes_of_texts_equal_transformers() {
    for family in FAMILIES {
        let classifier = SequenceClassifier::from_files(&model("sequence", family), &device::cpu()).unwrap();
        assert!(classifier.report().unused.is_empty(), "{:?}", classifier.report());
        assert_eq!(
            classifier.labels().iter().collect::<Vec<_>>(),
            ["tea", "rust", "neither"]
        );
        let expected: Sequences = json(
            fixtures()
                .join("heads/sequence")
                .join(family)
                .join("expected.json"),
        );
        let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
        let found = classifier.classify(&texts).unwrap();
        let pairs = expected.pairs.iter().map(|(a, b)| (a.as_str(), b.as_str()));
        let of_pairs = classifier.classify_pairs(&pairs.collect::<Vec<_>>()).unwrap();
        let all = found.iter().zip(&expected.logits);
        for (found, logits) in all.chain(of_pairs.iter().zip(&expected.pair_logits)) {
            assert_close(&found.logits, logits, family);
            let largest = logits.iter().copied().fold(f32::MIN, f32::max);
            assert_eq!(logits[found.best()], largest);
            match classifier.problem_type() {
                ProblemType::MultiLabel => {
                    assert_eq!(family, "roberta");
                    let above: Vec<usize> = (0..3).filter(|&class| logits[class] >= 0.0).collect();
                    assert_eq!(found.above(0.5).collect::<Vec<_>>(), above);
                }
                _ => assert!((found.scores.iter().sum::<f32>() - 1.0).abs() < 1e-6),
            }
        }
    }
}

#[derive(Deserialize)]
struct Sentence {
    words: Vec<String>,
    ids: Vec<u32>,
    logits: Vec<Vec<f32>>,
    labels: Vec<usize>,
}

#[test]
fn classes_of_words_equal_transformers() {
    for family in FAMILIES {
        let loaded = TokenClassifier::from_files(&model("token", family), &device::cpu()).unwrap();
        assert!(loaded.report().unused.is_empty(), "{:?}", loaded.report());
        assert_eq!(loaded.labels().name(1), Some("B-X"));
        let tagger = loaded.clone().with_max_seq_length(60).unwrap();
        let expected: Vec<Sentence> = json(fixtures().join("heads/token").join(family).join("expected.json"));
        for sentence in &expected {
            let windows = tagger.tokenize(&sentence.words).unwrap();
            assert_eq!(windows.len(), 1);
            assert_eq!(windows[0].ids, sentence.ids, "{family}");
            let context = Context::new(Segments::from_lengths([sentence.ids.len()]));
            let hidden = tagger.encoder().forward(&sentence.ids, &[], &context).unwrap();
            let logits = tagger.logits(hidden, &context).into_data();
            assert_close(
                &logits.try_into_vec::<f32>().unwrap(),
                &sentence.logits.concat(),
                family,
            );
            let words: Vec<&str> = sentence.words.iter().map(String::as_str).collect();
            let tags = tagger.tag(&words).unwrap();
            let labels: Vec<usize> = tags.iter().map(|tag| tag.label.unwrap()).collect();
            assert_eq!(labels, sentence.labels, "{family}: {words:?}");
        }
        // In windows, every word has a class all the same.
        let long: Vec<&str> = expected
            .iter()
            .flat_map(|sentence| &sentence.words)
            .map(String::as_str)
            .collect();
        assert!(loaded.tokenize(&long).unwrap().len() > 2);
        let tags = loaded.tag(&long).unwrap();
        assert_eq!(tags.len(), long.len());
        assert!(
            tags.iter()
                .all(|tag| tag.label.is_some() && tag.scores.len() == 5)
        );
        // What no token is made of has none.
        let odd = loaded
            .tag_all(
                &[vec![], vec!["Tea", "", "Rust"], vec![""]],
                &AdapterStack::base(),
            )
            .unwrap();
        assert_eq!(odd[0], []);
        assert_eq!(
            odd[1].iter().map(|tag| tag.label.is_some()).collect::<Vec<_>>(),
            [true, false, true]
        );
        assert_eq!(odd[2][0].label, None);
    }
}

#[derive(Deserialize)]
struct Questions {
    options: Options,
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Options {
    max_length: usize,
    stride: usize,
    max_answer_tokens: usize,
    answers: usize,
}

#[derive(Deserialize)]
struct Question {
    question: String,
    context: String,
    windows: Vec<Window>,
    answers: Vec<Answer>,
    no_answer: f32,
}

#[derive(Deserialize)]
struct Window {
    ids: Vec<u32>,
    start: Vec<f32>,
    end: Vec<f32>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    score: f32,
    probability: f32,
}

#[test]
fn answers_equal_transformers() {
    for family in FAMILIES {
        let expected: Questions = json(fixtures().join("heads/span").join(family).join("expected.json"));
        let options = SpanOptions::default()
            .with_stride(expected.options.stride)
            .with_max_answer_tokens(expected.options.max_answer_tokens)
            .with_answers(expected.options.answers);
        let reader = SpanReader::from_files(&model("span", family), &device::cpu())
            .unwrap()
            .with_options(options);
        assert!(reader.report().unused.is_empty(), "{:?}", reader.report());
        assert_eq!(reader.max_seq_length(), expected.options.max_length);
        for case in &expected.questions {
            let windows = reader.tokenize(&case.question, &case.context).unwrap();
            assert_eq!(windows.len(), case.windows.len(), "{family}");
            for (window, expected) in windows.iter().zip(&case.windows) {
                assert_eq!(window.ids, expected.ids, "{family}");
                let context = Context::new(Segments::from_lengths([window.ids.len()]));
                let hidden = reader
                    .encoder()
                    .forward(&window.ids, &window.type_ids, &context)
                    .unwrap();
                let logits = reader
                    .logits(hidden, &context)
                    .into_data()
                    .try_into_vec::<f32>()
                    .unwrap();
                let pairs = expected.start.iter().zip(&expected.end);
                assert_close(
                    &logits,
                    &pairs.flat_map(|(a, b)| [*a, *b]).collect::<Vec<_>>(),
                    family,
                );
            }
            let reading = reader.read(&case.question, &case.context).unwrap();
            assert_close(&[reading.no_answer_score], &[case.no_answer], family);
            assert_eq!(reading.answers.len(), case.answers.len());
            for (found, expected) in reading.answers.iter().zip(&case.answers) {
                assert_eq!(
                    found.span.of(&case.context),
                    Some(expected.text.as_str()),
                    "{family}"
                );
                assert_close(
                    &[found.score, found.probability],
                    &[expected.score, expected.probability],
                    family,
                );
            }
            assert_eq!(reading.is_unanswered, case.no_answer > case.answers[0].score);
        }
        // A question that leaves no room is an error, not a cut question.
        assert!(reader.read(&"tea ".repeat(30), "Tea").is_err());
    }
}

#[derive(Deserialize)]
struct Adapters {
    texts: Vec<Vec<u32>>,
    bases: BTreeMap<String, String>,
}

#[test]
fn adapters_of_classifiers_equal_peft() {
    let Adapters { texts, bases } = json(fixtures().join("encoder_adapters/expected.json"));
    let reference = Checkpoint::open(fixtures().join("encoder_adapters/expected.safetensors")).unwrap();
    let texts: Vec<Encoded> = texts
        .into_iter()
        .map(|ids| Encoded {
            type_ids: vec![0; ids.len()],
            ids,
            truncated: false,
        })
        .collect();
    for case in ["bert_classifier", "roberta_classifier"] {
        let classifier =
            SequenceClassifier::load(fixtures().join("encoders").join(&bases[case]), &device::cpu()).unwrap();
        let set = AdapterSet::load(fixtures().join("encoder_adapters").join(case), &classifier).unwrap();
        let check = |set: AdapterSet| {
            let found = classifier.classify_tokens(&texts, &stack(set)).unwrap();
            for (i, found) in found.iter().enumerate() {
                let name = format!("{case}.{i}");
                let shape = reference.shape(&name).unwrap().to_vec();
                let expected = reference.read(&name, &shape).unwrap().unwrap();
                assert_close(&found.logits, &expected, &name);
            }
        };
        check(set.clone());
        // Written, it has the paths that PEFT gives it.
        let folder = tempfile::tempdir().unwrap();
        set.save(folder.path()).unwrap();
        let written = Checkpoint::open(folder.path().join(AdapterSet::WEIGHTS)).unwrap();
        let original = Checkpoint::open(
            fixtures()
                .join("encoder_adapters")
                .join(case)
                .join(AdapterSet::WEIGHTS),
        )
        .unwrap();
        assert!(written.names().eq(original.names()), "{case}");
        check(AdapterSet::load(folder.path(), &classifier).unwrap());
    }
}
