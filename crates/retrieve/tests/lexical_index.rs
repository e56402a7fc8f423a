//! The lexical index against a plain BM25 and against itself built afresh; damage, readers beside a writer; the
//! quality on a real collection (folder named by `RAGTUNE_SHARED`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that meets the first two fails, and prints only that it was skipped"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use ragtune_retrieve::Error;
use ragtune_retrieve::index::lexical::{Language, LexicalEntry, LexicalIndex, LexicalOptions};
use ragtune_retrieve::measure::{BeirDataset, Measure, Run, evaluate};

fn options() -> LexicalOptions {
    LexicalOptions::default()
}

fn entry(chunk: i64, text: &str) -> LexicalEntry {
    LexicalEntry {
        chunk,
        heading: String::new(),
        text: text.to_owned(),
    }
}

fn fill(index: &LexicalIndex, removed: &[i64], added: &[(i64, &str)], stamp: u64) {
    let mut added = added.iter().map(|(chunk, text)| Ok(entry(*chunk, text)));
    index.update(removed, &mut added, stamp).unwrap();
}

fn found(index: &LexicalIndex, text: &str) -> Vec<i64> {
    let hits = index.search(text, 100, None).unwrap();
    hits.into_iter().map(|(chunk, _)| chunk).collect()
}

const WORDS: [&str; 12] = [
    "tea",
    "teas",
    "green",
    "the",
    "of",
    "water",
    "cup",
    "leaf",
    "緑茶",
    "read_file",
    "HashMap",
    "steep",
];

/// Words to a text; long ones have lengths that the index rounds.
fn text(words: &[usize]) -> String {
    words.iter().map(|&w| WORDS[w]).collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_history_of_updates_equals_a_clean_build(
        updates in prop::collection::vec(
            (
                prop::collection::vec(0i64..40, 0..8),
                prop::collection::vec((0i64..40, prop::collection::vec(0..WORDS.len(), 0..90)), 0..14),
            ),
            1..7,
        ),
        question in prop::collection::vec(0..WORDS.len(), 1..5),
        top_k in 1usize..50,
    ) {
        let index = LexicalIndex::open(None, &options()).unwrap();
        let mut kept = BTreeMap::new();
        for (stamp, (removed, added)) in (1..).zip(&updates) {
            let mut entries = added.iter().map(|(chunk, words)| Ok(entry(*chunk, &text(words))));
            index.update(removed, &mut entries, stamp).unwrap();
            removed.iter().for_each(|chunk| { kept.remove(chunk); });
            kept.extend(added.iter().map(|(chunk, words)| (*chunk, text(words))));
            prop_assert_eq!(index.stamp(), stamp);
        }
        let clean = LexicalIndex::open(None, &options()).unwrap();
        clean.update(&[], &mut kept.iter().rev().map(|(chunk, text)| Ok(entry(*chunk, text))), 1).unwrap();
        prop_assert_eq!(index.len(), kept.len());

        let question = text(&question);
        let odd = |chunk: i64| chunk % 2 == 1;
        for allowed in [None, Some(&odd as &(dyn Fn(i64) -> bool + Sync))] {
            let hits = index.search(&question, top_k, allowed).unwrap();
            // To the last bit, and the same passages in the same order.
            prop_assert_eq!(&hits, &clean.search(&question, top_k, allowed).unwrap());
            prop_assert!(hits.windows(2).all(|w| w[0].1 > w[1].1 || w[0].1 == w[1].1 && w[0].0 < w[1].0));
            let all = index.search(&question, usize::MAX, allowed).unwrap();
            prop_assert_eq!(&hits[..], &all[..top_k.min(all.len())]);
            prop_assert!(all.iter().all(|(chunk, _)| kept.contains_key(chunk) && allowed.is_none_or(|a| a(*chunk))));
        }
        let all: BTreeMap<i64, f32> = index.search(&question, usize::MAX, None).unwrap().into_iter().collect();
        let chunks: Vec<i64> = (0..41).rev().chain([3, 3]).collect();
        let expected: Vec<f32> = chunks.iter().map(|chunk| all.get(chunk).copied().unwrap_or(0.0)).collect();
        prop_assert_eq!(index.scores(&question, &chunks).unwrap(), expected);
    }
}

#[test]
fn scores_are_the_formula() {
    // Texts of up to 40 terms, whose lengths the index keeps exactly.
    let texts = ["green tea", "tea tea tea cup", "water of the cup", "the the the"];
    let index = LexicalIndex::open(None, &options().with_language(Language::None)).unwrap();
    let entries: Vec<_> = (0..).zip(texts).collect();
    fill(&index, &[], &entries, 1);
    let lengths = texts.map(|text| text.split(' ').count() as f64);
    let average = lengths.iter().sum::<f64>() / 4.0;
    let tf = |i: usize, word: &str| texts[i].split(' ').filter(|w| *w == word).count() as f64;
    let score = |i: usize, word: &str| {
        let n = (0..4).filter(|&j| tf(j, word) > 0.0).count() as f64;
        let idf = (1.0 + (4.0 - n + 0.5) / (n + 0.5)).ln();
        idf * tf(i, word) * 2.2 / (tf(i, word) + 1.2 * (0.25 + 0.75 * lengths[i] / average))
    };
    let scores = index.scores("tea cup tea", &[0, 1, 2, 3, 99]).unwrap();
    for (i, found) in scores.iter().enumerate().take(4) {
        let expected = 2.0 * score(i, "tea") + score(i, "cup");
        assert!(
            (f64::from(*found) - expected).abs() < 1e-5,
            "{i}: {found} {expected}"
        );
    }
    assert_eq!(scores[4], 0.0);
}

#[test]
fn headings_are_searched_with_the_text() {
    let index = LexicalIndex::open(None, &options()).unwrap();
    let heading = LexicalEntry {
        chunk: 5,
        heading: "Running tests > By name".to_owned(),
        text: "Pass a part of it.".to_owned(),
    };
    index.update(&[], &mut [Ok(heading)].into_iter(), 1).unwrap();
    assert_eq!(found(&index, "test names"), [5]);
    assert!(
        found(&index, "\"name pass\"").len() == 1,
        "no phrase there, so plain words"
    );
}

#[test]
fn quoted_phrases_are_required_where_they_exist() {
    let index = LexicalIndex::open(None, &options()).unwrap();
    let texts = [
        (1, "use of moved value"),
        (2, "value of a moved use use use"),
        (3, "borrow of moved value"),
    ];
    fill(&index, &[], &texts, 1);
    assert_eq!(found(&index, "\"moved value\" use"), [1, 3]);
    assert_eq!(found(&index, "\"use of\" \"moved value\""), [1]);
    assert_eq!(found(&index, "\"value moved\"").len(), 3);
    assert_eq!(index.scores("\"moved value\"", &[2]).unwrap(), [0.0]);
    fill(&index, &[1], &[], 2);
    assert_eq!(
        found(&index, "\"use of\" value").len(),
        2,
        "a deleted passage requires nothing"
    );
}

#[test]
fn scripts_without_spaces_and_identifiers_are_found() {
    let index = LexicalIndex::open(None, &options()).unwrap();
    let texts = [
        (1, "緑茶は世界中で飲まれている。"),
        (2, "ภาษาไทยเป็นภาษาราชการ"),
        (3, "let text = std::fs::read_to_string(path)?;"),
        (4, "A HashMap<String, u32>"),
        (5, "한국어를 배우다"),
    ];
    fill(&index, &[], &texts, 1);
    for (question, chunk) in [
        ("緑茶", 1),
        ("茶", 1),
        ("ภาษาไทย", 2),
        ("read_to_string", 3),
        ("reading strings", 3),
        ("std::fs::read_to_string", 3),
        ("hashmap", 4),
        ("hash maps", 4),
        ("한국어", 5),
    ] {
        assert_eq!(found(&index, question).first(), Some(&chunk), "{question}");
    }
}

#[test]
fn odd_questions_are_no_errors() {
    let index = LexicalIndex::open(None, &options()).unwrap();
    let long = "tea \"green (AND +body:x^2~ \\ * [a TO b] ".repeat(40_000);
    for question in [
        "",
        " ",
        "?!",
        "\"",
        "\"\"",
        "*",
        "AND",
        "a:b^",
        "\u{0}",
        long.as_str(),
    ] {
        assert!(index.search(question, 10, None).unwrap().is_empty());
    }
    fill(&index, &[], &[(1, "tea")], 1);
    assert_eq!(found(&index, &long), [1]);
    assert_eq!(index.search("tea", 0, None).unwrap(), []);
    assert_eq!(index.scores("", &[1]).unwrap(), [0.0]);
    assert_eq!(index.scores("tea", &[]).unwrap(), Vec::<f32>::new());
}

#[test]
fn a_failed_update_leaves_nothing() {
    let index = LexicalIndex::open(None, &options()).unwrap();
    fill(&index, &[], &[(1, "tea")], 1);
    let error = || Error::Locked { path: "x".into() };
    let mut added = [Ok(entry(2, "tea")), Err(error())].into_iter();
    assert!(matches!(
        index.update(&[1], &mut added, 2),
        Err(Error::Locked { .. })
    ));
    assert_eq!((found(&index, "tea"), index.stamp()), (vec![1], 1));
    fill(&index, &[], &[(3, "tea")], 3);
    assert_eq!((found(&index, "tea"), index.stamp()), (vec![1, 3], 3));
    index.clear().unwrap();
    assert_eq!((index.len(), index.stamp()), (0, 0));
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lexical");
    {
        let index = LexicalIndex::open(Some(&path), &options()).unwrap();
        assert!(index.rebuilt_because().is_none() && !path.exists());
        fill(&index, &[], &[(1, "green tea"), (2, "water")], 41);
        fill(&index, &[2], &[], 42);
    }
    let index = LexicalIndex::open(Some(&path), &options()).unwrap();
    assert_eq!(
        (index.stamp(), index.len(), index.rebuilt_because()),
        (42, 1, None)
    );
    assert_eq!(found(&index, "tea"), [1]);
}

#[test]
fn readers_work_beside_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let early = LexicalIndex::open(Some(dir.path()), &options()).unwrap();
    let writer = LexicalIndex::open(Some(dir.path()), &options()).unwrap();
    fill(&writer, &[], &[(1, "tea")], 1);
    let reader = LexicalIndex::open(Some(dir.path()), &options()).unwrap();
    assert_eq!((found(&reader, "tea"), reader.stamp()), (vec![1], 1));
    fill(&writer, &[1], &[(2, "tea")], 2);
    assert_eq!((found(&reader, "tea"), reader.stamp()), (vec![1], 1));
    assert_eq!((reader.refresh().unwrap(), found(&reader, "tea")), (2, vec![2]));
    assert_eq!((early.refresh().unwrap(), found(&early, "tea")), (2, vec![2]));
    let refused = reader.update(&[], &mut std::iter::empty(), 3);
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    drop(writer);
    fill(&reader, &[], &[(3, "tea")], 3);
    assert_eq!(found(&reader, "tea"), [2, 3]);
}

/// Copies an index, lets `damage` at it, and opens it.
fn damaged(from: &Path, damage: impl Fn(&Path)) -> (tempfile::TempDir, LexicalIndex) {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(from).unwrap().flatten() {
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    damage(copy.path());
    let index = LexicalIndex::open(Some(copy.path()), &options()).unwrap();
    (copy, index)
}

#[test]
fn a_damaged_or_foreign_index_starts_empty_and_can_be_filled() {
    let dir = tempfile::tempdir().unwrap();
    {
        let index = LexicalIndex::open(Some(dir.path()), &options()).unwrap();
        fill(&index, &[], &[(1, "green tea"), (2, "water")], 1);
        fill(&index, &[2], &[(3, "cup")], 2);
    }
    let starts_empty = |what: &str, (folder, index): (tempfile::TempDir, LexicalIndex)| {
        assert!(index.rebuilt_because().is_some(), "{what} was not noticed");
        assert_eq!((index.stamp(), index.len()), (0, 0), "{what}");
        if what.contains("changed at") {
            return;
        }
        fill(&index, &[], &[(7, "tea")], 9);
        drop(index);
        let again = LexicalIndex::open(Some(folder.path()), &options()).unwrap();
        assert_eq!((again.stamp(), found(&again, "tea")), (9, vec![7]), "{what}");
        assert_eq!(again.rebuilt_because(), None);
    };
    for file in fs::read_dir(dir.path()).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        let length = file.metadata().unwrap().len() as usize;
        // The document store is not read, lock files hold nothing.
        if name.ends_with("lock") || name.ends_with("store") {
            continue;
        }
        let at = |folder: &Path| folder.join(&name);
        starts_empty(
            &format!("missing {name}"),
            damaged(dir.path(), |folder| fs::remove_file(at(folder)).unwrap()),
        );
        for keep in [0, length / 2, length - 2] {
            starts_empty(
                &format!("{name} cut to {keep}"),
                damaged(dir.path(), |folder| {
                    let bytes = fs::read(at(folder)).unwrap();
                    fs::write(at(folder), &bytes[..keep]).unwrap();
                }),
            );
        }
        if !name.ends_with("json") {
            for byte in (0..length).step_by(1 + length / 23) {
                starts_empty(
                    &format!("{name} changed at {byte}"),
                    damaged(dir.path(), |folder| {
                        let mut bytes = fs::read(at(folder)).unwrap();
                        bytes[byte] ^= 0x10;
                        fs::write(at(folder), bytes).unwrap();
                    }),
                );
            }
        }
    }
    starts_empty(
        "foreign payload",
        damaged(dir.path(), |folder| {
            let meta = fs::read_to_string(folder.join("meta.json")).unwrap();
            fs::write(
                folder.join("meta.json"),
                meta.replace("sequence number", "number"),
            )
            .unwrap();
        }),
    );
    let german = options().with_language(Language::German);
    let other = LexicalIndex::open(Some(dir.path()), &german).unwrap();
    assert!(other.rebuilt_because().is_some() && other.stamp() == 0);
    // Nothing was deleted by looking.
    let same = LexicalIndex::open(Some(dir.path()), &options()).unwrap();
    assert_eq!((same.rebuilt_because(), same.stamp()), (None, 2));
}

#[test]
fn foreign_files_beside_the_index_are_never_deleted() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.md"), "mine").unwrap();
    fs::write(dir.path().join("meta.json"), "{}").unwrap();
    let index = LexicalIndex::open(Some(dir.path()), &options()).unwrap();
    assert!(index.rebuilt_because().is_some());
    fill(&index, &[], &[(1, "tea")], 1);
    assert_eq!(fs::read_to_string(dir.path().join("notes.md")).unwrap(), "mine");
}

/// nDCG@10 on a collection in BEIR layout.
fn ndcg(name: &str) -> Option<f64> {
    let Some(shared) = std::env::var_os("RAGTUNE_SHARED") else {
        println!("skipped: RAGTUNE_SHARED does not name the folder with the data sets");
        return None;
    };
    let data = BeirDataset::load(&Path::new(&shared).join("data").join(name)).unwrap();
    let index = LexicalIndex::open(None, &options()).unwrap();
    let mut entries = (0..).zip(&data.documents).map(|(chunk, document)| {
        Ok(LexicalEntry {
            chunk,
            heading: document.title.clone(),
            text: document.text.clone(),
        })
    });
    index.update(&[], &mut entries, 1).unwrap();
    let run: Run = data
        .queries
        .iter()
        .map(|query| {
            let hits = index.search(&query.text, 100, None).unwrap();
            let hits = hits
                .into_iter()
                .map(|(chunk, score)| (data.documents[chunk as usize].id.clone(), score));
            (query.id.clone(), hits.collect())
        })
        .collect();
    let evaluation = evaluate(&data.qrels, &run, &[Measure::Ndcg(10)]);
    Some(evaluation.means[&Measure::Ndcg(10)])
}

#[test]
fn quality_on_vaswani() {
    if let Some(ndcg) = ndcg("vaswani") {
        assert!(ndcg >= 0.43, "{ndcg}");
    }
}

#[test]
fn quality_on_documentation() {
    if let Some(ndcg) = ndcg("docs-rag") {
        assert!(ndcg >= 0.59, "{ndcg}");
    }
}
