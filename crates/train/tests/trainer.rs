//! The loop: it learns, it goes on exactly, it refuses what it must.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets them fails")]

mod curve;

use curve::{Curve, Point};
use ragtune_core::adapters::{AdapterBase, Targets};
use ragtune_train::Error;
use ragtune_train::objective::Objective;
use ragtune_train::optimiser::{AdamWOptions, Decay};
use ragtune_train::trainer::{
    Control, Duration, FolderLock, Outcome, TrainEvent, TrainOptions, Trainer, weights_fingerprint,
};
use ragtune_train::tuning::{Lora, Selection, Trainable, Tuning};

fn options() -> TrainOptions {
    let adamw = AdamWOptions {
        weight_decay: 0.01,
        ..AdamWOptions::default()
    };
    TrainOptions::default()
        .with_duration(Duration::Epochs(6.0))
        .with_batch(8)
        .with_learning_rate(2e-2)
        .with_schedule(0.1, Decay::Cosine)
        .with_group_by_length(true)
        .with_adamw(adamw)
}

fn lora() -> Tuning {
    let targets = Targets::Names(vec!["up".to_owned(), "down".to_owned()]);
    Tuning::Lora(
        Lora::default()
            .with_rank(2, 4.0)
            .with_dropout(0.1)
            .with_targets(targets),
    )
}

fn bits(trainable: &Trainable) -> Vec<Vec<u32>> {
    let values = trainable.parameters().iter().map(|parameter| parameter.values());
    values
        .map(|values| values.iter().map(|value| value.to_bits()).collect())
        .collect()
}

fn train(
    tuning: &Tuning,
    options: &TrainOptions,
    points: &[Point],
    valid: &[Point],
) -> (Trainable, Vec<f64>) {
    let curve = Curve::new(1);
    let mut trainable = Trainable::new(&curve, tuning, &[], 7).unwrap();
    let report = Trainer::new(&curve, points, options.clone())
        .with_valid(valid)
        .run(tuning, &mut trainable)
        .unwrap();
    let losses = report.history.steps.iter().map(|step| step.loss).collect();
    (trainable, losses)
}

#[test]
fn every_method_learns() {
    let (points, valid) = (Curve::points(200, 3), Curve::points(50, 4));
    let down = Tuning::Selective(Selection::patterns(["down"]));
    for tuning in [Tuning::Full, lora(), down] {
        let curve = Curve::new(1);
        let mut trainable = Trainable::new(&curve, &tuning, &[], 7).unwrap();
        let scores = |trainable: &Trainable| {
            let adapters = trainable.adapters(&curve).unwrap();
            let stack = ragtune_core::adapters::AdapterStack::base().with(adapters.into(), 1.0);
            curve.evaluate(&valid, &stack).unwrap().first()
        };
        let before = scores(&trainable);
        Trainer::new(&curve, &points, options())
            .run(&tuning, &mut trainable)
            .unwrap();
        let after = scores(&trainable);
        assert!(after < 0.5 * before, "{}: {before} {after}", tuning.name());
    }
}

#[test]
fn accumulation_changes_nothing() {
    let points = Curve::points(64, 3);
    for tuning in [
        Tuning::Full,
        Tuning::Lora(Lora::default().with_rank(2, 4.0).with_targets(Targets::AllLinear)),
    ] {
        let of = |batch: usize| {
            let options = options().with_batch(batch).with_accumulation(8 / batch);
            train(&tuning, &options, &points, &[])
        };
        let (whole, losses) = of(8);
        for batch in [4, 1] {
            let (parts, part_losses) = of(batch);
            for (a, b) in losses.iter().zip(&part_losses) {
                assert!((a - b).abs() < 1e-6 * a.abs().max(1.0), "{a} {b}");
            }
            for (a, b) in whole.parameters().iter().zip(parts.parameters()) {
                for (a, b) in a.values().iter().zip(b.values()) {
                    assert!((a - b).abs() < 2e-5, "{a} {b}");
                }
            }
        }
    }
}

#[test]
fn a_run_goes_on_as_if_it_had_never_ended() {
    let (points, valid) = (Curve::points(60, 3), Curve::points(20, 4));
    let options = options().with_evaluate_every(3).with_save_every(5);
    for tuning in [Tuning::Full, lora()] {
        let (whole, losses) = train(&tuning, &options, &points, &valid);
        let folder = tempfile::tempdir().unwrap();
        let mut stops = 0;
        let mut report = None;
        // Ends after 1, 2, 3, ... more steps, until it is through.
        while report.is_none() {
            stops += 1;
            let curve = Curve::new(1);
            let mut trainable = Trainable::new(&curve, &tuning, &[], 7).unwrap();
            let control = Control::new();
            let elsewhere = control.clone();
            let mut left = stops;
            let outcome = Trainer::new(&curve, &points, options.clone())
                .with_valid(&valid)
                .with_folder(folder.path())
                .with_resume(true)
                .with_control(control)
                .with_observer(move |event| {
                    if let TrainEvent::Stepped { .. } = event {
                        left -= 1;
                        if left == 0 {
                            elsewhere.cancel();
                        }
                    }
                })
                .run(&tuning, &mut trainable)
                .unwrap();
            if outcome.outcome == Outcome::Finished {
                report = Some((outcome, trainable));
            }
        }
        let (report, trainable) = report.unwrap();
        assert!(stops > 5, "{stops}");
        assert_eq!(bits(&whole), bits(&trainable), "{}", tuning.name());
        // The history went through decimal digits.
        let again = report.history.steps.iter().map(|step| step.loss);
        assert!(losses.iter().zip(again).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(losses.len(), report.steps);
    }
}

#[test]
fn another_run_is_refused_with_the_difference() {
    let points = Curve::points(20, 3);
    let folder = tempfile::tempdir().unwrap();
    let curve = Curve::new(1);
    let run = |options: TrainOptions, points: &[Point], resume: bool| {
        let mut trainable = Trainable::new(&curve, &Tuning::Full, &[], 7).unwrap();
        Trainer::new(&curve, points, options)
            .with_folder(folder.path())
            .with_resume(resume)
            .run(&Tuning::Full, &mut trainable)
    };
    run(options(), &points, false).unwrap();
    let error = run(options(), &points, false).unwrap_err().to_string();
    assert!(error.contains("go on with it"), "{error}");
    let error = run(options().with_learning_rate(1e-3), &points, true).unwrap_err();
    assert!(matches!(&error, Error::OtherRun { differences, .. } if differences.len() == 1));
    assert!(
        error.to_string().contains("learning_rate: was 0.02, is 0.001"),
        "{error}"
    );
    let error = run(options(), &points[1..], true).unwrap_err();
    assert!(matches!(error, Error::OtherRun { .. }), "{error}");
    // A run that is through is through.
    let report = run(options(), &points, true).unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Finished, 18));
}

#[test]
fn a_damaged_state_is_an_error() {
    let points = Curve::points(20, 3);
    let folder = tempfile::tempdir().unwrap();
    let curve = Curve::new(1);
    let run = || {
        let mut trainable = Trainable::new(&curve, &Tuning::Full, &[], 7).unwrap();
        Trainer::new(&curve, &points, options())
            .with_folder(folder.path())
            .with_resume(true)
            .run(&Tuning::Full, &mut trainable)
    };
    run().unwrap();
    let state = std::fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    for file in ["state.json", "state.safetensors", "state.blake3"] {
        let path = state.join(file);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(1 + whole.len() / 100) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            let error = run().unwrap_err();
            assert!(error.to_string().contains("state-"), "{file}, byte {at}: {error}");
        }
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(matches!(run(), Err(Error::State { .. } | Error::Core(_))));
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_names_the_examples() {
    let mut points = Curve::points(20, 3);
    points[13].y = f32::NAN;
    let curve = Curve::new(1);
    let folder = tempfile::tempdir().unwrap();
    let mut trainable = Trainable::new(&curve, &Tuning::Full, &[], 7).unwrap();
    let error = Trainer::new(&curve, &points, options())
        .with_folder(folder.path())
        .run(&Tuning::Full, &mut trainable)
        .unwrap_err();
    match error {
        Error::NotFinite { examples, saved, .. } => {
            assert!(examples.contains(&"example 14".to_owned()), "{examples:?}");
            assert!(saved.unwrap().join("state.json").exists());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn runs_stop_when_they_no_longer_improve_and_keep_the_best() {
    let (points, valid) = (Curve::points(30, 3), Curve::points(20, 4));
    // Far too fast: it becomes worse.
    let options = options()
        .with_learning_rate(0.8)
        .with_duration(Duration::Steps(200))
        .with_evaluate_every(1)
        .with_patience(4);
    let curve = Curve::new(1);
    let mut trainable = Trainable::new(&curve, &Tuning::Full, &[], 7).unwrap();
    let report = Trainer::new(&curve, &points, options)
        .with_valid(&valid)
        .run(&Tuning::Full, &mut trainable)
        .unwrap();
    assert_eq!(report.outcome, Outcome::Stopped);
    let (step, score) = report.best.unwrap();
    assert_eq!(step + 4, report.steps);
    let stack =
        ragtune_core::adapters::AdapterStack::base().with(trainable.adapters(&curve).unwrap().into(), 1.0);
    assert_eq!(curve.evaluate(&valid, &stack).unwrap().first(), score);
}

#[test]
fn a_run_in_parts_is_the_whole_run_and_a_stopped_one_stays_stopped() {
    let (points, valid) = (Curve::points(30, 3), Curve::points(20, 4));
    let curve = Curve::new(1);
    let run = |options: &TrainOptions, share: f64, folder: &std::path::Path| {
        let mut trainable = Trainable::new(&curve, &Tuning::Full, &[], 7).unwrap();
        let trainer = Trainer::new(&curve, &points, options.clone())
            .with_valid(&valid)
            .with_folder(folder)
            .with_resume(true)
            .with_share(share);
        (trainer.run(&Tuning::Full, &mut trainable), trainable)
    };
    let whole = options()
        .with_duration(Duration::Steps(40))
        .with_evaluate_every(7);
    let (parts, once) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (share, steps) in [(0.1, 4), (0.25, 10), (0.25, 10), (1.0 / 3.0, 14)] {
        let report = run(&whole, share, parts.path()).0.unwrap();
        assert_eq!((report.outcome, report.steps), (Outcome::Halted, steps));
        // Of every share there is a score, also between two evaluations, which does not become part of the run.
        assert!(report.scores.is_some());
        assert_eq!(report.history.evaluations.len(), steps / 7);
    }
    let (in_parts, at_once) = (run(&whole, 1.0, parts.path()), run(&whole, 1.0, once.path()));
    assert_eq!(bits(&in_parts.1), bits(&at_once.1));
    let (in_parts, at_once) = (in_parts.0.unwrap(), at_once.0.unwrap());
    assert_eq!(
        (in_parts.outcome, &in_parts.scores),
        (Outcome::Finished, &at_once.scores)
    );
    // Far too fast: it becomes worse, is stopped, and is not trained on when it is asked to go on.
    let worse = options()
        .with_learning_rate(0.8)
        .with_duration(Duration::Steps(200))
        .with_evaluate_every(1)
        .with_patience(4);
    let folder = tempfile::tempdir().unwrap();
    let stopped = run(&worse, 1.0, folder.path()).0.unwrap();
    let again = run(&worse, 1.0, folder.path()).0.unwrap();
    assert_eq!(stopped.outcome, Outcome::Stopped);
    assert_eq!((again.outcome, again.steps), (Outcome::Stopped, stopped.steps));
    for share in [0.0, 1.1, f64::NAN] {
        assert!(run(&worse, share, folder.path()).0.is_err());
    }
}

#[test]
fn what_trains_is_counted_and_mistakes_are_named() {
    let curve = Curve::new(1);
    let trainable = Trainable::new(&curve, &lora(), &[], 7).unwrap();
    assert_eq!(
        (trainable.count(), trainable.total()),
        (2 * (2 + 16) + 2 * (16 + 1), 32 + 16 + 16 + 1)
    );
    let of = |tuning: Tuning| Trainable::new(&curve, &tuning, &[], 7).unwrap_err().to_string();
    let named = |name: &str| Targets::Names(vec![name.to_owned()]);
    assert!(of(Tuning::Lora(Lora::default().with_targets(named("dwn")))).contains("down"));
    assert!(of(Tuning::Lora(Lora::default().with_rank(0, 1.0))).contains("rank"));
    let all = |rank, alpha| {
        Tuning::Lora(
            Lora::default()
                .with_rank(rank, alpha)
                .with_targets(Targets::AllLinear),
        )
    };
    assert!(Trainable::new(&curve, &all(2, 4.0), &[], 7).is_ok());
    let error = of(all(100_000, 4.0));
    assert!(
        error.contains("rank: 100000") && error.contains("has no update above rank 2"),
        "{error}"
    );
    for alpha in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        assert!(of(all(2, alpha)).starts_with("alpha: "));
    }
    assert!(of(Tuning::Lora(Lora::default())).contains("down, up"));
    assert!(of(Tuning::Selective(Selection::patterns(["*"]))).contains("all 4 weights"));
    assert!(of(Tuning::Selective(Selection::default())).contains("nothing"));
    assert!(of(Tuning::Selective(Selection::last_layers(3))).contains("2 layers"));
    assert!(of(Tuning::Head).contains("head"));
    let last = Trainable::new(&curve, &Tuning::Selective(Selection::last_layers(1)), &[], 7).unwrap();
    assert_eq!(last.count(), 17);
    assert_eq!(last.parameters()[0].slot(), "layers.1.down");
    let _ = curve.module_shapes();
}

#[test]
fn a_run_does_not_go_on_over_another_model() {
    let points = Curve::points(20, 3);
    let folder = tempfile::tempdir().unwrap();
    let run = |seed: u64, resume: bool| {
        let curve = Curve::new(seed);
        let mut trainable = Trainable::new(&curve, &lora(), &[], 7).unwrap();
        Trainer::new(&curve, &points, options())
            .with_folder(folder.path())
            .with_resume(resume)
            .run(&lora(), &mut trainable)
    };
    run(1, false).unwrap();
    let Err(Error::OtherRun { differences, .. }) = run(2, true) else {
        panic!("went on")
    };
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].starts_with("base model: was "), "{differences:?}");
    assert!(run(1, true).is_ok());
    // Names and numbers make the sum.
    assert_eq!(
        weights_fingerprint(&Curve::new(1)),
        weights_fingerprint(&Curve::new(1))
    );
    assert_ne!(
        weights_fingerprint(&Curve::new(1)),
        weights_fingerprint(&Curve::new(2))
    );
}

#[test]
fn a_folder_is_one_runs_at_a_time() {
    let (points, curve) = (Curve::points(20, 3), Curve::new(1));
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut trainable = Trainable::new(&curve, &lora(), &[], 7).unwrap();
        let trainer = Trainer::new(&curve, &points, options()).with_folder(folder.path());
        trainer
            .with_resume(true)
            .run(&lora(), &mut trainable)
            .map(|report| report.steps)
    };
    let lock = FolderLock::take(folder.path()).unwrap();
    let error = run().unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another run"));
    drop(lock);
    assert!(run().unwrap() > 0);
}

#[test]
fn no_weight_learns_at_an_absurd_rate() {
    let (points, curve) = (Curve::points(20, 3), Curve::new(1));
    let head = ["layers.1.down".to_owned()];
    let mut trainable = Trainable::new(&curve, &lora(), &head, 7).unwrap();
    trainable = trainable.with_head_rate(&head, 1e9).unwrap();
    let error = Trainer::new(&curve, &points, options())
        .run(&lora(), &mut trainable)
        .unwrap_err();
    assert!(
        error.to_string().starts_with("learning_rate: 2e7 for a part"),
        "{error}"
    );
}
