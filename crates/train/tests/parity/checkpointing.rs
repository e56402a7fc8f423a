//! Layers that are computed again on the way back give the same gradients, also with dropout and several batches to a step.

use ragtune_core::adapters::Targets;
use ragtune_train::data::Record;
use ragtune_train::encode::Sequence;
use ragtune_train::objective::LanguageModelling;
use ragtune_train::optimiser::{AdamWOptions, Decay};
use ragtune_train::trainer::{Duration, TrainOptions, Trainer};
use ragtune_train::tuning::{Selection, Tuning};

use crate::language::{Text, decoder, lora, names, records};
use crate::reference::{file, trainable};

fn examples() -> Vec<Record<Sequence>> {
    records(file::<Text>("language").examples.into_iter().map(Text::sequence))
}

/// How far one step moves every weight: `g / (|g| + 1)` of the gradient `g`.
fn moved(objective: &LanguageModelling, tuning: &Tuning, checkpointing: bool, seed: u64) -> (f64, Vec<f32>) {
    let adamw = AdamWOptions {
        beta1: 0.0,
        beta2: 0.0,
        epsilon: 1.0,
        weight_decay: 0.0,
    };
    let options = TrainOptions::default()
        .with_duration(Duration::Steps(1))
        .with_batch(2)
        .with_accumulation(3)
        .with_learning_rate(1.0)
        .with_schedule(0.0, Decay::Constant)
        .with_adamw(adamw)
        .with_max_gradient_norm(0.0)
        .with_gradient_checkpointing(checkpointing)
        .with_seed(seed);
    let mut trained = trainable(objective, tuning);
    let values = |trained: &ragtune_train::tuning::Trainable| -> Vec<f32> {
        trained
            .parameters()
            .iter()
            .flat_map(|parameter| parameter.values())
            .collect()
    };
    let before = values(&trained);
    let report = Trainer::new(objective, &examples(), options)
        .run(tuning, &mut trained)
        .unwrap();
    let after = values(&trained);
    let moved = before.iter().zip(after).map(|(before, after)| before - after);
    (report.history.steps[0].loss, moved.collect())
}

#[test]
fn layers_computed_again_give_the_same_gradients() {
    let objective = LanguageModelling::new(decoder("llama"));
    let lora = || lora().with_targets(Targets::AllLinear).with_dropout(0.2);
    for tuning in [
        Tuning::Full,
        Tuning::Selective(Selection::last_layers(1)),
        Tuning::Selective(Selection::patterns(["lm_head"])),
        Tuning::Selective(Selection::default().with_norms()),
        Tuning::Lora(lora()),
        Tuning::Lora(lora().with_dora()),
        Tuning::Lora(lora().with_targets(names(&["embed_tokens", "down_proj"]))),
        Tuning::Ia3 { targets: None },
    ] {
        let (loss, kept) = moved(&objective, &tuning, false, 5);
        let (loss_again, again) = moved(&objective, &tuning, true, 5);
        let what = tuning.to_json();
        assert!(
            (loss - loss_again).abs() <= 1e-6 * loss,
            "{what}: {loss} {loss_again}"
        );
        assert!(kept.iter().any(|x| *x != 0.0), "{what}");
        for (a, b) in kept.iter().zip(&again) {
            assert!((a - b).abs() <= 1e-6, "{what}: {a} {b}");
        }
    }
}

#[test]
fn dropout_is_a_function_of_the_seed() {
    let objective = LanguageModelling::new(decoder("llama"));
    for dora in [false, true] {
        let lora = lora().with_targets(Targets::AllLinear).with_dropout(0.2);
        let tuning = Tuning::Lora(if dora { lora.with_dora() } else { lora });
        let (loss, gradients) = moved(&objective, &tuning, false, 5);
        let (same, same_gradients) = moved(&objective, &tuning, false, 5);
        assert_eq!((loss, gradients), (same, same_gradients));
        let (other, _) = moved(&objective, &tuning, false, 6);
        assert!(
            (loss - other).abs() > 1e-4 * loss,
            "nothing was dropped: {loss} {other}"
        );
    }
}
