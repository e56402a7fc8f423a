//! A search that is killed with SIGKILL again and again, and goes on each time, ends with the table of one that was not.

#![allow(clippy::unwrap_used, reason = "a test that meets them fails")]

mod curve;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use curve::Curve;
use ragtune_train::batch::Random;
use ragtune_train::search::{Halving, Search, SearchSpace};
use ragtune_train::trainer::{Duration as Length, TrainOptions, Trainer, fingerprint};
use ragtune_train::tuning::{Trainable, Tuning};

/// Where the killed process finds its folder.
const FOLDER: &str = "RAGTUNE_KILLED_SEARCH";
const KILLS: usize = 15;

/// Searches in a folder and writes the table at the end, with the bits of all scores and without the seconds.
fn search(folder: &Path) {
    let curve = Curve::new(1);
    let (train, valid) = (Curve::points(40, 3), Curve::points(20, 4));
    let space: SearchSpace = "learning_rate=1e-4..3e1 batch=4,8".parse().unwrap();
    let report = Search::new(space.random(9, 5).unwrap())
        .with_halving(Halving::new(3))
        .with_data(fingerprint(&curve, &[&train, &valid]))
        .with_folder(folder.join("search"))
        .with_resume(true)
        .run(|leg| {
            let options = TrainOptions::default()
                .with_duration(Length::Steps(180))
                .with_evaluate_every(7)
                .with_save_every(3);
            let options = leg.point.options(&options)?;
            let mut trainable = Trainable::new(&curve, &Tuning::Full, &[], 7)?;
            let trainer = Trainer::new(&curve, &train, options).with_valid(&valid);
            leg.train(trainer, &Tuning::Full, &mut trainable)
        })
        .unwrap();
    let mut table = format!("best {}\n", report.best().unwrap().number);
    for trial in &report.trials {
        let rungs: Vec<_> = trial
            .rungs
            .iter()
            .map(|rung| (rung.steps, rung.score.to_bits()))
            .collect();
        let failure = trial.failure.as_ref().map(|failure| &failure.message);
        table += &format!("{} {} {rungs:?} {failure:?}\n", trial.number, trial.point);
    }
    fs::write(folder.join("table"), table).unwrap();
}

/// Only does something in the processes that are killed.
#[test]
fn process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        search(Path::new(&folder));
    }
}

#[test]
fn killed_searches_end_with_the_same_table() {
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    search(whole.path());
    let mut random = Random::new(5, 0);
    let mut kills = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process"])
            .env(FOLDER, killed.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Every process comes a part of a trial or some states further before it is killed, so that the search ends.
        let before = progress(killed.path());
        let far = 1 + random.below(4);
        let mut distance = 0;
        let mut last = before;
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break true;
            }
            let now = progress(killed.path());
            distance += usize::from(now != last);
            last = now;
            if kills < KILLS && distance >= far {
                break false;
            }
            sleep(Duration::from_micros(300));
        };
        if ended {
            break;
        }
        sleep(Duration::from_micros(random.below(4000) as u64));
        child.kill().unwrap(); // SIGKILL: nothing of the process runs any more
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 3, "the search was through behind {kills} kills");
    let table = |folder: &Path| fs::read_to_string(folder.join("table")).unwrap();
    assert_eq!(table(killed.path()), table(whole.path()));
}

/// The names of all states and the length of the search's file: another value, and something was written.
fn progress(folder: &Path) -> (Vec<String>, u64) {
    let search = folder.join("search");
    let length = fs::metadata(search.join("search.json")).map_or(0, |file| file.len());
    let mut names = Vec::new();
    for trial in fs::read_dir(&search).into_iter().flatten().flatten() {
        for state in fs::read_dir(trial.path()).into_iter().flatten().flatten() {
            names.push(state.path().display().to_string());
        }
    }
    names.sort();
    (names, length)
}
