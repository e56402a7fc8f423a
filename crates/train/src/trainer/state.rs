//! Everything that a run is behind a step: what is saved, and what going on needs.

use burn::tensor::Tensor;

use super::history::History;
use crate::optimiser::AdamW;
use crate::tuning::{Parameter, Trainable};

/// A run behind a step.
pub(super) struct State {
    pub(super) optimiser: AdamW,
    /// The epoch, and the steps of it that are done.
    pub(super) epoch: u64,
    pub(super) index: usize,
    pub(super) history: History,
    pub(super) best: Option<Best>,
    /// Evaluations since the best.
    pub(super) stale: usize,
}

/// The weights of the best evaluation.
#[derive(Clone)]
pub(super) struct Best {
    pub(super) step: usize,
    pub(super) score: f64,
    pub(super) values: Vec<Tensor<1>>,
}

impl State {
    pub(super) fn new(optimiser: AdamW) -> Self {
        Self {
            optimiser,
            epoch: 0,
            index: 0,
            history: History::default(),
            best: None,
            stale: 0,
        }
    }

    /// Steps that are done.
    pub(super) fn done(&self) -> usize {
        self.optimiser.steps
    }

    /// Keeps the weights as the best so far.
    pub(super) fn keep(&mut self, score: f64, trainable: &Trainable) {
        // A copy: the weights themselves are changed in place by the next step.
        let copy = |parameter: &Parameter| parameter.values.clone().into_data();
        let device = |parameter: &Parameter| parameter.values.device();
        let values = trainable.parameters().iter();
        self.best = Some(Best {
            step: self.done(),
            score,
            values: values
                .map(|parameter| Tensor::from_data(copy(parameter), &device(parameter)))
                .collect(),
        });
        self.stale = 0;
    }
}
