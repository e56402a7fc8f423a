//! The classes of texts: that all have one, and how much an example of each counts.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;

use ragtune::train::data::{Dataset, LabelMap, Labelled};

use super::args::Args;
use super::choices::ClassWeighting;
use super::data::Sets;
use crate::Outcome;

/// Refuses examples with an empty label, which no head can have.
///
/// # Errors
/// The first of them with its file and line.
pub fn check(sets: &Sets<Labelled>) -> Outcome {
    let records = [&sets.train, &sets.valid, &sets.test]
        .into_iter()
        .flat_map(|set| &set.records);
    for record in records {
        if record.value.labels.iter().any(|label| label.trim().is_empty()) {
            return Err(format!(
                "{}: the label is empty; fill it in, or leave such examples of --data out (--clean)",
                record.origin
            )
            .into());
        }
    }
    Ok(())
}

/// The weight of each class in the order of the map, where the command line asks for weights.
///
/// Balanced ones are those of scikit-learn 1.7 (`compute_class_weight`): examples over classes times the examples of the
/// class; where texts have several labels, the examples without the label over those with it, as PyTorch's documentation of
/// `BCEWithLogitsLoss` advises for `pos_weight`.
///
/// # Errors
/// A file that cannot be read, names a label that there is not, or leaves one out.
pub fn weights(
    args: &Args,
    train: &Dataset<Labelled>,
    map: &LabelMap,
    several: bool,
) -> Result<Option<Vec<f32>>, Box<dyn Error>> {
    let names = map.names();
    let weights: Vec<f32> = match &args.class_weights {
        None => return Ok(None),
        Some(ClassWeighting::Balanced) => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for label in train.values().flat_map(|value| &value.labels) {
                *counts.entry(label).or_default() += 1;
            }
            let all = train.len() as f64;
            let weight = |name: &String| {
                let with = counts.get(name.as_str()).copied().unwrap_or(0).max(1) as f64;
                let weight = match several {
                    true => ((all - with) / with).max(1.0 / all),
                    false => all / (names.len() as f64 * with),
                };
                weight as f32
            };
            names.iter().map(weight).collect()
        }
        Some(ClassWeighting::File(file)) => {
            let shown = file.display();
            let text = fs::read(file).map_err(|error| {
                format!("--class-weights: cannot read {shown}: {error}; or write `balanced`")
            })?;
            let given: BTreeMap<String, f32> = serde_json::from_slice(&text).map_err(|error| {
                format!("--class-weights: {shown} is not {{\"LABEL\": WEIGHT, ...}}: {error}")
            })?;
            if let Some(other) = given.keys().find(|label| !names.contains(label)) {
                return Err(format!(
                    "--class-weights: {shown} has {other:?}, and the labels are {}",
                    names.join(", ")
                )
                .into());
            }
            let weight = |name: &String| {
                let missing = || format!("--class-weights: {shown} has no weight for {name:?}");
                given.get(name).copied().ok_or_else(missing)
            };
            names.iter().map(weight).collect::<Result<_, String>>()?
        }
    };
    let shown: Vec<String> = names
        .iter()
        .zip(&weights)
        .map(|(name, weight)| format!("{name} {weight:.3}"))
        .collect();
    args.say(&format!("class weights: {}", shown.join(", ")))?;
    Ok(Some(weights))
}
