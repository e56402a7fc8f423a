//! Multiple negatives ranking of a sentence encoder, and vectors cut short.

use std::sync::Arc;

use ragtune_core::device;
use ragtune_core::models::Encoder;
use ragtune_train::encode::TextTuple;
use ragtune_train::objective::EmbeddingRanking;
use ragtune_train::tuning::Tuning;
use serde::Deserialize;

use crate::language::{lora, names, records};
use crate::reference::{check, file, models, overlaid};

#[derive(Deserialize)]
struct Texts {
    anchor: Vec<u32>,
    positive: Vec<u32>,
    negatives: Vec<Vec<u32>>,
}

#[test]
fn ranking_with_negatives_and_short_vectors() {
    let file = file::<Texts>("embedding");
    let folder = models().join("encoders");
    let files = overlaid(&[folder.join("models/bert"), folder.join("sentence/normalize")]);
    let encoder = Arc::new(Encoder::from_files(&files, &device::cpu()).unwrap());
    for case in &file.cases {
        println!("{}", case.name);
        let with_negatives = case.more["negatives"].as_bool().unwrap();
        let examples = records(file.examples.iter().map(|texts| TextTuple {
            anchor: texts.anchor.clone(),
            positive: texts.positive.clone(),
            negatives: match with_negatives {
                true => texts.negatives.clone(),
                false => Vec::new(),
            },
        }));
        let dims: Vec<usize> = serde_json::from_value(case.more["dims"].clone()).unwrap();
        let objective = EmbeddingRanking::new(Arc::clone(&encoder))
            .with_dims(dims)
            .unwrap();
        let tuning = match case.name.as_str() {
            "mnr-lora" | "matryoshka" => Tuning::Lora(lora().with_targets(names(&["query", "value"]))),
            _ => Tuning::Full,
        };
        check(&objective, &tuning, &examples, case);
    }
}
