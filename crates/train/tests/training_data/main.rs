//! Thousands of damaged files of examples, the same in every run, and files made to take time or memory. The target of
//! `fuzz/` goes on from where this ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "functions of tests, which the lints do not know for such"
)]

mod entries;
#[path = "../../../core/tests/mutations/mutator.rs"]
mod mutator;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use mutator::{Random, mutate};
use ragtune_train::data::{Source, instructions, labelled, tags};

#[test]
fn damaged_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/training_data");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let mut random = Random::new(7);
    let check = |input: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| entries::training_data(input))).is_err() {
            panic!("this input makes it panic: {}", input.escape_ascii());
        }
    };
    seeds.iter().for_each(|seed| check(seed));
    for i in 0..3_000 {
        check(&mutate(&seeds[i % seeds.len()], &seeds, &mut random));
    }
}

/// What took quadratic time or a deep stack would not come back from these.
#[test]
fn large_and_deep_files() {
    let long = "word ".repeat(1 << 20);
    for text in [
        format!("text,label\n\"{long}\",a\n"),
        format!("{{\"text\": \"{long}\", \"label\": \"a\"}}"),
    ] {
        for name in ["a.csv", "a.jsonl"] {
            let _ = labelled::parse(
                &Source::from_text(name, text.as_str()),
                &labelled::Columns::default(),
            );
        }
    }
    let quotes = format!("text,label\n{}", "\"\"".repeat(1 << 20));
    let _ = labelled::parse(&Source::from_text("a.csv", quotes), &labelled::Columns::default());
    for deep in ["[", "{\"a\":", "[{\"messages\":["] {
        let text = deep.repeat(200_000);
        assert!(instructions::parse(&Source::from_text("a.json", text.as_str())).is_err());
        assert!(instructions::parse(&Source::from_text("a.jsonl", text)).is_err());
    }
    let many: String = "w\tO\n\n".repeat(200_000);
    assert_eq!(
        tags::parse(&Source::from_text("a.conll", many), &tags::Layout::default())
            .unwrap()
            .len(),
        200_000
    );
    let wide = format!("{}\n{}\n", "c,".repeat(100_000), "1,".repeat(100_000));
    let error =
        labelled::parse(&Source::from_text("a.csv", wide), &labelled::Columns::default()).unwrap_err();
    assert!(error.to_string().len() < 1_000);
}
