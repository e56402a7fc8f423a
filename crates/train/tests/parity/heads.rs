//! Models with heads: classes of texts and of words, answers in texts, relevance.

use std::sync::Arc;

use ragtune_core::adapters::AdapterStack;
use ragtune_core::device;
use ragtune_core::models::{CrossEncoder, SequenceClassifier, SpanOptions, SpanReader, TokenClassifier};
use ragtune_core::weights::ModelFiles;
use ragtune_train::Error;
use ragtune_train::data::{Answer, Question};
use ragtune_train::encode::{ClassifiedTokens, JudgedTokens, TaggedTokens, Window};
use ragtune_train::metrics::squad::Version;
use ragtune_train::objective::{
    Classification, Objective, RelevanceRanking, Scores, SpanExtraction, Tagging,
};
use ragtune_train::trainer::Trainer;
use ragtune_train::tuning::Tuning;
use serde::Deserialize;

use crate::language::{lora, names, records};
use crate::reference::{Case, check, file, models, options, overlaid, trainable};

#[derive(Deserialize)]
pub struct Classified {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    labels: Vec<u32>,
    sets: Vec<u32>,
}

#[derive(Deserialize)]
struct Sentence {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    targets: Vec<Option<u32>>,
}

#[derive(Deserialize)]
struct Asked {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    start: u32,
    end: u32,
}

#[derive(Deserialize)]
struct Judged {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    label: f32,
}

/// A model with a head, and the tokenizer of its family.
fn files(head: &str, family: &str) -> ModelFiles {
    overlaid(&[models().join("encoders/models").join(family), models().join(head)])
}

fn tuning(case: &Case) -> Tuning {
    match case.more["method"].as_str().unwrap() {
        "full" => Tuning::Full,
        "head" => Tuning::Head,
        _ if case.more.get("family").is_some_and(|family| family == "llama") => Tuning::Lora(lora()),
        _ => Tuning::Lora(lora().with_targets(names(&["query", "value"]))),
    }
}

pub fn classification(case: &Case) -> Classification {
    let family = case.more["family"].as_str().unwrap();
    let head = format!("heads/sequence/{family}");
    let files = match family {
        "llama" | "gpt2" => overlaid(&[models().join("decoder").join(family), models().join(head)]),
        _ => files(&head, family),
    };
    let model = SequenceClassifier::from_files(&files, &device::cpu()).unwrap();
    let task = Classification::new(Arc::new(model)).unwrap();
    match serde_json::from_value::<Option<Vec<f32>>>(case.more["weights"].clone()).unwrap() {
        Some(weights) => task.with_class_weights(weights).unwrap(),
        None => task,
    }
}

pub fn classified(
    examples: &[Classified],
    multi: bool,
) -> Vec<ragtune_train::data::Record<ClassifiedTokens>> {
    records(examples.iter().map(|example| ClassifiedTokens {
        ids: example.ids.clone(),
        type_ids: example.type_ids.clone(),
        labels: match multi {
            true => example.sets.clone(),
            false => example.labels.clone(),
        },
    }))
}

#[test]
fn classes_of_texts() {
    let file = file::<Classified>("classification");
    for case in &file.cases {
        println!("{}", case.name);
        let task = classification(case);
        let examples = classified(&file.examples, case.name.starts_with("multi"));
        check(&task, &tuning(case), &examples, case);
    }
}

#[test]
fn classes_of_texts_on_decoders() {
    let file = file::<Classified>("decoders");
    let examples = classified(&file.examples, false);
    for case in &file.cases {
        println!("{}", case.name);
        let task = classification(case);
        assert_eq!(task.heads(), ["score"]);
        check(&task, &tuning(case), &examples, case);
    }
    // PEFT puts the head of its own accord beside an adapter for this task.
    let case = &file.cases[1];
    let trained = trainable(&classification(case), &tuning(case));
    assert_eq!(trained.config().task_type.as_deref(), Some("SEQ_CLS"));
    // Virtual tokens stand before the texts of language models alone.
    let task = classification(case);
    let prompt = Tuning::Prompt(ragtune_train::tuning::Prompt::default());
    let error = ragtune_train::tuning::Trainable::new(task.base(), &prompt, &task.heads(), 1).unwrap_err();
    assert!(error.to_string().contains("language model"), "{error}");
}

#[test]
fn scores_of_classes_rise_in_training() {
    let file = file::<Classified>("classification");
    for name in ["head", "lora", "multi"] {
        let case = file.cases.iter().find(|case| case.name == name).unwrap();
        let task = classification(case);
        let multi = name == "multi";
        let examples = classified(&file.examples, multi);
        let tuning = tuning(case);
        let mut trained = trainable(&task, &tuning);
        let scores = |trained: &ragtune_train::tuning::Trainable| {
            let adapters = trained.adapters(task.base()).unwrap();
            task.evaluate(&examples, &AdapterStack::base().with(Arc::new(adapters), 1.0))
                .unwrap()
        };
        let before = scores(&trained);
        let longer = options(case)
            .with_duration(ragtune_train::trainer::Duration::Epochs(40.0))
            .with_learning_rate(if multi { 3e-3 } else { 3e-2 });
        Trainer::new(&task, &examples, longer)
            .run(&tuning, &mut trained)
            .unwrap();
        let after = scores(&trained);
        let adapters = AdapterStack::base().with(Arc::new(trained.adapters(task.base()).unwrap()), 1.0);
        let shown = task.predictions(&examples, &adapters).unwrap();
        let right = shown
            .iter()
            .filter(|one| one["label"] == one["predicted"])
            .count();
        let share = right as f64 / shown.len() as f64;
        let whole = if multi { "subset_accuracy" } else { "accuracy" };
        assert_eq!(
            (shown.len(), Some(share)),
            (examples.len(), after.get(whole)),
            "{name}"
        );
        assert!(
            after.get("loss") < before.get("loss"),
            "{name}: {before}, then {after}"
        );
        assert!(after.first() >= before.first(), "{name}: {before}, then {after}");
    }
}

#[test]
fn labels_that_the_model_cannot_give_are_refused() {
    let file = file::<Classified>("classification");
    let task = classification(&file.cases[0]);
    let mut examples = classified(&file.examples, false);
    examples[2].value.labels = vec![3];
    let error = task.evaluate(&examples, &AdapterStack::base()).unwrap_err();
    assert!(matches!(&error, Error::Unencodable { .. }), "{error}");
    assert!(error.to_string().contains("class 3"), "{error}");
    examples[2].value.labels = vec![0, 1];
    let error = task.evaluate(&examples, &AdapterStack::base()).unwrap_err();
    assert!(error.to_string().contains("2 classes"), "{error}");
    for weights in [vec![1.0], vec![1.0, 0.0, 1.0], vec![1.0, f32::NAN, 1.0]] {
        let error = task.clone().with_class_weights(weights).unwrap_err();
        assert!(matches!(
            error,
            Error::InvalidArgument {
                argument: "class_weights",
                ..
            }
        ));
    }
}

#[test]
fn balanced_weights_are_scikit_learns() {
    let files = files("heads/sequence/bert", "bert");
    let model = Arc::new(SequenceClassifier::from_files(&files, &device::cpu()).unwrap());
    let classes = u32::try_from(model.labels().len()).unwrap();
    let example = |label: u32| ClassifiedTokens {
        ids: vec![1, 2, 3],
        type_ids: vec![0; 3],
        labels: vec![label],
    };
    // Of class 0 three examples, of class 1 one.
    let examples = records([0, 0, 0, 1].map(example));
    let task = Classification::new(model).unwrap();
    let balanced = task.clone().with_balanced_weights(&examples).unwrap();
    let weights = [0, 1].map(|label| balanced.weight(&records([example(label)])[0]));
    assert_eq!(
        weights,
        [4.0 / 6.0, 2.0].map(|weight: f64| f64::from(weight as f32))
    );
    assert!(task.with_balanced_weights(&records([example(classes)])).is_err());
}

#[test]
fn classes_of_words() {
    let file = file::<Sentence>("tagging");
    let files = files("heads/token/bert", "bert");
    let model = Arc::new(TokenClassifier::from_files(&files, &device::cpu()).unwrap());
    let examples = records(file.examples.iter().map(|example| {
        TaggedTokens {
            ids: example.ids.clone(),
            type_ids: example.type_ids.clone(),
            targets: example
                .targets
                .iter()
                .map(|tag| tag.unwrap_or(u32::MAX))
                .collect(),
            window: 0,
        }
    }));
    let task = Tagging::new(model);
    for case in &file.cases {
        println!("{}", case.name);
        check(&task, &tuning(case), &examples, case);
    }
    let scores = task.evaluate(&examples, &AdapterStack::base()).unwrap();
    println!("{scores}");
    assert!(scores.iter().all(|(_, value)| value.is_finite() && value >= 0.0));
    let shown = task.predictions(&examples, &AdapterStack::base()).unwrap();
    let pairs: Vec<(&serde_json::Value, &serde_json::Value)> = shown
        .iter()
        .flat_map(|one| {
            one["tags"]
                .as_array()
                .unwrap()
                .iter()
                .zip(one["predicted"].as_array().unwrap())
        })
        .collect();
    let right = pairs.iter().filter(|(tag, predicted)| tag == predicted).count();
    assert_eq!(scores.get("accuracy"), Some(right as f64 / pairs.len() as f64));
    // A sentence in two windows is one sentence, and its scores are those of all its words.
    let mut divided = examples.clone();
    divided[1].value.window = 1;
    let shown = task.predictions(&divided, &AdapterStack::base()).unwrap();
    let whole = task.predictions(&examples, &AdapterStack::base()).unwrap();
    assert_eq!(shown.len() + 1, whole.len());
    for field in ["tags", "predicted"] {
        let words = |one: &serde_json::Value| one[field].as_array().unwrap().clone();
        assert_eq!(words(&shown[0]), [words(&whole[0]), words(&whole[1])].concat());
    }
    let of_divided = task.evaluate(&divided, &AdapterStack::base()).unwrap();
    assert_eq!(of_divided.get("accuracy"), scores.get("accuracy"));
    assert_eq!(of_divided.get("loss"), scores.get("loss"));
    // A text of which nothing is learned changes nothing.
    let mut more = examples.clone();
    more[0].value.targets.fill(u32::MAX);
    let without = task.evaluate(&more, &AdapterStack::base()).unwrap();
    let alone = task.evaluate(&examples[1..], &AdapterStack::base()).unwrap();
    assert!((without.first() - alone.first()).abs() < 1e-12);
    more[1].value.targets[2] = 5;
    let error = task.evaluate(&more, &AdapterStack::base()).unwrap_err();
    assert!(error.to_string().contains("tag 5"), "{error}");
}

#[test]
fn answers_in_texts() {
    let file = file::<Asked>("spans");
    let files = files("heads/span/bert", "bert");
    let model = SpanReader::from_files(&files, &device::cpu()).unwrap();
    let task = SpanExtraction::new(Arc::new(model.with_max_seq_length(24).unwrap()));
    let mut examples = records(file.examples.iter().enumerate().map(|(number, example)| Window {
        ids: example.ids.clone(),
        type_ids: example.type_ids.clone(),
        start: example.start,
        end: example.end,
        offsets: vec![None; example.ids.len()],
        question: number % 2,
    }));
    for case in &file.cases {
        println!("{}", case.name);
        check(&task, &tuning(case), &examples, case);
    }
    // Without the questions the loss alone is known; with them, how good the answers are.
    let loss = task.evaluate(&examples, &AdapterStack::base()).unwrap();
    assert_eq!(loss.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["loss"]);
    let context = "Rust is a systems programming language; it has no garbage collector. ".repeat(3);
    let reading = task
        .model()
        .read_all(&[("What is Rust?", &context)], &AdapterStack::base())
        .unwrap();
    let given = reading[0].answers[0].span.of(&context).unwrap();
    let question = |answers: Vec<Answer>| Question {
        id: "1".to_owned(),
        question: "What is Rust?".to_owned(),
        context: context.clone(),
        answers,
        document: None,
    };
    let right = Answer {
        text: given.to_owned(),
        start: reading[0].answers[0].span.start,
    };
    let asked = [question(vec![right]), question(Vec::new())];
    assert!(
        task.predictions(&examples, &AdapterStack::base())
            .unwrap()
            .is_empty()
    );
    let scores = task.clone().with_questions(asked.clone());
    let shown = scores.predictions(&examples, &AdapterStack::base()).unwrap();
    assert_eq!(shown.len(), 2);
    let matches = |one: &&serde_json::Value| match one["answers"].as_array().unwrap().first() {
        Some(answer) => *answer == one["predicted"],
        None => one["predicted"] == "",
    };
    assert_eq!(shown.iter().filter(matches).count(), 1, "{shown:?}");
    let (both, same) = scores
        .evaluate_and_predict(&examples, &AdapterStack::base())
        .unwrap();
    let scores = scores.evaluate(&examples, &AdapterStack::base()).unwrap();
    assert_eq!((&both, &same), (&scores, &shown));
    // Windows that were read for the answers have the loss of those that were read for it.
    let read = task.model().tokenize("What is Rust?", &context).unwrap();
    assert!(read.len() > 1);
    let read = records(read.into_iter().map(|window| Window {
        start: 2,
        end: u32::try_from(window.ids.len() - 2).unwrap(),
        offsets: vec![None; window.ids.len()],
        ids: window.ids,
        type_ids: window.type_ids,
        question: 0,
    }));
    let alone = task.evaluate(&read, &AdapterStack::base()).unwrap();
    let beside = task.clone().with_questions(asked.clone());
    let beside = beside.evaluate(&read, &AdapterStack::base()).unwrap();
    let loss = |scores: &Scores| scores.get("loss").unwrap();
    assert!((loss(&alone) - loss(&beside)).abs() < 1e-5, "{alone}, {beside}");
    // Either the first is answered rightly and the second wrongly, or the other way round.
    assert_eq!(scores.get("exact"), Some(50.0), "{scores}");
    // Where every question has an answer, one is given however likely "no answer" is.
    let silent = SpanOptions::default().with_no_answer_threshold(-1e9);
    let reader = SpanReader::from_files(&files, &device::cpu()).unwrap();
    let reader = Arc::new(reader.with_max_seq_length(24).unwrap().with_options(silent));
    let answered = [asked[0].clone(), asked[0].clone()];
    for (version, silences) in [(Version::of(&answered), 0), (Version::of(&asked), 2)] {
        let task = SpanExtraction::new(Arc::clone(&reader)).with_version(version);
        let task = task.with_questions(answered.clone());
        let shown = task.predictions(&examples, &AdapterStack::base()).unwrap();
        let silent = shown.iter().filter(|one| one["predicted"] == "").count();
        assert_eq!((task.version(), silent), (version, silences), "{shown:?}");
        let scores = task.evaluate(&examples, &AdapterStack::base()).unwrap();
        let exact = if silences == 0 { 100.0 } else { 0.0 };
        assert_eq!(scores.get("exact"), Some(exact), "{scores}");
    }
    examples[0].value.question = 2;
    let task = task.with_questions(asked);
    let error = task.evaluate(&examples, &AdapterStack::base()).unwrap_err();
    assert!(error.to_string().contains("question 2"), "{error}");
    (examples[0].value.question, examples[0].value.end) = (0, 1000);
    let error = task.evaluate(&examples, &AdapterStack::base()).unwrap_err();
    assert!(error.to_string().contains("token 1000"), "{error}");
}

#[test]
fn relevance_of_passages() {
    let file = file::<Judged>("relevance");
    let mut examples = records(file.examples.iter().map(|example| JudgedTokens {
        ids: example.ids.clone(),
        type_ids: example.type_ids.clone(),
        label: example.label,
    }));
    for case in &file.cases {
        println!("{}", case.name);
        let family = case.more["family"].as_str().unwrap();
        let files = files(&format!("encoders/cross/{family}"), "bert");
        let model = CrossEncoder::from_files(&files, &device::cpu()).unwrap();
        #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
        let weight = case.more["positive"].as_f64().unwrap() as f32;
        let task = RelevanceRanking::new(Arc::new(model))
            .with_positive_weight(weight)
            .unwrap();
        check(&task, &tuning(case), &examples, case);
        let scores = task.evaluate(&examples, &AdapterStack::base()).unwrap();
        assert!(scores.get("loss").unwrap().is_finite(), "{scores}");
    }
    examples[0].value.label = 4.0;
    let files = files("encoders/cross/bert", "bert");
    let model = CrossEncoder::from_files(&files, &device::cpu()).unwrap();
    let task = RelevanceRanking::new(Arc::new(model));
    let error = task.evaluate(&examples, &AdapterStack::base()).unwrap_err();
    assert!(error.to_string().contains("from 0 to 1"), "{error}");
}
