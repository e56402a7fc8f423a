//! Direct preference optimisation, whose reference is the model with its adapter off.

use ragtune_core::adapters::Targets;
use ragtune_train::encode::PreferenceSequences;
use ragtune_train::objective::{PreferenceLoss, PreferenceOptimisation};
use ragtune_train::tuning::{Prompt, Tuning};
use serde::Deserialize;

use crate::language::{Text, decoder, lora, records};
use crate::reference::{check, file};

#[derive(Deserialize)]
struct Pair {
    chosen: Text,
    rejected: Text,
}

#[test]
fn dpo_with_smoothing_and_ipo() {
    let file = file::<Pair>("preference");
    let examples = records(file.examples.into_iter().map(|pair| PreferenceSequences {
        chosen: pair.chosen.sequence(),
        rejected: pair.rejected.sequence(),
    }));
    for case in &file.cases {
        println!("{}", case.name);
        let number = |field: &str| case.more[field].as_f64().unwrap();
        let beta = number("beta");
        let loss = match case.name.as_str() {
            "ipo" => PreferenceLoss::Ipo { beta },
            _ => PreferenceLoss::Dpo {
                beta,
                label_smoothing: number("smoothing"),
            },
        };
        let tuning = match case.name.as_str() {
            "dpo-full" => Tuning::Full,
            "dpo-prompt" => Tuning::Prompt(Prompt::default().with_virtual_tokens(4)),
            _ => Tuning::Lora(lora().with_targets(Targets::AllLinear)),
        };
        let objective = PreferenceOptimisation::new(decoder("llama"), loss);
        check(&objective, &tuning, &examples, case);
    }
}
