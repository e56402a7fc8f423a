//! Models that are tuned further: whose head goes on, and whose is replaced.

use ragtune_core::Error;
use ragtune_core::adapters::AdapterStack;
use ragtune_core::device;
use ragtune_core::models::{
    CrossEncoder, HeadPooling, Labels, NewHead, ProblemType, SequenceClassifier, SpanOptions, SpanReader,
    TokenClassifier,
};
use ragtune_core::weights::FloatType;

use super::fixture::{FAMILIES, fixtures, sentence};

const TEXTS: [&str; 2] = ["Tea!", "What is Rust?"];

fn labels(names: [&str; 3]) -> Labels {
    Labels::new(names).unwrap()
}

fn logits(classifier: &SequenceClassifier) -> Vec<Vec<f32>> {
    let found = classifier.classify(&TEXTS).unwrap();
    found.into_iter().map(|found| found.logits).collect()
}

#[test]
fn a_tuned_classifier_goes_on_with_its_head() {
    let (device, folder) = (device::cpu(), tempfile::tempdir().unwrap());
    let base = |seed| NewHead::new(labels(["c", "a", "b"])).with_seed(seed);
    let mut tuned = Vec::new();
    for family in FAMILIES {
        let from = fixtures().join("encoders/models").join(family);
        tuned.push((
            family,
            SequenceClassifier::with_new_head(from, &base(3), &device).unwrap(),
        ));
    }
    for (case, normalised) in [("normalize", true), ("dense", false)] {
        let head = base(3).with_pooling(HeadPooling::Sentence { normalised });
        let made = SequenceClassifier::with_new_head_from_files(&sentence(case), &head, &device).unwrap();
        tuned.push((case, made));
    }
    for (name, tuned) in tuned {
        let saved = folder.path().join(name);
        tuned.save(&saved, &AdapterStack::base(), FloatType::F32).unwrap();
        // The labels of the data in another order.
        let wanted = NewHead::new(labels(["a", "b", "c"])).with_seed(8);
        let again = SequenceClassifier::for_tuning(&saved, &wanted, &device).unwrap();
        assert_eq!(again.labels(), tuned.labels(), "{name}");
        assert_eq!(
            (again.heads(), logits(&again)),
            (tuned.heads(), logits(&tuned)),
            "{name}"
        );
        let other = NewHead::new(labels(["a", "b", "x"]));
        let error = SequenceClassifier::for_tuning(&saved, &other, &device).unwrap_err();
        let Error::OtherLabels { differences, .. } = &error else {
            panic!("{name}: {error}")
        };
        assert_eq!(
            differences,
            &["of the head alone: c", "of the data alone: x"],
            "{name}"
        );
        let several = wanted.clone().with_problem_type(ProblemType::MultiLabel);
        let error = SequenceClassifier::for_tuning(&saved, &several, &device).unwrap_err();
        assert!(
            error.to_string().contains("multi_label_classification"),
            "{error}"
        );
        // A new head takes the place of the old one, it does not stand on its numbers.
        let other = other.with_pooling(tuned.pooling());
        let replaced = SequenceClassifier::with_new_head(&saved, &other, &device).unwrap();
        assert_eq!(
            (replaced.heads(), replaced.pooling()),
            (tuned.heads(), tuned.pooling()),
            "{name}"
        );
        assert_eq!(replaced.labels(), &labels(["a", "b", "x"]));
    }
    // What was never tuned gets a new head.
    for family in FAMILIES {
        let from = fixtures().join("encoders/models").join(family);
        let made = SequenceClassifier::for_tuning(&from, &base(3), &device).unwrap();
        let same = SequenceClassifier::with_new_head(&from, &base(3), &device).unwrap();
        assert_eq!(logits(&made), logits(&same));
    }
}

#[test]
fn taggers_readers_and_rerankers_go_on() {
    let (device, folder) = (device::cpu(), tempfile::tempdir().unwrap());
    let from = fixtures().join("encoders/models/bert");
    let save = |name: &str| folder.path().join(name);
    let base = AdapterStack::base();

    let tagger = TokenClassifier::for_tuning(&from, labels(["O", "B", "I"]), 3, &device).unwrap();
    tagger.save(save("tagger"), &base, FloatType::F32).unwrap();
    let again = TokenClassifier::for_tuning(save("tagger"), labels(["B", "I", "O"]), 9, &device).unwrap();
    assert_eq!(again.labels(), tagger.labels());
    assert_eq!(again.tag(&["Tea"]).unwrap(), tagger.tag(&["Tea"]).unwrap());
    let error = TokenClassifier::for_tuning(save("tagger"), labels(["B", "I", "X"]), 9, &device).unwrap_err();
    assert!(matches!(error, Error::OtherLabels { .. }), "{error}");
    // The head of a tagger is none of a classifier of texts.
    let head = NewHead::new(labels(["O", "B", "I"])).with_seed(1);
    assert!(SequenceClassifier::for_tuning(save("tagger"), &head, &device).is_ok());

    let always = SpanOptions::default().with_no_answer_threshold(f32::INFINITY);
    let reader = SpanReader::for_tuning(&from, 3, &device).unwrap();
    for (name, options) in [("reader", SpanOptions::default()), ("always", always)] {
        let reader = reader.clone().with_options(options.clone());
        reader.save(save(name), &base, FloatType::F32).unwrap();
        let again = SpanReader::for_tuning(save(name), 9, &device).unwrap();
        let read = |reader: &SpanReader| reader.read("Tea?", "Tea is a drink.").unwrap();
        assert_eq!((read(&again), again.options()), (read(&reader), &options));
    }

    let reranker = CrossEncoder::for_tuning(&from, 3, &device).unwrap();
    reranker.save(save("reranker"), &base, FloatType::F32).unwrap();
    let again = CrossEncoder::for_tuning(save("reranker"), 9, &device).unwrap();
    assert_eq!(
        again.logits("Tea?", &TEXTS).unwrap(),
        reranker.logits("Tea?", &TEXTS).unwrap()
    );
}
