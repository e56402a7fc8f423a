//! What happened in a run, step by step.

use serde::{Deserialize, Deserializer, Serialize};

use crate::objective::Scores;

/// Steps and evaluations in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The steps.
    pub steps: Vec<Step>,
    /// The evaluations.
    pub evaluations: Vec<Evaluation>,
}

/// One step of the optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its number, from 1.
    pub number: usize,
    /// The epoch, and how far it went.
    pub epoch: f64,
    /// The mean loss before the step.
    pub loss: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// The length of all gradients together before they were clipped.
    #[serde(deserialize_with = "read")]
    pub gradient_norm: f64,
    /// Tokens that were computed.
    pub tokens: usize,
}

/// Scores behind a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The step, from 1; 0 is before the first.
    pub step: usize,
    /// The scores.
    pub scores: Scores,
}

/// JSON writes what is no finite number as null.
fn read<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}
