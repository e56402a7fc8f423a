//! The files of `fixtures/parity`, and runs that are compared with them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ragtune_core::adapters::AdapterStack;
use ragtune_core::weights::ModelFiles;
use ragtune_train::objective::{Objective, Pass};
use ragtune_train::optimiser::{AdamWOptions, Decay};
use ragtune_train::trainer::{Duration, TrainOptions, Trainer};
use ragtune_train::tuning::{Part, Trainable, Tuning};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How far numbers may lie apart, as a share of what they are compared with.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
pub struct File<E> {
    pub examples: Vec<E>,
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub rate: f64,
    pub decay: f64,
    pub batch: usize,
    pub accumulation: usize,
    pub b_rate: f64,
    pub gradients: BTreeMap<String, Gradient>,
    pub losses: Vec<f64>,
    pub norms: Vec<f64>,
    pub rates: Vec<f64>,
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// What is kept of a gradient: its length, some of its components, and its products with fixed vectors.
#[derive(Deserialize)]
pub struct Gradient {
    norm: f64,
    dots: Vec<f64>,
    at: Vec<usize>,
    values: Vec<f64>,
}

pub fn file<E: DeserializeOwned>(name: &str) -> File<E> {
    content(name)
}

/// A file of several of these.
pub fn content<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/parity/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The tiny models of the core crate.
pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/fixtures")
}

/// The files of several folders as one; of two with the same name the last is taken.
pub fn overlaid(folders: &[PathBuf]) -> ModelFiles {
    let mut files = BTreeMap::new();
    for folder in folders {
        files_under(folder, "", &mut files);
    }
    let files = files.into_iter().map(|(name, bytes)| (name, Cow::Owned(bytes)));
    ModelFiles::in_memory("overlaid", files)
}

fn files_under(folder: &Path, prefix: &str, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        match path.is_dir() {
            true => files_under(&path, &format!("{name}/"), into),
            false => {
                into.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
}

/// `count` numbers from -0.5 to below 0.5, as `spread` of the script gives them.
pub fn spread(seed: u64, count: usize) -> Vec<f64> {
    let mask = (1 << 32) - 1;
    let mixed = (0..count as u64).map(|index| {
        let x = (index * 2_654_435_761 + seed * 2_246_822_519 + 12_345) & mask;
        let x = ((x ^ (x >> 15)) * 73_244_475) & mask;
        let x = ((x ^ (x >> 13)) * 73_244_475) & mask;
        x ^ (x >> 16)
    });
    mixed.map(|x| x as f64 / (1_u64 << 32) as f64 - 0.5).collect()
}

/// What trains, with the values that the script gives to all that starts anew.
pub fn trainable<O: Objective>(objective: &O, tuning: &Tuning) -> Trainable {
    let heads = objective.heads();
    let mut trainable = Trainable::new(objective.base(), tuning, &heads, 1).unwrap();
    let anew = |part: Part, slot: &str| match part {
        Part::LoraA | Part::LoraB | Part::InputFactors | Part::OutputFactors => true,
        Part::DownWeight | Part::DownBias | Part::UpWeight | Part::UpBias | Part::Prompt => true,
        Part::Weight | Part::Bias => heads.iter().any(|head| head == slot),
        _ => false,
    };
    let names: BTreeMap<String, (Part, usize)> = trainable
        .parameters()
        .iter()
        .filter(|parameter| anew(parameter.part(), parameter.slot()))
        .map(|parameter| (parameter.name(), (parameter.part(), parameter.count())))
        .collect();
    for (seed, (name, (part, count))) in names.into_iter().enumerate() {
        let middle = match part {
            Part::InputFactors | Part::OutputFactors => 1.0,
            _ => 0.0,
        };
        #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
        let values = spread(seed as u64, count)
            .into_iter()
            .map(|x| (middle + 0.4 * x) as f32);
        trainable.set(&name, values.collect()).unwrap();
    }
    trainable
}

/// The settings of a case's run.
pub fn options(case: &Case) -> TrainOptions {
    let adamw = AdamWOptions {
        weight_decay: case.decay,
        ..AdamWOptions::default()
    };
    let mut options = TrainOptions::default()
        .with_duration(Duration::Steps(case.losses.len()))
        .with_batch(case.batch)
        .with_accumulation(case.accumulation)
        .with_learning_rate(case.rate)
        .with_schedule(0.2, Decay::Linear)
        .with_adamw(adamw);
    options.shuffle = false;
    // The reference has none: PyTorch's random numbers are its own.
    options.model_dropout = false;
    options
}

/// Compares a case with the same run here; without and with layers that are computed again on the way back.
pub fn check<O: Objective>(objective: &O, tuning: &Tuning, examples: &[O::Example], case: &Case) {
    check_gradients(objective, tuning, examples, case);
    for checkpointing in [false, true] {
        let options = options(case).with_gradient_checkpointing(checkpointing);
        let mut trainable = trainable(objective, tuning);
        let report = Trainer::new(objective, examples, options)
            .run(tuning, &mut trainable)
            .unwrap();
        let steps = &report.history.steps;
        assert_eq!(steps.len(), case.losses.len());
        for (i, step) in steps.iter().enumerate() {
            let what = format!("{}, step {}", case.name, step.number);
            assert_near(step.loss, case.losses[i], &format!("{what}: loss"));
            assert_near(
                step.gradient_norm,
                case.norms[i],
                &format!("{what}: gradient norm"),
            );
            assert_near(step.learning_rate, case.rates[i], &format!("{what}: rate"));
        }
    }
}

/// Compares the gradients of the first step.
fn check_gradients<O: Objective>(objective: &O, tuning: &Tuning, examples: &[O::Example], case: &Case) {
    let trainable = trainable(objective, tuning);
    let leaves = trainable.leaves(objective.base()).unwrap();
    let adapters = AdapterStack::base().with(leaves.set().clone(), 1.0);
    let batch: Vec<&O::Example> = examples.iter().take(case.batch * case.accumulation).collect();
    let weight: f64 = batch.iter().map(|example| objective.weight(example)).sum();
    let loss = objective.loss(&batch, &mut Pass::forward(&adapters)).unwrap() * (1.0 / weight);
    let mut gradients = loss.backward();
    let whole = case.gradients.values().map(|gradient| gradient.norm.powi(2));
    let whole = whole.sum::<f64>().sqrt();
    let mut seen = BTreeSet::new();
    for (parameter, gradient) in trainable.parameters().iter().zip(leaves.take(&mut gradients)) {
        let name = parameter.name();
        let what = format!("{}: gradient of {name}", case.name);
        let expected = case.gradients.get(&name);
        let Some(gradient) = gradient else {
            assert!(
                expected.is_none_or(|expected| expected.norm == 0.0),
                "{what}: none"
            );
            seen.insert(name);
            continue;
        };
        let found: Vec<f64> = gradient.into_data().iter::<f32>().map(f64::from).collect();
        let expected = expected.unwrap_or_else(|| panic!("{what}: one too many"));
        expected.check(&found, whole, &what);
        seen.insert(name);
    }
    let missing: Vec<&String> = case
        .gradients
        .keys()
        .filter(|name| !seen.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{}: no gradients of {missing:?}", case.name);
}

impl Gradient {
    /// `whole` is the length of all gradients together, beside which rounding is nothing.
    fn check(&self, found: &[f64], whole: f64, what: &str) {
        let rounding = 1e-7 * whole;
        let norm = found.iter().map(|x| x * x).sum::<f64>().sqrt();
        let near = |found: f64, expected: f64, scale: f64, which: &str| {
            assert!(
                (found - expected).abs() <= TOLERANCE * scale + rounding,
                "{what}: {which} is {found}, not {expected}"
            );
        };
        near(norm, self.norm, self.norm, "length");
        for (k, expected) in self.dots.iter().enumerate() {
            let fixed = spread(100 + k as u64, found.len());
            let dot: f64 = found.iter().zip(fixed).map(|(x, y)| 2.0 * x * y).sum();
            near(dot, *expected, self.norm, "product");
        }
        let usual = self.norm / (found.len() as f64).sqrt();
        for (at, expected) in self.at.iter().zip(&self.values) {
            near(found[*at], *expected, expected.abs().max(usual), "component");
        }
    }
}

fn assert_near(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= TOLERANCE * expected.abs(),
        "{what} is {found}, not {expected}"
    );
}
