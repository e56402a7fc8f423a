//! Sets in two parts and in folds, and files whose names stand once.

#![allow(
    clippy::unwrap_used,
    reason = "functions of tests, which the lints do not know for such"
)]

use proptest::prelude::*;
use ragtune_train::data::{Dataset, Labelled, Passage, Question, Record};

fn labelled(labels: &[u8]) -> Dataset<Labelled> {
    let example = |(index, label): (usize, &u8)| Labelled::new(index.to_string(), label.to_string());
    labels.iter().enumerate().map(example).collect()
}

fn texts(set: &Dataset<Labelled>) -> Vec<usize> {
    set.values().map(|value| value.text.parse().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn splits_keep_classes_in_proportion(
        labels in prop::collection::vec(0_u8..4, 2..200),
        fraction in 0.05_f64..0.95,
        seed in any::<u64>(),
    ) {
        let set = labelled(&labels);
        let (train, valid) = set.clone().split(fraction, seed).unwrap();
        let wanted = ((labels.len() as f64 * fraction).round() as usize).clamp(1, labels.len() - 1);
        prop_assert_eq!(valid.len(), wanted);
        let mut all = [texts(&train), texts(&valid)].concat();
        prop_assert!(texts(&train).is_sorted() && texts(&valid).is_sorted());
        all.sort_unstable();
        prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
        for class in 0..4_u8 {
            let count = |set: &Dataset<Labelled>| {
                set.values().filter(|value| value.labels == [class.to_string()]).count()
            };
            let exact = count(&set) as f64 * wanted as f64 / labels.len() as f64;
            if count(&set) > 1 {
                prop_assert!((count(&valid) as f64 - exact).abs() < 1.0);
            }
        }
        prop_assert_eq!(set.split(fraction, seed).unwrap(), (train, valid));
    }

    #[test]
    fn folds_hold_every_example_out_once(
        labels in prop::collection::vec(0_u8..4, 6..100),
        k in 2_usize..6,
        seed in any::<u64>(),
    ) {
        let set = labelled(&labels);
        let folds = set.folds(k, seed).unwrap();
        let mut all = folds.parts().concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
        for part in folds.parts() {
            prop_assert!(part.len() == labels.len() / k || part.len() == labels.len().div_ceil(k));
            for class in 0..4_u8 {
                let of_class = labels.iter().filter(|&&label| label == class).count();
                let here = part.iter().filter(|&&index| labels[index] == class).count();
                if of_class > 1 {
                    prop_assert!(here == of_class / k || here == of_class.div_ceil(k));
                }
            }
        }
    }

    #[test]
    fn sources_stay_together(groups in prop::collection::vec(0_u8..9, 10..80), seed in any::<u64>()) {
        let question = |(index, group): (usize, &u8)| Question {
            id: index.to_string(),
            question: index.to_string(),
            context: String::new(),
            answers: Vec::new(),
            document: Some(group.to_string()),
        };
        let set: Dataset<Question> = groups.iter().enumerate().map(question).collect();
        let sources: std::collections::BTreeSet<u8> = groups.iter().copied().collect();
        prop_assume!(sources.len() >= 3);
        let folds = set.folds_by_group(3, seed).unwrap();
        let of = |part: &Vec<usize>| part.iter().map(|&i| groups[i]).collect::<std::collections::BTreeSet<u8>>();
        let parts: Vec<_> = folds.parts().iter().map(of).collect();
        prop_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), sources.len());
        prop_assert!(parts.iter().all(|part| !part.is_empty()));
        let (train, test) = set.split_by_group(0.3, seed).unwrap();
        prop_assert!(!train.is_empty() && !test.is_empty());
        let in_train = |document: &Option<String>| train.values().any(|q| q.document == *document);
        prop_assert!(test.values().all(|question| !in_train(&question.document)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_inputs_stay_together(
        kinds in prop::collection::vec(0_u8..30, 4..120),
        fraction in 0.05_f64..0.6,
        seed in any::<u64>(),
    ) {
        // The same text in other letters, and under other labels.
        let text = |kind: u8, index: usize| match index % 3 {
            0 => format!("Text  {kind}"),
            1 => format!("text {kind}"),
            _ => format!(" TEXT {kind} "),
        };
        let example = |(index, kind): (usize, &u8)| Labelled::new(text(*kind, index), (index % 2).to_string());
        let set: Dataset<Labelled> = kinds.iter().enumerate().map(example).collect();
        let kind = |value: &Labelled| value.text.trim().to_lowercase().replace("  ", " ");
        let distinct: std::collections::BTreeSet<&u8> = kinds.iter().collect();
        prop_assume!(distinct.len() >= 5);
        let (train, valid) = set.clone().split(fraction, seed).unwrap();
        prop_assert!(!train.is_empty() && !valid.is_empty() && train.len() + valid.len() == kinds.len());
        prop_assert!(valid.values().all(|v| train.values().all(|t| kind(t) != kind(v))));
        let largest = (0..30).map(|k| kinds.iter().filter(|other| **other == k).count()).max().unwrap();
        let wanted = (kinds.len() as f64 * fraction).round();
        prop_assert!((valid.len() as f64 - wanted).abs() <= largest as f64, "{} {wanted} {largest}", valid.len());
        let folds = set.folds(3, seed).unwrap();
        for part in 0..3 {
            let (train, test) = folds.divide(&set, part).unwrap();
            prop_assert!(test.values().all(|v| train.values().all(|t| kind(t) != kind(v))));
        }
    }
}

#[test]
fn questions_on_one_context_stay_together() {
    let question = |index: usize, document: Option<String>| Question {
        id: index.to_string(),
        question: format!("What is {index}?"),
        context: format!("context {}", index / 5),
        answers: Vec::new(),
        document,
    };
    // Contexts; documents of two contexts each; and one document, where only contexts are kept together.
    for documents in [None, Some(10), Some(1000)] {
        let document = |index: usize| documents.map(|size| (index / size).to_string());
        let set: Dataset<Question> = (0..100).map(|index| question(index, document(index))).collect();
        let (train, valid) = set.split(0.2, 3).unwrap();
        assert_eq!(train.len() + valid.len(), 100);
        assert_eq!(valid.len(), 20);
        let shared =
            |of: fn(&Question) -> String| valid.values().any(|v| train.values().any(|t| of(t) == of(v)));
        assert!(documents == Some(1000) || !shared(|question| question.context.clone()));
        assert!(
            documents == Some(1000)
                || !shared(|question| format!(
                    "{:?}",
                    question.document.clone().unwrap_or_else(|| question.id.clone())
                ))
        );
    }
}

#[test]
fn a_named_field_divides() {
    let set: Dataset<Labelled> = (0..60).map(|i| Labelled::new(i.to_string(), "a")).collect();
    let day = |record: &Record<Labelled>| Some((record.origin.line / 7).to_string());
    let (train, valid) = set.clone().split_by(0.2, 1, day).unwrap();
    assert!(
        valid
            .records
            .iter()
            .all(|v| train.records.iter().all(|t| day(t) != day(v)))
    );
    assert!(!valid.is_empty());
    let error = set.split_by(0.2, 1, |_| Some("x".to_owned())).unwrap_err();
    assert!(error.to_string().contains("belong together"), "{error}");
}

#[test]
fn folds_keep_a_field_together_and_classes_in_proportion() {
    // Twelve authors of five texts each; four of them write of class b alone.
    let set: Dataset<Labelled> = (0..60)
        .map(|i| Labelled::new(i.to_string(), if i / 5 % 3 == 0 { "b" } else { "a" }))
        .collect();
    let author =
        |record: &Record<Labelled>| Some((record.value.text.parse::<usize>().unwrap() / 5).to_string());
    for seed in 0..5 {
        let folds = set.folds_by(4, seed, author).unwrap();
        let mut seen = Vec::new();
        for part in 0..folds.len() {
            let (train, test) = folds.divide(&set, part).unwrap();
            assert_eq!((train.len(), test.len()), (45, 15));
            assert_eq!(test.values().filter(|value| value.labels == ["b"]).count(), 5);
            for held_out in &test.records {
                assert!(train.records.iter().all(|left| author(left) != author(held_out)));
            }
            seen.extend(folds.parts()[part].iter().copied());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
    }
    let error = set.folds_by(13, 0, author).unwrap_err();
    assert!(error.to_string().contains("13 parts of 12 groups"), "{error}");
    // Where every author has a class of their own, each part still has one.
    let own: Dataset<Labelled> = (0..8)
        .map(|i| Labelled::new(i.to_string(), (i / 2).to_string()))
        .collect();
    let pair =
        |record: &Record<Labelled>| Some((record.value.text.parse::<usize>().unwrap() / 2).to_string());
    let folds = own.folds_by(4, 1, pair).unwrap();
    assert!(folds.parts().iter().all(|part| part.len() == 2), "{folds:?}");
}

#[test]
fn what_cannot_be_divided() {
    let set = labelled(&[0, 1, 2]);
    for fraction in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(set.clone().split(fraction, 0).is_err());
    }
    assert!(labelled(&[0]).split(0.5, 0).is_err());
    let same = Dataset::from(vec![Labelled::new("a", "x"), Labelled::new("A ", "y")]);
    assert!(same.split(0.5, 0).is_err());
    assert!(set.folds(1, 0).is_err() && set.folds(4, 0).is_err());
    let folds = set.folds(3, 0).unwrap();
    assert!(folds.divide(&set, 3).is_err() && folds.divide(&labelled(&[0]), 0).is_err());
    assert!(set.clone().split_by_group(0.5, 0).is_err());
    let passages = Dataset::from(vec![Passage { text: "a".into() }, Passage { text: "b".into() }]);
    assert_eq!(passages.split(0.5, 0).unwrap().1.len(), 1);
}

#[test]
fn keys_and_columns_stand_once() {
    use ragtune_train::data::{Source, instructions, labelled};
    let usual = labelled::Columns::default();
    let error = |path: &str, text: &str| {
        labelled::parse(&Source::from_text(path, text), &usual)
            .unwrap_err()
            .to_string()
    };
    let twice = error("a.csv", "text,label,text\na,b,c\n");
    assert!(
        twice.starts_with("a.csv, line 1, column 12: two columns are called \"text\""),
        "{twice}"
    );
    let key = error(
        "a.jsonl",
        "{\"text\": \"a\", \"label\": \"b\"}\n{\"text\": \"a\", \"text\": \"c\", \"label\": \"b\"}\n",
    );
    assert!(
        key.starts_with("a.jsonl, line 2, column ") && key.contains("\"text\" stands twice"),
        "{key}"
    );
    let inner = "[{\"instruction\": \"a\", \"output\": \"b\", \"output\": \"c\"}]";
    let inner = instructions::parse(&Source::from_text("a.json", inner))
        .unwrap_err()
        .to_string();
    assert!(inner.contains("\"output\" stands twice"), "{inner}");
    let both = usual.clone().with_text("label").with_label("label");
    let both = labelled::parse(&Source::from_text("a.csv", "text,label\na,b\n"), &both)
        .unwrap_err()
        .to_string();
    assert!(both.contains("of the text and of the label"), "{both}");
}
