//! The classes of texts: that all have one, and how much an example of each counts.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ragtune::train::data::{Labelled, Record};
use ragtune::train::encode::ClassifiedTokens;
use ragtune::train::objective::Classification;

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

/// The task with the weights of classes that the command line asks for.
///
/// # Errors
/// A file that cannot be read, names a label that there is not, or leaves one out.
pub fn weighted(
    args: &Args,
    task: Classification,
    train: &[Record<ClassifiedTokens>],
) -> Result<Classification, Box<dyn Error>> {
    let model = Arc::clone(task.model());
    let names: Vec<&str> = model.labels().iter().collect();
    let task = match &args.class_weights {
        None => return Ok(task),
        Some(ClassWeighting::Balanced) => task.with_balanced_weights(train)?,
        Some(ClassWeighting::File(file)) => task.with_class_weights(given(file, &names)?)?,
    };
    let weights = names.iter().zip(task.class_weights());
    let shown: Vec<String> = weights
        .map(|(name, weight)| format!("{name} {weight:.3}"))
        .collect();
    args.say(&format!("class weights: {}", shown.join(", ")))?;
    Ok(task)
}

/// The weights of a file, in the order of the classes.
fn given(file: &Path, names: &[&str]) -> Result<Vec<f32>, String> {
    let shown = file.display();
    let text = fs::read(file)
        .map_err(|error| format!("--class-weights: cannot read {shown}: {error}; or write `balanced`"))?;
    let given: BTreeMap<String, f32> = serde_json::from_slice(&text)
        .map_err(|error| format!("--class-weights: {shown} is not {{\"LABEL\": WEIGHT, ...}}: {error}"))?;
    if let Some(other) = given.keys().find(|label| !names.contains(&label.as_str())) {
        return Err(format!(
            "--class-weights: {shown} has {other:?}, and the labels are {}",
            names.join(", ")
        ));
    }
    let weight = |name: &&str| {
        let missing = || format!("--class-weights: {shown} has no weight for {name:?}");
        given.get(*name).copied().ok_or_else(missing)
    };
    names.iter().map(weight).collect()
}
