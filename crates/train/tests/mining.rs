//! Hard negatives: those of sentence-transformers (`fixtures/parity/make.py`), and the rest of the rules.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test that meets them fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ragtune_core::text::{Embedder, Embeddings, Role};
use ragtune_train::Error;
use ragtune_train::data::{Dataset, Pair};
use ragtune_train::mining::{HardNegatives, Mined, Sampling};
use serde::Deserialize;

/// Texts are `q` or `d` with a number, and their vectors follow from it.
struct Table;

/// As `spread` of the script.
fn spread(seed: u64, count: usize) -> Vec<f32> {
    let mask = (1 << 32) - 1;
    let mixed = (0..count as u64).map(|index| {
        let x = (index * 2_654_435_761 + seed * 2_246_822_519 + 12_345) & mask;
        let x = ((x ^ (x >> 15)) * 73_244_475) & mask;
        let x = ((x ^ (x >> 13)) * 73_244_475) & mask;
        x ^ (x >> 16)
    });
    mixed
        .map(|x| (x as f64 / (1_u64 << 32) as f64 - 0.5) as f32)
        .collect()
}

impl Embedder for Table {
    fn id(&self) -> &str {
        "table"
    }

    fn dim(&self) -> usize {
        6
    }

    fn max_tokens(&self) -> usize {
        1
    }

    fn embed(&self, texts: &[&str], role: Role) -> ragtune_core::Result<Embeddings> {
        let vector = |text: &&str| {
            let number: u64 = text[1..].parse().unwrap();
            assert_eq!(text.starts_with('q'), role == Role::Query);
            spread(if role == Role::Query { 2000 } else { 1000 } + number, 6)
        };
        Embeddings::from_rows(6, texts.iter().map(vector))
    }
}

#[derive(Deserialize)]
struct File {
    pairs: Vec<(String, String)>,
    corpus: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    options: Options,
    negatives: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Options {
    num_negatives: usize,
    #[serde(default)]
    range_min: usize,
    range_max: Option<usize>,
    absolute_margin: Option<f32>,
    relative_margin: Option<f32>,
    min_score: Option<f32>,
    max_score: Option<f32>,
}

fn file() -> File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/mining.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn pairs(file: &File) -> Dataset<Pair> {
    let pair = |(anchor, positive): &(String, String)| Pair::new(anchor, positive);
    Dataset::from(file.pairs.iter().map(pair).collect::<Vec<_>>())
}

fn negatives(mined: &Mined) -> BTreeMap<String, Vec<String>> {
    let records = mined.set.records.iter().map(|record| &record.value);
    let found = records.filter(|pair| !pair.negatives.is_empty());
    found
        .map(|pair| (pair.anchor.clone(), pair.negatives.clone()))
        .collect()
}

#[test]
fn equal_to_sentence_transformers() {
    let file = file();
    for (number, case) in file.cases.iter().enumerate() {
        let options = &case.options;
        let mut miner = HardNegatives::default()
            .with_num_negatives(options.num_negatives)
            .with_range(options.range_min, options.range_max)
            .with_scores(options.min_score, options.max_score);
        miner.absolute_margin = options.absolute_margin;
        miner.relative_margin = options.relative_margin;
        let mined = miner.mine(&pairs(&file), &file.corpus, &Table).unwrap();
        assert_eq!(negatives(&mined), case.negatives, "case {number}");
        assert_eq!(mined.report.questions, 12);
        assert_eq!(
            mined.report.negatives,
            case.negatives.values().map(Vec::len).sum::<usize>()
        );
    }
}

#[test]
fn random_negatives_are_of_the_range_and_of_the_seed() {
    let file = file();
    let miner = HardNegatives::default()
        .with_num_negatives(3)
        .with_range(1, Some(12));
    let all = miner.clone().with_num_negatives(11);
    let of = |miner: &HardNegatives| negatives(&miner.mine(&pairs(&file), &file.corpus, &Table).unwrap());
    let window = of(&all);
    let first = of(&miner.clone().with_sampling(Sampling::Random, 1));
    for (question, found) in &first {
        assert_eq!(found.len(), 3);
        let places: Vec<usize> = found
            .iter()
            .map(|text| window[question].iter().position(|other| other == text).unwrap())
            .collect();
        assert!(places.is_sorted(), "{question}: {places:?}");
    }
    assert_eq!(first, of(&miner.clone().with_sampling(Sampling::Random, 1)));
    assert_ne!(first, of(&miner.clone().with_sampling(Sampling::Random, 2)));
    assert_ne!(first, of(&miner));
}

#[test]
fn negatives_that_a_pair_has_are_kept_and_not_found_again() {
    let file = file();
    let miner = HardNegatives::default().with_num_negatives(2);
    let mut set = pairs(&file);
    let before = negatives(&miner.mine(&set, &file.corpus, &Table).unwrap());
    set.records[0].value.negatives = vec![before["q0"][0].clone()];
    let after = negatives(&miner.mine(&set, &file.corpus, &Table).unwrap());
    assert_eq!(after["q0"].len(), 3);
    assert_eq!(after["q0"].iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(after["q0"][..2], before["q0"]);
}

#[test]
fn small_sets_give_what_they_have_and_mistakes_are_named() {
    let set = Dataset::from(vec![Pair::new("q1", "d1"), Pair::new("q2", "d2")]);
    let none: [&str; 0] = [];
    let mined = HardNegatives::default().mine(&set, &none, &Table).unwrap();
    assert_eq!(
        (mined.report.negatives, mined.report.fewer, mined.report.none),
        (2, 2, 0)
    );
    let alone = Dataset::from(vec![Pair::new("q1", "d1")]);
    let mined = HardNegatives::default().mine(&alone, &none, &Table).unwrap();
    assert_eq!((mined.report.negatives, mined.report.none), (0, 1));
    let refused = |miner: HardNegatives| miner.mine(&set, &none, &Table).unwrap_err().to_string();
    assert!(refused(HardNegatives::default().with_num_negatives(0)).contains("num_negatives"));
    assert!(refused(HardNegatives::default().with_range(5, Some(6))).contains("range_max"));
    assert!(refused(HardNegatives::default().with_absolute_margin(f32::NAN)).contains("absolute_margin"));
    let empty = Dataset::from(Vec::<Pair>::new());
    let error = HardNegatives::default().mine(&empty, &none, &Table).unwrap_err();
    assert!(matches!(error, Error::Empty { .. }));
}
