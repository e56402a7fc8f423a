//! What a run tells those who watch it.

use std::path::Path;

use super::history::{Evaluation, Step};

/// Something that happened in a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TrainEvent<'a> {
    /// The run begins, or goes on behind some steps.
    Started {
        /// Steps that were done before.
        done: usize,
        /// Steps in all.
        steps: usize,
        /// Examples that are trained on.
        examples: usize,
    },
    /// A step is done.
    Stepped {
        /// What it was.
        step: &'a Step,
        /// Steps in all.
        steps: usize,
    },
    /// The model was evaluated.
    Evaluated {
        /// The step and the scores.
        evaluation: &'a Evaluation,
        /// Whether it is the best so far.
        best: bool,
    },
    /// The state was saved.
    Saved {
        /// Where.
        path: &'a Path,
        /// Behind which step.
        step: usize,
    },
}
