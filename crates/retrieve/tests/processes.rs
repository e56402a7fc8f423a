//! Several processes, and processes that are killed. The test runs its own program again as the other process.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "functions of tests, which the lints do not know for such"
)]

mod support;

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ragtune_core::testing::HashingEmbedder;
use ragtune_core::text::Document;
use ragtune_retrieve::{
    Error, KnowledgeBase, MergeOptions, ReembedOptions, SearchOptions, SyncEvent, SyncOptions,
};
use support::*;

const ROLE: &str = "RAGTUNE_TEST_ROLE";
const FOLDER: &str = "RAGTUNE_TEST_FOLDER";
const SEED: &str = "RAGTUNE_TEST_SEED";
/// Least number of kills.
const KILLS: usize = 50;

/// What a process that this test started does; in an ordinary run of the tests, nothing.
#[test]
fn the_other_process() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let say = |line: &str| {
        let mut out = std::io::stdout();
        writeln!(out, "\n@{line}").unwrap();
        out.flush().unwrap();
    };
    match role.as_str() {
        "sync" => {
            let kb = open(&folder.join("base"));
            say("open");
            let options = SyncOptions::default().with_on_event(|event| {
                // Slow enough that kills fall between and inside all kinds of writes.
                if matches!(event, SyncEvent::Embedded { .. }) {
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            kb.sync_folder_with(folder.join("notes"), &options).unwrap();
            say("synced");
        }
        "reembed" => {
            let kb = open(&folder.join("base"));
            say("open");
            // Slow enough that the kills below fall inside.
            let options =
                ReembedOptions::default().with_on_event(|_| std::thread::sleep(Duration::from_millis(25)));
            kb.reembed_with(HashingEmbedder::new(32), &options).unwrap();
            say("done");
        }
        "write" => {
            let kb = open(&folder.join("base"));
            kb.add([Document::new("theirs", "written by the other process")])
                .unwrap();
            say("written");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            kb.add([Document::new("second", "written later by the other process")])
                .unwrap();
            say("written again");
            std::io::stdin().read_line(&mut line).unwrap();
        }
        "change" => {
            // Every other process merges by itself too, whenever a few dozen passages are new.
            let seed: u32 = std::env::var(SEED).unwrap().parse().unwrap();
            let merging = MergeOptions::default().with_least(40).with_share(0.2).unwrap();
            let kb = open(&folder.join("base"));
            let kb = match seed % 2 {
                0 => kb.with_search(by_walking()).with_auto_merge(merging),
                _ => kb,
            };
            say("open");
            let mut numbers = Numbers(seed);
            for step in 0.. {
                change(&kb, &folder.join("notes"), &mut numbers);
                say(&format!("step {step}"));
            }
        }
        other => panic!("unknown role {other}"),
    }
}

struct Numbers(u32);

impl Numbers {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(self.0) * u64::from(limit)) >> 32) as u32
    }
}

/// Searches, and merges by itself, with a graph at any size.
fn by_walking() -> SearchOptions {
    SearchOptions::default().with_plan(walking())
}

/// One of the verbs that change a base.
fn change(kb: &KnowledgeBase, notes: &Path, numbers: &mut Numbers) {
    let text = |number: u32| {
        format!(
            "Text {number} about topic{}.\n\nAnd of tea number {}.",
            number % 13,
            number % 5
        )
    };
    match numbers.below(6) {
        0 | 1 => {
            let documents: Vec<_> = (0..30).map(|_| (numbers.below(90), numbers.below(400))).collect();
            let documents = documents
                .iter()
                .map(|(id, number)| Document::new(format!("added-{id}"), text(*number)));
            kb.add(documents).unwrap();
        }
        2 => {
            let ids: Vec<_> = (0..20).map(|_| format!("added-{}", numbers.below(90))).collect();
            kb.remove(ids).unwrap();
        }
        3 | 4 => drop(merge(kb)),
        _ => {
            for _ in 0..8 {
                write(
                    notes,
                    &format!("{}.md", numbers.below(40)),
                    &text(numbers.below(400)),
                );
            }
            kb.sync_folder(notes).unwrap();
        }
    }
}

struct Other(Child, BufReader<std::process::ChildStdout>);

impl Other {
    fn start(role: &str, folder: &Path) -> Self {
        Self::start_with(role, folder, 0)
    }

    fn start_with(role: &str, folder: &Path, seed: u32) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["the_other_process", "--exact", "--nocapture"])
            .env(ROLE, role)
            .env(FOLDER, folder)
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self(child, out)
    }

    /// Waits until the process says so.
    fn hear(&mut self, wanted: &str) {
        let mut line = String::new();
        while self.1.read_line(&mut line).unwrap() > 0 {
            if line.trim() == format!("@{wanted}") {
                return;
            }
            line.clear();
        }
        panic!("the other process ended before it said {wanted:?}");
    }

    fn say(&mut self) {
        writeln!(self.0.stdin.as_mut().unwrap()).unwrap();
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn notes(folder: &Path, files: usize) {
    for i in 0..files {
        let paragraphs: Vec<_> = (0..8)
            .map(|p| format!("Paragraph {p} of file {i} about topic{}.", (i * p) % 97))
            .collect();
        write(
            &folder.join("notes"),
            &format!("part-{}/file-{i:04}.md", i % 10),
            &paragraphs.join("\n\n"),
        );
    }
    // One document of many batches.
    let large: Vec<_> = (0..600).map(|p| format!("Line {p} of the large file.")).collect();
    write(&folder.join("notes"), "large.md", &large.join("\n\n"));
}

#[test]
fn a_killed_sync_leaves_a_whole_base_that_the_next_one_completes() {
    let folder = tempfile::tempdir().unwrap();
    notes(folder.path(), 250);
    let base = folder.path().join("base");
    // How long an undisturbed run takes here, so that kills fall all over it.
    let started = Instant::now();
    let mut whole = Other::start("sync", folder.path());
    whole.hear("open");
    let opened = Instant::now();
    whole.hear("synced");
    let (opening, syncing) = (opened - started, opened.elapsed());
    whole.0.wait().unwrap();
    std::fs::remove_dir_all(&base).unwrap();

    let mut state = 0x2545_f491u32;
    let mut kills = 0;
    let mut largest = 0;
    while kills < KILLS {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let share = f64::from(state >> 8) / f64::from(1u32 << 24);
        let mut other = Other::start("sync", folder.path());
        if kills % 10 == 0 {
            // Some fall before or into the opening.
            std::thread::sleep(opening.mul_f64(share));
        } else {
            other.hear("open");
            std::thread::sleep(syncing.mul_f64(share));
        }
        other.kill();
        kills += 1;
        let kb = open(&base);
        assert_whole(&kb);
        let stored = kb.document_ids().unwrap().len();
        assert!(
            stored >= largest,
            "{stored} documents of {largest} after kill {kills}"
        );
        largest = stored;
        let first = seen(&kb, "topic13 of file 26", 5);
        assert_eq!(first[0].is_empty(), stored == 0);
        drop(kb);
        // A complete base has nothing left to interrupt.
        if stored == 251 || kills % 12 == 0 {
            std::fs::remove_dir_all(&base).unwrap();
            largest = 0;
        }
    }
    let kb = open(&base);
    kb.sync_folder(folder.path().join("notes")).unwrap();
    assert_whole(&kb);
    let afresh = in_memory();
    afresh.sync_folder(folder.path().join("notes")).unwrap();
    assert_eq!(kb.document_ids().unwrap(), afresh.document_ids().unwrap());
    for question in ["topic13 of file 26", "large file line 77", "paragraph 3"] {
        assert_eq!(seen(&kb, question, 50), seen(&afresh, question, 50));
    }
}

#[test]
fn killed_at_any_point_a_base_answers_as_one_that_was_built_afresh() {
    // The long form: RAGTUNE_LONG=1 cargo test --test processes killed_at_any_point
    let kills = if std::env::var_os("RAGTUNE_LONG").is_some() {
        400
    } else {
        24
    };
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let mut numbers = Numbers(0x5851_f42d);
    let mut merged = 0;
    for kill in 0..kills {
        let mut other = Other::start_with("change", folder.path(), numbers.below(u32::MAX));
        // A few steps, as long as one of them took, and a share of that again: so kills fall into all of them, however
        // fast the machine is.
        other.hear("open");
        let steps = numbers.below(5);
        let mut step = Duration::from_millis(5);
        for at in 0..steps {
            let started = Instant::now();
            other.hear(&format!("step {at}"));
            step = started.elapsed();
        }
        std::thread::sleep(step.mul_f64(f64::from(numbers.below(1000)) / 1000.0));
        other.kill();
        let kb = open(&base);
        let problems = kb.check().unwrap().problems;
        assert!(problems.is_empty(), "kill {kill}: {problems:?}");
        merged += usize::from(
            std::fs::read_dir(base.join("vectors")).is_ok_and(|mut files| files.next().is_some()),
        );
        let afresh = in_memory();
        let documents = kb
            .document_ids()
            .unwrap()
            .into_iter()
            .map(|id| kb.document(&id).unwrap().unwrap());
        afresh
            .add(documents.map(|document| Document::new(document.id, document.text)))
            .unwrap();
        for question in ["topic7 of text 133", "tea number 3"] {
            let wanted = &seen(&afresh, question, 12)[0];
            assert_eq!(&seen(&kb, question, 12)[0], wanted, "kill {kill}");
            assert_eq!(&seen_by(&kb, walking(), question, 12)[0], wanted, "kill {kill}");
        }
    }
    assert!(merged > 0);
}

#[test]
fn a_killed_change_of_embedder_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    notes(folder.path(), 60);
    open(&folder.path().join("base"))
        .sync_folder(folder.path().join("notes"))
        .unwrap();
    let before = seen(&open(&folder.path().join("base")), "topic13 of file 26", 9);
    let mut done = 0;
    for delay in [10, 40, 20, 30] {
        let mut other = Other::start("reembed", folder.path());
        other.hear("open");
        std::thread::sleep(Duration::from_millis(delay));
        other.kill();
        let kb = KnowledgeBase::open(folder.path().join("base")).unwrap();
        let stats = kb.stats().unwrap();
        if stats.dim == Some(64) {
            let kb = with_parts(kb, HashingEmbedder::new(64));
            assert_whole(&kb);
            assert_eq!(seen(&kb, "topic13 of file 26", 9), before);
            let now = stats.reembedding.map_or(0, |(_, done)| done);
            assert!(now >= done);
            done = now;
        } else {
            // A busy machine may let it end before the kill arrives; then nothing is left to interrupt.
            assert_eq!(stats.dim, Some(32));
            break;
        }
    }
    let kb = KnowledgeBase::open(folder.path().join("base")).unwrap();
    kb.reembed(HashingEmbedder::new(32)).unwrap();
    assert_eq!(kb.stats().unwrap().dim, Some(32));
    assert_whole(&kb);
}

#[test]
fn one_process_writes_and_others_read_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let reader = open(&base);
    assert!(ids(&reader, "written").is_empty());
    let mut other = Other::start("write", folder.path());
    other.hear("written");
    // The other one holds the lock, and its lexical index may lag.
    assert_eq!(ids(&reader, "written"), ["theirs"]);
    assert_eq!(seen(&reader, "written", 5)[1].len(), 1);
    for refused in [
        reader.add([Document::new("mine", "text")]).map(drop),
        reader.remove(["theirs"]).map(drop),
        reader.sync_folder(folder.path()).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(
            matches!(&error, Error::Locked { .. }) && error.to_string().contains("base"),
            "{error}"
        );
    }
    other.say();
    other.hear("written again");
    assert_eq!(ids(&reader, "later").len(), 2);
    assert_eq!(seen(&reader, "later", 5)[1].len(), 1);
    assert_whole(&reader);
    other.say();
    other.0.wait().unwrap();
    reader.add([Document::new("mine", "now it is my turn")]).unwrap();
    assert_eq!(seen(&reader, "turn", 5)[1].len(), 1);
    assert_whole(&reader);
}
