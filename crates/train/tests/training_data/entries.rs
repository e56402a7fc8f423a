//! The readers of training data as one function of bytes: they may refuse their input, and may neither panic nor hang.
//!
//! Shared by the test beside it and by the target of `fuzz/`.

use ragtune_train::Result;
use ragtune_train::data::{
    Cleaning, Dataset, JudgedColumns, PairColumns, Record, Sample, Source, Synonyms, TextFiles, instructions,
    judged, labelled, pairs, passages, preferences, questions, tags,
};

/// A file of examples, under the name of every format.
pub fn training_data(data: &[u8]) {
    for name in ["data.csv", "data.tsv", "data.jsonl", "data.json", "data"] {
        let Ok(source) = Source::from_bytes(name, data.to_vec()) else {
            return;
        };
        let lines = source.text().split('\n').count();
        check(labelled::parse(&source, &labelled::Columns::default()), lines);
        check(tags::parse(&source, &tags::Layout::default()), lines);
        check(instructions::parse(&source), lines);
        check(preferences::parse(&source), lines);
        check(pairs::parse(&source, &PairColumns::default()), lines);
        check(judged::parse(&source, &JudgedColumns::default()), lines);
        check(passages::parse(&source, &TextFiles::default()), lines);
        let _ = questions::parse(&source);
        let _ = Synonyms::parse(&source);
        if let Ok((set, repairs)) = questions::parse_repairing(&source) {
            for question in set.values() {
                for answer in &question.answers {
                    assert_eq!(answer.span().of(&question.context), Some(answer.text.as_str()));
                }
            }
            assert!(repairs.moved.len() <= repairs.answers);
            check(Ok(set), lines);
        }
    }
}

/// What was read has an example, and its lines are lines of the file.
fn check<R: Sample + Sync>(set: Result<Dataset<R>>, lines: usize) {
    let Ok(mut set) = set else { return };
    assert!(!set.is_empty());
    let in_file = |record: &Record<R>| (1..=lines).contains(&record.origin.line);
    assert!(set.records.iter().all(in_file));
    let examples = set.len();
    if let Ok(report) = Cleaning::default().with_near_duplicates(0.8).run(&mut set) {
        assert_eq!((report.examples, report.kept()), (examples, set.len()));
    }
}
