//! The dropout of models: drawn from seed and place, the same when layers are computed again, gone where it is switched off.

use ragtune_core::adapters::AdapterStack;
use ragtune_train::objective::{LanguageModelling, Objective};
use ragtune_train::optimiser::{AdamWOptions, Decay};
use ragtune_train::trainer::{Duration, TrainOptions, Trainer};
use ragtune_train::tuning::{Adapter, Trainable, Tuning};

use crate::heads::{Classified, classification, classified};
use crate::language::{Text, decoder, lora, names, records};
use crate::reference::file;

fn options(seed: u64) -> TrainOptions {
    let adamw = AdamWOptions {
        beta1: 0.0,
        beta2: 0.0,
        epsilon: 1.0,
        weight_decay: 0.0,
    };
    TrainOptions::default()
        .with_duration(Duration::Steps(1))
        .with_batch(2)
        .with_accumulation(2)
        .with_learning_rate(1.0)
        .with_schedule(0.0, Decay::Constant)
        .with_adamw(adamw)
        .with_max_gradient_norm(0.0)
        .with_seed(seed)
}

/// The loss of one step, and how far it moves every weight.
fn moved<O: Objective>(
    objective: &O,
    tuning: &Tuning,
    examples: &[O::Example],
    options: TrainOptions,
) -> (f64, Vec<f32>) {
    let mut trained = Trainable::new(objective.base(), tuning, &objective.heads(), 1).unwrap();
    let values = |trained: &Trainable| -> Vec<f32> {
        let parameters = trained.parameters().iter();
        parameters.flat_map(|parameter| parameter.values()).collect()
    };
    let before = values(&trained);
    let report = Trainer::new(objective, examples, options)
        .run(tuning, &mut trained)
        .unwrap();
    let moved = before
        .iter()
        .zip(values(&trained))
        .map(|(before, after)| before - after);
    (report.history.steps[0].loss, moved.collect())
}

fn check<O: Objective>(name: &str, objective: &O, tuning: &Tuning, examples: &[O::Example]) {
    let run = |options| moved(objective, tuning, examples, options);
    let (loss, kept) = run(options(5));
    assert_eq!((loss, kept.clone()), run(options(5)), "{name}: the seed says all");
    let (other, _) = run(options(6));
    assert!(
        (loss - other).abs() > 1e-6 * loss,
        "{name}: {loss} with another seed too"
    );
    let (again_loss, again) = run(options(5).with_gradient_checkpointing(true));
    assert!(
        (loss - again_loss).abs() <= 1e-6 * loss,
        "{name}: {loss} {again_loss}"
    );
    for (a, b) in kept.iter().zip(&again) {
        assert!((a - b).abs() <= 1e-5, "{name}: {a} {b}");
    }
    // Off, it is the loss of the model as it predicts.
    let single = options(5)
        .with_model_dropout(false)
        .with_batch(examples.len())
        .with_accumulation(1);
    let scores = objective.evaluate(examples, &AdapterStack::base()).unwrap();
    let expected = scores.get("loss").unwrap();
    let off = run(single).0;
    assert!(
        (off - expected).abs() <= 1e-5 * expected,
        "{name}: {off}, not {expected}"
    );
}

#[test]
fn of_classifiers_of_every_family() {
    let file = file::<Classified>("classification");
    for (case, targets) in [("full", "query"), ("distilbert", "q_lin"), ("mpnet", "attn.q")] {
        let case = file.cases.iter().find(|other| other.name == case).unwrap();
        let objective = classification(case);
        let examples = classified(&file.examples, false);
        for tuning in [
            Tuning::Full,
            Tuning::Lora(lora().with_targets(names(&[targets]))),
            Tuning::Bottleneck(Adapter::default().behind_attention()),
        ] {
            check(
                &format!("{} {}", case.name, tuning.name()),
                &objective,
                &tuning,
                &examples,
            );
        }
    }
}

#[test]
fn of_decoders_that_have_some() {
    let examples = records(file::<Text>("language").examples.into_iter().map(Text::sequence));
    let objective = LanguageModelling::new(decoder("gpt2"));
    check("gpt2", &objective, &Tuning::Full, &examples);
    // A model without dropout is not changed by it.
    let objective = LanguageModelling::new(decoder("llama"));
    let run = |on| {
        moved(
            &objective,
            &Tuning::Full,
            &examples,
            options(5).with_model_dropout(on),
        )
    };
    assert_eq!(run(true), run(false));
}
