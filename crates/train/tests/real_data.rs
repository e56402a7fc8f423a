//! The readers on published sets. Needs the folder of data in RAGTUNE_SHARED; nothing of it is in this repository.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "functions of tests, which the lints do not know for such"
)]

use std::path::PathBuf;

use ragtune_train::data::{
    self, Cleaning, CleaningRule, Instruction, LabelMap, Sample, Source, TextFiles, beir, from_json,
    instructions, labelled, passages, preferences, questions, tags,
};

fn shared(path: &str) -> Option<PathBuf> {
    let Some(shared) = std::env::var_os("RAGTUNE_SHARED") else {
        println!("skipped: RAGTUNE_SHARED does not name the folder with the data sets");
        return None;
    };
    Some(PathBuf::from(shared).join("data").join(path))
}

#[test]
fn banking77() {
    let Some(folder) = shared("banking77") else { return };
    let read = |name: &str| labelled::read(folder.join(name), &labelled::Columns::default()).unwrap();
    let (train, test) = (read("train.csv"), read("test.csv"));
    assert_eq!((train.len(), test.len()), (10_003, 3_080));
    let labels = LabelMap::of_texts(&train).unwrap();
    assert_eq!(labels, LabelMap::of_texts(&test).unwrap());
    assert_eq!(labels.len(), 77);
    // Questions with line ends in them do not shift the lines: each record's line begins with its text.
    let source = Source::read(folder.join("train.csv")).unwrap();
    let lines: Vec<&str> = source.text().split('\n').collect();
    for record in &train.records {
        let first = record.value.text.split('\n').next().unwrap();
        let start = first.trim_end_matches('\r').split('"').next().unwrap();
        let line = lines[record.origin.line - 1];
        assert!(
            line.trim_start_matches('"').starts_with(start),
            "{line:?} {record:?}"
        );
    }
}

#[test]
fn sms_spam() {
    let Some(path) = shared("sms-spam/SMSSpamCollection") else {
        return;
    };
    let set = labelled::read(path, &labelled::Columns::default()).unwrap();
    assert_eq!(set.len(), 5_574);
    assert_eq!(set.values().filter(|value| value.labels == ["spam"]).count(), 747);
    assert_eq!(set.records[5_573].origin.line, 5_575);
}

#[test]
fn wnut17() {
    let Some(folder) = shared("wnut17") else { return };
    let read = |name: &str| tags::read(folder.join(name), &tags::Layout::default()).unwrap();
    let train = read("wnut17train.conll");
    assert_eq!(train.len(), 3_394);
    assert_eq!(read("emerging.dev.conll").len(), 1_009);
    assert_eq!(read("emerging.test.annotated").len(), 1_287);
    assert_eq!(
        train.values().map(|value| value.words.len()).sum::<usize>(),
        62_730
    );
    let labels = LabelMap::of_tags(&train).unwrap();
    assert_eq!(labels.len(), 13);
    assert_eq!(labels.names()[0], "O");
}

#[test]
fn covid_qa() {
    let Some(path) = shared("covid-qa/200423_covidQA.json") else {
        return;
    };
    assert!(
        questions::read(&path)
            .unwrap_err()
            .to_string()
            .contains("read_repairing")
    );
    let (set, repairs) = questions::read_repairing(&path).unwrap();
    assert_eq!(
        (set.len(), repairs.answers, repairs.moved.len()),
        (1_380, 1_380, 234)
    );
    assert!(repairs.moved.iter().all(|(_, _, by)| by.abs() <= 3));
    for question in set.values() {
        for answer in &question.answers {
            assert_eq!(answer.span().of(&question.context), Some(answer.text.as_str()));
        }
    }
    let documents: std::collections::BTreeSet<_> = set.values().map(|q| q.document.clone()).collect();
    assert_eq!(documents.len(), 98);
    let faq = instructions::read(path.with_file_name("faq_covidbert.csv")).unwrap();
    println!("{} questions with answers", faq.len());
}

#[test]
fn conversations() {
    let Some(folder) = shared("") else { return };
    let set = instructions::read(folder.join("instruct/instruction-data.json")).unwrap();
    assert_eq!(set.len(), 1_100);
    assert_eq!(set.records[0].value.messages.len(), 2);
    assert_eq!(set.records[0].origin.line, 2);
    let set = preferences::read(folder.join("instruct/instruction-data-with-preference.json")).unwrap();
    let equal = set.values().filter(|value| value.missing() == Some("difference"));
    assert_eq!((set.len(), equal.count()), (1_100, 6));
    let set = preferences::read(folder.join("preference/dpo_en_demo.json")).unwrap();
    assert_eq!(set.len(), 300);
}

#[test]
fn scitldr_by_a_function() {
    let Some(path) = shared("scitldr/train.jsonl") else {
        return;
    };
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).ok_or("not a text".to_owned());
    let set = from_json(&Source::read(path).unwrap(), |record| {
        let source = record["source"].as_array().ok_or("no source")?;
        let source: Vec<String> = source.iter().map(text).collect::<Result<_, _>>()?;
        Ok(Some(Instruction::new(
            source.join(" "),
            text(&record["target"][0])?,
        )))
    });
    assert_eq!(set.unwrap().len(), 1_992);
}

#[test]
fn texts_and_collections() {
    let Some(folder) = shared("") else { return };
    let set = passages::read(folder.join("tinyshakespeare/input.txt"), &TextFiles::default()).unwrap();
    assert_eq!(set.records[0].value.text.len(), 1_115_394);
    let book = passages::read(folder.join("rust-book"), &TextFiles::default()).unwrap();
    assert!(book.len() > 50);
    let pairs = beir::read_pairs(folder.join("docs-rag"), "test").unwrap();
    println!("{} pages of the book, {} pairs", book.len(), pairs.len());
    assert!(
        pairs
            .values()
            .all(|pair| pair.anchor.len() > 10 && pair.positive.len() > 10)
    );
    let _: &[data::Record<data::Pair>] = &pairs.records;
}

#[test]
fn cleaning_published_sets() {
    let Some(path) = shared("sms-spam/SMSSpamCollection") else {
        return;
    };
    let mut sms = labelled::read(path, &labelled::Columns::default()).unwrap();
    let report = Cleaning::default()
        .with_near_duplicates(0.9)
        .run(&mut sms)
        .unwrap();
    println!("sms-spam: {report}");
    // The set's own description and others count 403 exact duplicates.
    assert!(report.count(CleaningRule::Duplicate) >= 403);
    assert!(report.count(CleaningRule::NearDuplicate) > 10);
    let again = Cleaning::default()
        .with_near_duplicates(0.9)
        .run(&mut sms)
        .unwrap();
    assert!(again.removed.is_empty(), "{again}");
    let (train, valid) = sms.clone().split(0.2, 42).unwrap();
    let spam = |set: &data::Dataset<data::Labelled>| {
        set.values().filter(|value| value.labels == ["spam"]).count() as f64 / set.len() as f64
    };
    assert!((spam(&train) - spam(&valid)).abs() < 0.001);

    let folder = shared("banking77").unwrap();
    let read = |name: &str| labelled::read(folder.join(name), &labelled::Columns::default()).unwrap();
    let (mut train, test) = (read("train.csv"), read("test.csv"));
    let report = Cleaning::default().run(&mut train).unwrap();
    let leaks = Cleaning::default()
        .with_near_duplicates(0.9)
        .run_against(&mut train, &test)
        .unwrap();
    println!("banking77: {report}; against the test set: {leaks}");
    for removed in leaks.removed.iter().take(3) {
        println!("{removed}");
    }
}
