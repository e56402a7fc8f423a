//! Classification, scores, tags and spans: with a tokenizer made in memory, and with MiniLM's on published sets.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "functions of tests, which the lints do not know for such"
)]

mod byte_tokenizer;

use std::path::PathBuf;

use proptest::prelude::*;
use ragtune_core::models::TextTokenizer;
use ragtune_core::weights::ModelFiles;
use ragtune_train::Error;
use ragtune_train::data::{Answer, Dataset, Judged, LabelMap, Labelled, Question, Tagged, questions, tags};
use ragtune_train::encode::{Limits, Overflow, TextEncoder, Window, WindowLimits};

fn shared(path: &str) -> Option<PathBuf> {
    let Some(shared) = std::env::var_os("RAGTUNE_SHARED") else {
        println!("skipped: RAGTUNE_SHARED does not name the folder with the data sets");
        return None;
    };
    Some(PathBuf::from(shared).join(path))
}

fn minilm() -> Option<TextTokenizer> {
    let files = ModelFiles::folder(shared("models/all-minilm-l6-v2")?).unwrap();
    Some(TextTokenizer::load(&files).unwrap())
}

#[test]
fn labels_and_lengths() {
    let tokenizer = byte_tokenizer::tokenizer(&[]);
    let encoder = TextEncoder::new(&tokenizer).unwrap();
    let set = Dataset::from(vec![
        Labelled::with_labels("abc", ["y", "x", "y"]),
        Labelled::new("a".repeat(20), "x").with_pair("b"),
    ]);
    let labels = LabelMap::of_texts(&set).unwrap();
    let encoded = encoder
        .labelled(&set, &labels, Limits::new(10).with_overflow(Overflow::Truncate))
        .unwrap();
    assert_eq!(encoded.items[0].value.labels, [0, 1]);
    assert_eq!(encoded.lengths(), [3, 10]);
    assert_eq!(encoded.report.truncated, 1);
    let dropped = encoder
        .labelled(&set, &labels, Limits::new(10).with_overflow(Overflow::Drop))
        .unwrap();
    assert_eq!((dropped.sources, dropped.report.too_long.len()), (vec![0], 1));
    let error = encoder
        .labelled(&set, &labels, Limits::new(10))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("example 2: 21 tokens, and at most 10"),
        "{error}"
    );
    let unknown = Dataset::from(vec![Labelled::new("a", "z")]);
    let unknown = encoder.labelled(&unknown, &labels, Limits::new(10));
    assert!(matches!(unknown, Err(Error::UnknownLabel { .. })));
    let judged = Dataset::from(vec![Judged {
        query: "q".to_owned(),
        passage: "pp".to_owned(),
        label: 0.5,
    }]);
    let encoded = encoder.judged(&judged, Limits::new(10)).unwrap();
    assert_eq!(
        (encoded.items[0].value.ids.len(), encoded.items[0].value.label),
        (3, 0.5)
    );
    assert!(encoder.judged(&Dataset::default(), Limits::new(10)).is_err());
}

fn question(context: &str, answer: Option<(usize, usize)>) -> Question {
    let answers = answer.map(|(start, end)| Answer {
        text: context[start..end].to_owned(),
        start,
    });
    Question {
        id: "1".to_owned(),
        question: "why".to_owned(),
        context: context.to_owned(),
        answers: answers.into_iter().collect(),
        document: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every token of the context is in a window, the windows overlap as asked, and the answer is where it should be.
    #[test]
    fn windows_cover_the_context(
        length in 1_usize..120,
        max_tokens in 10_usize..40,
        overlap in 0_usize..4,
        answer in prop::option::of((0_usize..120, 1_usize..6)),
    ) {
        let text: String = (0..length).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
        let answer = answer.map(|(start, chars)| {
            let start = start.min(length - 1);
            (start, (start + chars).min(length))
        });
        let set = Dataset::from(vec![question(&text, answer)]);
        let tokenizer = byte_tokenizer::tokenizer(&[]);
        let limits = WindowLimits::default().with_max_tokens(max_tokens).with_overlap_tokens(overlap);
        let encoded = TextEncoder::new(&tokenizer).unwrap().questions(&set, limits);
        let Ok(encoded) = encoded else {
            // Left out: the answer is in no window as a whole.
            let (start, end) = answer.unwrap();
            prop_assert!(end - start > 1 && max_tokens - 3 < length);
            return Ok(());
        };
        let mut end = 0;
        for window in encoded.items.iter().map(|item| &item.value) {
            prop_assert!(window.ids.len() <= max_tokens);
            prop_assert!(window.type_ids.len() == window.ids.len() && window.offsets.len() == window.ids.len());
            let context: Vec<usize> = (0..window.ids.len()).filter(|&i| window.offsets[i].is_some()).collect();
            let (a, b) = (context[0], context[context.len() - 1]);
            let span = window.span(a, b).unwrap();
            prop_assert_eq!(span.start, if end == 0 { 0 } else { end - overlap });
            end = span.end;
            prop_assert_eq!(tokenizer.decode(&window.ids[a..=b]).unwrap(), span.of(&text).unwrap());
            if window.has_answer() {
                let found = window.span(window.start as usize, window.end as usize).unwrap();
                prop_assert_eq!(Some((found.start, found.end)), answer);
            } else if let Some((a, b)) = answer {
                prop_assert!(a < span.start || b > span.end);
            }
        }
        prop_assert_eq!(end, length);
        prop_assert!(answer.is_none() || encoded.items.iter().any(|item| item.value.has_answer()));
    }
}

#[test]
fn questions_that_leave_no_room() {
    let tokenizer = byte_tokenizer::tokenizer(&[]);
    let encoder = TextEncoder::new(&tokenizer).unwrap();
    let long = Question {
        question: "why? ".repeat(20),
        ..question("because", None)
    };
    let set = Dataset::from(vec![question("because", None), long]);
    let limits = WindowLimits::default().with_max_tokens(40).with_overlap_tokens(8);
    assert!(matches!(
        encoder.questions(&set, limits),
        Err(Error::TooLong { tokens: 100, .. })
    ));
    let cut = encoder
        .questions(&set, limits.with_overflow(Overflow::Truncate))
        .unwrap();
    assert_eq!((cut.report.truncated, cut.sources), (1, vec![0, 1]));
    let dropped = encoder
        .questions(&set, limits.with_overflow(Overflow::Drop))
        .unwrap();
    assert_eq!(dropped.report.too_long.len(), 1);
    assert!(encoder.questions(&set, limits.with_max_tokens(1)).is_err());
    assert!(encoder.questions(&set, limits.with_overlap_tokens(30)).is_err());
}

#[test]
fn answers_in_no_window_are_counted_and_named() {
    let tokenizer = byte_tokenizer::tokenizer(&[]);
    let text = "a long text without end, ".repeat(8);
    let long = question(&text, Some((10, 90)));
    let limits = WindowLimits::default().with_max_tokens(64).with_overlap_tokens(8);
    let encoder = TextEncoder::new(&tokenizer).unwrap();
    let set = Dataset::from(vec![
        question(&text, Some((0, 6))),
        long.clone(),
        question(&text, None),
    ]);
    let encoded = encoder.questions(&set, limits).unwrap();
    assert_eq!(encoded.report.in_no_window, [set.records[1].origin.clone()]);
    assert!(encoded.report.without_target.is_empty() && encoded.report.lost_targets == 0);
    assert!(encoded.sources.contains(&0) && encoded.sources.contains(&2) && !encoded.sources.contains(&1));
    assert!(
        encoded.report.to_string().contains("1 left out whose answer"),
        "{}",
        encoded.report
    );
    // With the same text, but one behind another, the windows are those of each question alone.
    for (index, record) in set.records.iter().enumerate().filter(|(index, _)| *index != 1) {
        let alone = encoder
            .questions(&Dataset::from(vec![record.value.clone()]), limits)
            .unwrap();
        let here = encoded
            .items
            .iter()
            .zip(&encoded.sources)
            .filter(|(_, of)| **of == index);
        let ids = |window: &Window| {
            (
                window.ids.clone(),
                window.start,
                window.end,
                window.offsets.clone(),
            )
        };
        let here: Vec<_> = here.map(|(item, _)| ids(&item.value)).collect();
        let alone: Vec<_> = alone.items.iter().map(|item| ids(&item.value)).collect();
        assert_eq!(here, alone);
    }
    let error = encoder.questions(&Dataset::from(vec![long]), limits).unwrap_err();
    assert!(error.to_string().contains("in no window"), "{error}");
}

#[test]
fn empty_windows_are_sampled() {
    let tokenizer = byte_tokenizer::tokenizer(&[]);
    let text = "a long text without end, ".repeat(20);
    let set = Dataset::from(vec![
        question(&text, Some((0, 6))),
        question(&text, None),
        question("short", Some((0, 5))),
    ]);
    let limits = WindowLimits::default().with_max_tokens(64).with_overlap_tokens(8);
    let whole = TextEncoder::new(&tokenizer)
        .unwrap()
        .questions(&set, limits)
        .unwrap();
    for most in [0, 1, 3, 1000] {
        let kept = whole.clone().with_empty_windows(most, 7);
        assert_eq!(kept, whole.clone().with_empty_windows(most, 7));
        for source in 0..set.len() {
            let count = |encoded: &ragtune_train::encode::EncodedSet<Window>, answered: bool| {
                let items = encoded.items.iter().zip(&encoded.sources);
                items
                    .filter(|(item, of)| **of == source && item.value.has_answer() == answered)
                    .count()
            };
            assert_eq!(count(&kept, true), count(&whole, true));
            assert_eq!(count(&kept, false), count(&whole, false).min(most));
        }
        assert_eq!(kept.report.items, kept.items.len());
        assert_eq!(kept.report.left_out_windows, whole.items.len() - kept.items.len());
    }
    let other = |seed| whole.clone().with_empty_windows(1, seed).items;
    assert!((0..20).any(|seed| other(seed) != other(0)));
}

#[test]
fn long_sentences_come_in_windows() {
    let tokenizer = byte_tokenizer::tokenizer(&[]);
    let encoder = TextEncoder::new(&tokenizer).unwrap();
    let sentence = |words: usize| Tagged {
        words: (0..words).map(|word| "word".repeat(1 + word % 3)).collect(),
        tags: (0..words)
            .map(|word| ["O", "B-x", "I-x"][word % 3].to_owned())
            .collect(),
    };
    let set = Dataset::from(vec![sentence(3), sentence(40), sentence(2)]);
    let labels = LabelMap::of_tags(&set).unwrap();
    assert!(matches!(
        encoder.tagged(&set, &labels, Limits::new(60)),
        Err(Error::TooLong { .. })
    ));
    let encoded = encoder.tagged_windows(&set, &labels, 60).unwrap();
    assert_eq!(
        (
            encoded.report.in_windows,
            encoded.report.targets,
            encoded.report.lost_targets
        ),
        (1, 45, 0)
    );
    assert!(
        encoded.report.to_string().contains("1 read in windows"),
        "{}",
        encoded.report
    );
    for (index, value) in set.values().enumerate() {
        let windows = encoded
            .items
            .iter()
            .zip(&encoded.sources)
            .filter(|(_, of)| **of == index);
        let windows: Vec<_> = windows.map(|(item, _)| &item.value).collect();
        assert!(
            windows
                .iter()
                .enumerate()
                .all(|(number, window)| window.window == number)
        );
        assert!(
            windows
                .iter()
                .all(|window| window.ids.len() <= 60 && window.targets.len() == window.ids.len())
        );
        // Every word has its tag once, in order, and is found where its window says.
        let tags = windows
            .iter()
            .flat_map(|window| window.targets.iter().filter(|target| **target != u32::MAX));
        let tags: Vec<&str> = tags.map(|tag| labels.names()[*tag as usize].as_str()).collect();
        assert_eq!(tags, value.tags);
        let mut words = value.words.iter();
        for window in &windows {
            for place in (0..window.ids.len()).filter(|place| window.targets[*place] != u32::MAX) {
                let word = words.next().unwrap();
                let found = tokenizer
                    .decode(&window.ids[place..(place + word.len()).min(window.ids.len())])
                    .unwrap();
                assert_eq!(&found, word);
            }
        }
    }
    // What fits comes as it does without windows.
    let whole = encoder.tagged(&set, &labels, Limits::new(1000)).unwrap();
    let same = encoder.tagged_windows(&set, &labels, 1000).unwrap();
    assert_eq!((whole.items, whole.report), (same.items, same.report));
    assert!(encoder.tagged_windows(&set, &labels, 0).is_err());
}

#[test]
fn wnut17_words_have_tokens() {
    let Some(tokenizer) = minilm() else { return };
    let set = tags::read(
        shared("data/wnut17/wnut17train.conll").unwrap(),
        &tags::Layout::default(),
    )
    .unwrap();
    let labels = LabelMap::of_tags(&set).unwrap();
    let encoder = TextEncoder::new(&tokenizer).unwrap();
    let encoded = encoder.tagged(&set, &labels, Limits::new(256)).unwrap();
    println!("{}", encoded.report);
    let words: usize = set.values().map(|value| value.words.len()).sum();
    assert_eq!(encoded.report.targets + encoded.report.words_without_token, words);
    assert_eq!(encoded.report.words_without_token, 0);
    for (item, &source) in encoded.items.iter().zip(&encoded.sources) {
        let value = &set.records[source].value;
        let item = &item.value;
        assert_eq!((item.ids[0], item.ids[item.ids.len() - 1]), (101, 102));
        let asked = tokenizer.encode_words(&value.words, 256, 0).unwrap();
        let firsts = |words: &[Option<usize>]| words.iter().map(Option::is_some).collect::<Vec<_>>();
        let trained: Vec<bool> = item.targets.iter().map(|&target| target != u32::MAX).collect();
        assert_eq!((&asked[0].ids, firsts(&asked[0].words)), (&item.ids, trained));
        let learned = item
            .targets
            .iter()
            .zip(&item.ids)
            .filter(|(target, _)| **target != u32::MAX);
        let mut learned = learned.map(|(&target, &id)| (target, tokenizer.token_text(id).unwrap()));
        for (word, tag) in value.words.iter().zip(&value.tags) {
            let (target, text) = learned.next().unwrap();
            assert!(!text.starts_with("##"), "{word} {text}");
            assert_eq!(labels.names()[target as usize], *tag);
            if word.is_ascii() && text != "[UNK]" {
                assert!(word.to_lowercase().starts_with(&text), "{word} {text}");
            }
        }
        assert!(learned.next().is_none());
    }
    let sentence = Tagged {
        words: vec!["[SEP]".to_owned(), "\u{200B}".to_owned(), "São".to_owned()],
        tags: vec!["O".to_owned(); 3],
    };
    let cut = encoder
        .tagged(&Dataset::from(vec![sentence]), &labels, Limits::new(128))
        .unwrap();
    assert!(!cut.items[0].value.ids[1..cut.items[0].value.ids.len() - 1].contains(&102));
    assert_eq!(cut.report.words_without_token, 1);
}

#[test]
fn covid_qa_answers_are_found_again() {
    let Some(tokenizer) = minilm() else { return };
    let path = shared("data/covid-qa/200423_covidQA.json").unwrap();
    let (mut set, _) = questions::read_repairing(path).unwrap();
    set.records.truncate(120);
    let limits = WindowLimits::default();
    let encoded = TextEncoder::new(&tokenizer)
        .unwrap()
        .questions(&set, limits)
        .unwrap();
    println!("{}", encoded.report);
    // What is trained on is what a tuned model is asked with.
    for source in 0..10 {
        let value = &set.records[source].value;
        let asked = tokenizer
            .encode_windows(&value.question, &value.context, 384, 128)
            .unwrap();
        let of_question = |(_, of): &(_, &usize)| **of == source;
        let trained = encoded.items.iter().zip(&encoded.sources).filter(of_question);
        let trained: Vec<_> = trained
            .map(|(window, _)| (&window.value.ids, &window.value.type_ids))
            .collect();
        let asked: Vec<_> = asked
            .iter()
            .map(|window| (&window.ids, &window.type_ids))
            .collect();
        assert_eq!(trained, asked);
    }
    let mut shown = 0;
    for (window, &source) in encoded.items.iter().zip(&encoded.sources) {
        let window = &window.value;
        assert!(window.ids.len() <= 384 && window.question == source);
        assert_eq!(window.ids[0], 101);
        let context = window.offsets.iter().position(Option::is_some).unwrap();
        assert_eq!((window.type_ids[context - 1], window.type_ids[context]), (0, 1));
        if !window.has_answer() {
            continue;
        }
        shown += 1;
        let value = &set.records[source].value;
        let span = window.span(window.start as usize, window.end as usize).unwrap();
        // Tokens begin and end with words, which an answer need not do.
        let answer = value.answers[0].span();
        let trimmed = value.answers[0].text.trim();
        assert!(
            span.of(&value.context).unwrap().contains(trimmed),
            "{answer} {span}"
        );
        assert!(span.start + 30 > answer.start && span.end < answer.end + 30);
    }
    assert!(shown >= 100);
}
