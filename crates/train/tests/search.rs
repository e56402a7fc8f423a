//! Searches: what is tried, what goes on, what comes out, and that an end in the middle changes nothing.

#![allow(clippy::unwrap_used, reason = "a test that meets them fails")]

mod curve;

use std::collections::BTreeSet;
use std::path::Path;

use curve::Curve;
use proptest::prelude::*;
use ragtune_core::adapters::Targets;
use ragtune_train::Error;
use ragtune_train::objective::Scores;
use ragtune_train::search::{
    Candidates, Domain, Goal, Halving, Point, Reached, Search, SearchEvent, SearchReport, SearchSpace,
};
use ragtune_train::trainer::{Control, Duration, TrainOptions, Trainer, fingerprint};
use ragtune_train::tuning::{Lora, Trainable, Tuning};
use serde_json::Value;

fn points(count: usize) -> Candidates {
    let point = |index: usize| Point::new([("x", i64::try_from(index).unwrap().into())]);
    Candidates::new((0..count).map(point).collect()).unwrap()
}

/// A report without what the clock says.
fn timeless(report: &SearchReport) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("seconds");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut json = report.to_json();
    strip(&mut json);
    json
}

/// The bits of every score: JSON's digits could hide the last of them.
fn score_bits(report: &SearchReport) -> Vec<Vec<u64>> {
    let bits =
        |trial: &ragtune_train::search::Trial| trial.rungs.iter().map(|rung| rung.score.to_bits()).collect();
    report.trials.iter().map(bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every trial has a curve of scores. What halving does must be what one would do who had run all trials to the end
    /// and compared them at the rungs afterwards.
    #[test]
    fn halving_keeps_what_whole_runs_would(
        curves in prop::collection::vec(prop::collection::vec(0_u8..12, 5), 1..40),
        failing in prop::collection::vec(prop::bool::weighted(0.1), 40),
        eta in 2_usize..5,
        higher in any::<bool>(),
    ) {
        let trials = curves.len();
        let halving = Halving::new(eta);
        let shares = halving.shares(trials).unwrap();
        let scores = |trial: usize, rung: usize| f64::from(curves[trial][rung]);
        let folder = tempfile::tempdir().unwrap();
        let mut legs = 0;
        let report = Search::new(points(trials))
            .with_halving(halving)
            .with_folder(folder.path())
            .run(|leg| {
                legs += 1;
                let rung = shares.iter().position(|share| *share == leg.share).unwrap();
                let from = if rung == 0 { 0.0 } else { shares[rung - 1] };
                assert_eq!(leg.from, from);
                if failing[leg.trial - 1] && rung == 1 {
                    return Err("it broke");
                }
                let value = scores(leg.trial - 1, rung);
                let scores = if higher { Scores::higher("s", value) } else { Scores::lower("s", value) };
                Ok(Reached::scored(scores, (900.0 * leg.share) as usize))
            })
            .unwrap();
        // The oracle.
        let mut alive: Vec<usize> = (0..trials).collect();
        let mut reached = vec![0; trials];
        let mut done = 0;
        for rung in 0..shares.len() {
            done += alive.len();
            alive.retain(|&trial| !(failing[trial] && rung == 1));
            alive.iter().for_each(|&trial| reached[trial] += 1);
            let sign = if higher { -1.0 } else { 1.0 };
            alive.sort_by(|&a, &b| {
                (sign * scores(a, rung)).total_cmp(&(sign * scores(b, rung))).then(a.cmp(&b))
            });
            if rung + 1 < shares.len() {
                alive.truncate((trials / eta.pow(rung as u32 + 1)).max(1));
            }
        }
        prop_assert_eq!(legs, done);
        prop_assert_eq!(report.trials.iter().map(|trial| trial.rungs.len()).collect::<Vec<_>>(), reached.clone());
        prop_assert_eq!(report.best().map(|trial| trial.number - 1), alive.first().copied());
        // The cost is what the trials came to, nothing twice.
        let cost: f64 = reached.iter().filter(|rungs| **rungs > 0).map(|rungs| shares[rungs - 1]).sum();
        prop_assert!((report.whole_runs() - cost).abs() < 1e-9);
        if !failing.iter().take(trials).any(|failing| *failing) {
            let kept: usize = (0..shares.len()).map(|rung| halving.kept(rung, trials)).sum();
            prop_assert_eq!(legs, kept);
        }
    }

    #[test]
    fn points_by_chance_differ_and_lie_in_the_space(count in 1_usize..60, seed in any::<u64>()) {
        let space: SearchSpace = "lr=1e-5..1e-3 rank=4,8,16 batch=1..9 warmup=0.0..0.2 decay=linear,cosine".parse().unwrap();
        let candidates = space.random(count, seed).unwrap();
        let longer = space.random(count + 7, seed).unwrap();
        prop_assert_eq!(candidates.points(), &longer.points()[..count]);
        let distinct: BTreeSet<String> = candidates.points().iter().map(ToString::to_string).collect();
        prop_assert_eq!(distinct.len(), count);
        for point in candidates.points() {
            prop_assert!((1e-5..=1e-3).contains(&point.number("lr").unwrap()));
            prop_assert!((0.0..=0.2).contains(&point.number("warmup").unwrap()));
            prop_assert!((1..=9).contains(&point.integer("batch").unwrap()));
            prop_assert!([4, 8, 16].contains(&point.integer("rank").unwrap()));
            prop_assert!(["linear", "cosine"].contains(&point.text("decay").unwrap()));
        }
    }

    #[test]
    fn no_text_of_a_space_panics(text in "[a-z0-9=.,:e -]{0,40}") {
        if let Ok(space) = text.parse::<SearchSpace>() {
            let _ = (space.random(3, 1), space.grid(2));
        }
    }
}

#[test]
fn a_grid_is_the_product() {
    let space: SearchSpace = "lr=log:1e-4..1e-2 rank=4,8 batch=2..3 kind=a,b,c"
        .parse()
        .unwrap();
    let grid = space.grid(3).unwrap();
    let found: BTreeSet<String> = grid.points().iter().map(ToString::to_string).collect();
    let mut wanted = BTreeSet::new();
    for lr in ["1e-4", "1e-3", "0.01"] {
        for rank in [4, 8] {
            for batch in [2, 3] {
                for kind in ["a", "b", "c"] {
                    wanted.insert(format!("lr={lr} rank={rank} batch={batch} kind={kind}"));
                }
            }
        }
    }
    assert_eq!((grid.len(), found), (36, wanted));
    // Without ranges, all points in some order.
    let space: SearchSpace = "rank=4,8 batch=2..3".parse().unwrap();
    let sorted = |candidates: &Candidates| -> BTreeSet<String> {
        candidates.points().iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        sorted(&space.random(4, 9).unwrap()),
        sorted(&space.grid(2).unwrap())
    );
}

#[test]
fn a_logarithm_treats_orders_of_magnitude_alike() {
    let space = SearchSpace::new().with("lr", Domain::log(1e-6, 1e-2)).unwrap();
    let candidates = space.random(1000, 3).unwrap();
    let below = candidates
        .points()
        .iter()
        .filter(|point| point.number("lr").unwrap() < 1e-4)
        .count();
    // Half of them, within six standard deviations.
    assert!(below.abs_diff(500) < 95, "{below}");
}

#[test]
fn what_is_no_space_is_an_error_that_says_so() {
    let error = |text: &str| text.parse::<SearchSpace>().unwrap_err().to_string();
    for (text, part) in [
        ("", "no setting"),
        ("lr", "NAME=LOW..HIGH"),
        ("=3", "NAME=LOW..HIGH"),
        ("lr=", "NAME=LOW..HIGH"),
        ("lr=1e-3..1e-5", "lower one"),
        ("lr=1e-3..nan", "finite"),
        ("lr=1e-3..x", "NAME=LOW..HIGH"),
        ("lr=log:0..1.0", "linear:"),
        ("lr=log:3", "NAME=LOW..HIGH"),
        ("rank=8,8", "twice"),
        ("rank=8 rank=4", "twice"),
        ("rank=9..3", "lower one"),
    ] {
        assert!(error(text).contains(part), "{text}: {}", error(text));
    }
    let space: SearchSpace = "rank=4,8,16".parse().unwrap();
    assert!(space.random(4, 1).unwrap_err().to_string().contains("3 points"));
    assert!(space.random(0, 1).is_err() && space.grid(0).is_err());
    assert!(Halving::new(1).shares(9).is_err() && Halving::default().with_first(0.0).shares(9).is_err());
    let point = Point::new([("lr", 1e-3.into())]);
    let error = point.options(&TrainOptions::default()).unwrap_err().to_string();
    assert!(error.contains("learning_rate"), "{error}");
}

#[test]
fn failures_are_shown_and_never_win() {
    let report = Search::new(points(4))
        .run(|leg| match leg.trial {
            1 => Err("out of luck".to_owned()),
            2 => Ok(Reached::scored(Scores::lower("loss", f64::NAN), 5)),
            3 => Ok(Reached::scored(Scores::lower("loss", 0.5).with("f1", 0.9), 5)),
            _ => Ok(Reached::scored(Scores::lower("loss", 0.7).with("f1", 0.8), 5)),
        })
        .unwrap();
    assert_eq!(report.best().unwrap().number, 3);
    let text = report.to_string();
    assert!(text.contains("failed before the end: out of luck"), "{text}");
    assert!(text.contains("4 trials, 2 of them failed"), "{text}");
    assert_eq!(report.to_csv().unwrap().lines().count(), 5);
    assert_eq!(
        report
            .to_markdown()
            .lines()
            .filter(|line| line.starts_with('|'))
            .count(),
        6
    );
    // Another score, in the other direction, and one that there is not.
    let by = |name: &str| {
        Search::new(points(2))
            .with_score(name, Goal::Maximise)
            .run(|leg| {
                let scores = Scores::lower("loss", 0.5).with("f1", leg.trial as f64);
                Ok::<_, Error>(Reached::scored(scores, 5))
            })
    };
    assert_eq!(by("f1").unwrap().best().unwrap().number, 2);
    assert!(by("f2").unwrap_err().to_string().contains("loss, f1"));
    // Nothing but failures is a report as well.
    let report = Search::new(points(3)).run(|_| Err::<Reached, _>("no")).unwrap();
    assert!(report.best().is_none());
    assert_eq!(
        report
            .trials
            .iter()
            .filter(|trial| trial.failure.is_some())
            .count(),
        3
    );
}

/// A search that is real and small: rates and ranks of LoRA on a curve, a rate that no run can have among them.
fn search(folder: &Path, control: &Control, observer: impl FnMut(&SearchEvent<'_>)) -> SearchReport {
    let curve = Curve::new(1);
    let (train, valid) = (Curve::points(40, 3), Curve::points(20, 4));
    let space: SearchSpace = "learning_rate=1e-4..3e1 rank=1,2,3 warmup=0.0,0.1"
        .parse()
        .unwrap();
    Search::new(space.random(9, 5).unwrap())
        .with_halving(Halving::new(3))
        .with_data(fingerprint(&curve, &[&train, &valid]))
        .with_folder(folder)
        .with_resume(true)
        .with_control(control.clone())
        .with_observer(observer)
        .run(|leg| {
            let (options, tuning) = (leg.point.options(&base())?, leg.point.tuning(&lora())?);
            let mut trainable = Trainable::new(&curve, &tuning, &[], 7)?;
            let trainer = Trainer::new(&curve, &train, options).with_valid(&valid);
            leg.train(trainer, &tuning, &mut trainable)
        })
        .unwrap()
}

fn base() -> TrainOptions {
    TrainOptions::default()
        .with_duration(Duration::Steps(90))
        .with_batch(8)
        .with_group_by_length(true)
        .with_evaluate_every(7)
        .with_save_every(4)
}

fn lora() -> Tuning {
    let targets = Targets::Names(vec!["up".to_owned(), "down".to_owned()]);
    Tuning::Lora(Lora::default().with_dropout(0.1).with_targets(targets))
}

fn bits(trainable: &Trainable) -> Vec<u32> {
    let values = trainable
        .parameters()
        .iter()
        .flat_map(|parameter| parameter.values());
    values.map(f32::to_bits).collect()
}

#[test]
fn the_winner_is_what_a_run_with_its_settings_alone_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let report = search(folder.path(), &Control::new(), |_| {});
    let best = report.best().unwrap();
    assert_eq!(
        best.rungs.iter().map(|rung| rung.steps).collect::<Vec<_>>(),
        [10, 30, 90]
    );
    assert!(
        report.trials.iter().any(|trial| trial.failure.is_some()),
        "{report}"
    );
    // 1. The state that the search left is the end of the run.
    let curve = Curve::new(1);
    let (train, valid) = (Curve::points(40, 3), Curve::points(20, 4));
    let tuning = best.point.tuning(&lora()).unwrap();
    let run = |folder: Option<&Path>| {
        let mut trainable = Trainable::new(&curve, &tuning, &[], 7).unwrap();
        let mut trainer =
            Trainer::new(&curve, &train, best.point.options(&base()).unwrap()).with_valid(&valid);
        if let Some(folder) = folder {
            trainer = trainer.with_folder(folder).with_resume(true);
        }
        let report = trainer.run(&tuning, &mut trainable).unwrap();
        (report, bits(&trainable))
    };
    let left = run(Some(&folder.path().join(format!("trial-{:04}", best.number))));
    let alone = run(None);
    assert_eq!(left.1, alone.1);
    assert_eq!(left.0.scores, alone.0.scores);
    assert_eq!(
        alone.0.scores.unwrap().first().to_bits(),
        best.score().unwrap().to_bits()
    );
    // 2. Nothing is left of the others but of those that failed.
    for trial in &report.trials {
        let kept = folder.path().join(format!("trial-{:04}", trial.number)).exists();
        assert!(
            kept == (trial.number == best.number) || trial.failure.is_some(),
            "{}",
            trial.number
        );
    }
}

#[test]
fn a_search_that_is_cancelled_anywhere_goes_on_to_the_same_end() {
    let whole = tempfile::tempdir().unwrap();
    let whole = search(whole.path(), &Control::new(), |_| {});
    let folder = tempfile::tempdir().unwrap();
    let mut ends = 0;
    let report = loop {
        let control = Control::new();
        let (elsewhere, mut left) = (control.clone(), 1 + ends % 3);
        let report = search(folder.path(), &control, move |event| {
            if let SearchEvent::Advanced { .. } = event {
                left -= 1;
                if left == 0 {
                    elsewhere.cancel();
                }
            }
        });
        if !report.cancelled {
            break report;
        }
        assert!(report.to_string().contains("cancelled"), "{report}");
        assert!(!report.open.is_empty());
        ends += 1;
    };
    assert!(ends > 4, "{ends}");
    assert_eq!(timeless(&report), timeless(&whole));
    assert_eq!(score_bits(&report), score_bits(&whole));
    // One that is through is through.
    let again = search(folder.path(), &Control::new(), |event| {
        assert!(!matches!(event, SearchEvent::Advancing { .. }));
    });
    assert_eq!(again, report);
}

#[test]
fn another_search_is_refused_with_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    let run = |space: &str, seed: u64, data: &str, eta: usize, resume: bool| {
        Search::new(space.parse::<SearchSpace>().unwrap().random(3, seed).unwrap())
            .with_halving(Halving::new(eta))
            .with_data(data)
            .with_folder(folder.path())
            .with_resume(resume)
            .run(|leg| Ok::<_, Error>(Reached::scored(Scores::higher("x", leg.share), 1)))
    };
    run("lr=1e-5..1e-3", 1, "a", 3, false).unwrap();
    let refused = |outcome: Result<SearchReport, Error>, part: &str| {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(run("lr=1e-5..1e-3", 1, "a", 3, false), "go on with it");
    refused(
        run("lr=1e-5..1e-2", 1, "a", 3, true),
        r#"lr: was "log:1e-5..1e-3", is "log:1e-5..1e-2""#,
    );
    refused(run("lr=1e-5..1e-3", 2, "a", 3, true), "seed 2");
    refused(run("lr=1e-5..1e-3", 1, "b", 3, true), "data: was");
    refused(run("lr=1e-5..1e-3", 1, "a", 2, true), "eta: was 3, is 2");
    assert!(run("lr=1e-5..1e-3", 1, "a", 3, true).is_ok());
    // A damaged file is an error and no panic.
    let path = folder.path().join("search.json");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let outcome = run("lr=1e-5..1e-3", 1, "a", 3, true);
    assert!(matches!(outcome, Err(Error::State { .. })));
    // Halving goes on from states, and so needs a place for them.
    let outcome = Search::new(points(3))
        .with_halving(Halving::default())
        .run(|_| Ok::<_, Error>(Reached::Cancelled));
    assert!(outcome.unwrap_err().to_string().contains("folder"));
}
