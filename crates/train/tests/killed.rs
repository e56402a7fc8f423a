//! A run that is killed with SIGKILL again and again, and goes on each time, ends with the bits of one that was not.
//!
//! The short form kills 26 times. `RAGTUNE_LONG=1 cargo test -p ragtune-train --test killed` kills 150 times. Half of them are of
//! batches in so many examples of like length, half of batches that are packed in so many tokens.

#![allow(clippy::unwrap_used, reason = "a test that meets them fails")]

mod curve;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use curve::Curve;
use ragtune_core::adapters::Targets;
use ragtune_train::batch::Random;
use ragtune_train::trainer::{Duration as Length, TrainOptions, Trainer};
use ragtune_train::tuning::{Lora, Trainable, Tuning};

/// Where the killed process finds its folder, and whether it packs.
const FOLDER: &str = "RAGTUNE_KILLED_FOLDER";
const PACKED: &str = "RAGTUNE_KILLED_PACKED";

/// Kills of each form of batches.
fn wanted() -> usize {
    if std::env::var_os("RAGTUNE_LONG").is_some() {
        75
    } else {
        13
    }
}

/// Trains in a folder and writes the bits of the weights at the end. Dropout, the order, packing and the best weights are all
/// part of what must go on.
fn train(folder: &Path, packed: bool) {
    let curve = Curve::new(1);
    let (points, valid) = (Curve::points(60, 3), Curve::points(20, 4));
    let targets = Targets::Names(vec!["up".to_owned(), "down".to_owned()]);
    let tuning = Tuning::Lora(
        Lora::default()
            .with_rank(2, 4.0)
            .with_dropout(0.2)
            .with_targets(targets),
    );
    let options = TrainOptions::default()
        // A kill takes about five steps; there are some left at the end.
        .with_duration(Length::Steps(40 * wanted()))
        .with_learning_rate(2e-2)
        .with_evaluate_every(11)
        .with_save_every(2);
    let options = match packed {
        true => options.with_batch_tokens(60),
        false => options.with_batch(8).with_group_by_length(true),
    };
    let mut trainable = Trainable::new(&curve, &tuning, &[], 7).unwrap();
    Trainer::new(&curve, &points, options)
        .with_valid(&valid)
        .with_folder(folder.join("state"))
        .with_resume(true)
        .run(&tuning, &mut trainable)
        .unwrap();
    let values = trainable
        .parameters()
        .iter()
        .flat_map(|parameter| parameter.values());
    let bits: Vec<u8> = values.flat_map(|value| value.to_bits().to_le_bytes()).collect();
    fs::write(folder.join("weights"), bits).unwrap();
}

/// Only does something in the processes that are killed.
#[test]
fn process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        train(Path::new(&folder), std::env::var_os(PACKED).is_some());
    }
}

#[test]
fn killed_runs_end_with_the_same_bits() {
    end_with_the_same_bits(false);
}

#[test]
fn killed_runs_over_packed_batches_end_with_the_same_bits() {
    end_with_the_same_bits(true);
}

fn end_with_the_same_bits(packed: bool) {
    let whole = tempfile::tempdir().unwrap();
    train(whole.path(), packed);
    let wanted = wanted();
    let killed = tempfile::tempdir().unwrap();
    let mut random = Random::new(5, 0);
    let mut kills = 0;
    loop {
        let mut child = spawn(killed.path(), packed);
        // A random number of states later, and a random moment behind the last of them.
        let steps = if kills < wanted {
            1 + random.below(3)
        } else {
            usize::MAX
        };
        if !saves(&mut child, killed.path(), steps) {
            assert!(child.wait().unwrap().success());
            break;
        }
        sleep(Duration::from_micros(random.below(4000) as u64));
        child.kill().unwrap(); // SIGKILL: nothing of the process runs any more
        child.wait().unwrap();
        kills += 1;
    }
    assert_eq!(kills, wanted);
    let bits = |folder: &Path| fs::read(folder.join("weights")).unwrap();
    assert!(
        bits(whole.path()) == bits(killed.path()),
        "other weights after {kills} kills"
    );
}

fn spawn(folder: &Path, packed: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "process"])
        .env(FOLDER, folder)
        .stdout(Stdio::null());
    if packed {
        command.env(PACKED, "1");
    }
    command.spawn().unwrap()
}

/// Waits until the process has saved so many states more; false where it ends before.
fn saves(child: &mut Child, folder: &Path, states: usize) -> bool {
    let found = || -> BTreeSet<String> {
        let entries = fs::read_dir(folder.join("state")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.ends_with(".partial")).collect()
    };
    let mut seen = found();
    let before = seen.len();
    while child.try_wait().unwrap().is_none() {
        seen.extend(found());
        if seen.len() - before >= states {
            return true;
        }
        sleep(Duration::from_micros(300));
    }
    false
}
