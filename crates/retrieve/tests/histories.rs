//! Random histories of a base: whatever happened to it, it answers as one that was built afresh from what it holds.

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use ragtune_core::text::Document;
use ragtune_retrieve::KnowledgeBase;
use support::*;

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<(u8, u16)>),
    Remove(Vec<u8>),
    Write(u8, u16),
    Delete(u8),
    Rename(u8, u8),
    Sync,
    Reopen,
    Ask,
    Merge,
    Rebuild,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec((0u8..8, any::<u16>()), 1..4).prop_map(Step::Add),
        2 => prop::collection::vec(0u8..8, 1..3).prop_map(Step::Remove),
        4 => (0u8..8, any::<u16>()).prop_map(|(file, text)| Step::Write(file, text)),
        2 => (0u8..8).prop_map(Step::Delete),
        1 => (0u8..8, 0u8..8).prop_map(|(from, to)| Step::Rename(from, to)),
        4 => Just(Step::Sync),
        2 => Just(Step::Reopen),
        2 => Just(Step::Ask),
        3 => Just(Step::Merge),
        1 => Just(Step::Rebuild),
    ]
}

const WORDS: [&str; 12] = [
    "tea", "coffee", "green", "black", "steeped", "roasted", "water", "leaf", "bean", "cup", "hot", "cold",
];

/// A text of some paragraphs that its seed determines; many texts share paragraphs, so that ties are common.
fn text(seed: u16) -> String {
    let paragraph = |seed: u16| {
        let words = (0..4).map(|i| WORDS[usize::from(seed >> (i * 3)) % WORDS.len()]);
        words.collect::<Vec<_>>().join(" ")
    };
    let count = seed % 4;
    (0..count)
        .map(|i| paragraph(seed.rotate_left(u32::from(i) * 5) & 0x7ff))
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn file(number: u8) -> String {
    match number % 2 {
        0 => format!("file-{number}.md"),
        _ => format!("below/file-{number}.txt"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn every_history_gives_the_base_that_it_ends_with(steps in prop::collection::vec(step(), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let (base, notes) = (folder.path().join("base"), folder.path().join("notes"));
        std::fs::create_dir(&notes).unwrap();
        let mut kb = Some(open(&base));
        // What the base must hold: id to text.
        let mut added: BTreeMap<String, String> = BTreeMap::new();
        let mut synced: BTreeMap<String, String> = BTreeMap::new();
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for step in steps {
            let open_base = kb.take().unwrap_or_else(|| open(&base));
            match step {
                Step::Add(documents) => {
                    let documents = documents.into_iter().map(|(id, seed)| (format!("added-{id}"), text(seed)));
                    let documents: Vec<_> = documents.collect();
                    open_base.add(documents.iter().map(|(id, text)| Document::new(id, text))).unwrap();
                    added.extend(documents);
                }
                Step::Remove(ids) => {
                    let ids: Vec<_> = ids.into_iter().map(|id| format!("added-{id}")).collect();
                    open_base.remove(ids.iter()).unwrap();
                    ids.iter().for_each(|id| drop(added.remove(id)));
                }
                Step::Write(number, seed) => {
                    write(&notes, &file(number), &text(seed));
                    files.insert(file(number), text(seed));
                }
                Step::Delete(number) => {
                    if files.remove(&file(number)).is_some() {
                        std::fs::remove_file(notes.join(file(number))).unwrap();
                    }
                }
                Step::Rename(from, to) => {
                    if let Some(text) = files.remove(&file(from)) {
                        std::fs::remove_file(notes.join(file(from))).unwrap();
                        write(&notes, &file(to), &text);
                        files.insert(file(to), text);
                    }
                }
                Step::Sync => {
                    open_base.sync_folder(&notes).unwrap();
                    synced = files.clone();
                }
                Step::Reopen => continue,
                Step::Ask => drop(seen(&open_base, "hot green tea", 3)),
                Step::Merge => drop(merge(&open_base)),
                Step::Rebuild => open_base.rebuild_indexes().unwrap(),
            }
            kb = Some(open_base);
        }
        let kb = kb.take().unwrap_or_else(|| open(&base));
        let wanted: BTreeMap<String, String> = added.clone().into_iter().chain(synced.clone()).collect();
        prop_assert_eq!(kb.document_ids().unwrap(), wanted.keys().cloned().collect::<Vec<_>>());
        for (id, text) in &wanted {
            prop_assert_eq!(&kb.document(id).unwrap().unwrap().text, text);
        }
        assert_whole(&kb);
        let afresh = with_parts(KnowledgeBase::in_memory().unwrap(), ragtune_core::testing::HashingEmbedder::new(64));
        afresh.add(wanted.iter().map(|(id, text)| Document::new(id, text))).unwrap();
        for question in ["hot green tea", "roasted bean", "water water cup leaf", "nothing of it"] {
            for top_k in [1, 4, 100] {
                let wanted = seen(&afresh, question, top_k);
                prop_assert_eq!(&seen(&kb, question, top_k), &wanted);
                // The graph, the delta beside it and the dead nodes in it give what a scan of all gives.
                prop_assert_eq!(&seen_by(&kb, walking(), question, top_k), &wanted);
            }
        }
    }
}
