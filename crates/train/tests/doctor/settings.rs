//! The numbers of the run.

use ragtune_train::doctor::Fault;

use crate::run::Plant;

pub const PLANTS: &[Plant] = &[
    (
        Fault::LearningRateTooHigh,
        |run| run.settings.learning_rate = Some(0.1),
        1,
    ),
    (
        Fault::LearningRateTooHigh,
        |run| (run.settings.method, run.settings.learning_rate) = ("full".into(), Some(5e-3)),
        1,
    ),
    (
        Fault::AbsurdLearningRate,
        |run| (run.settings.method, run.settings.learning_rate) = ("full".into(), Some(10.0)),
        1,
    ),
    (
        Fault::AbsurdLearningRate,
        |run| run.settings.learning_rate = Some(f64::NAN),
        1,
    ),
    (
        Fault::AbsurdLearningRate,
        |run| run.settings.head_learning_rate = Some(1e9),
        1,
    ),
    (
        Fault::LearningRateTooLow,
        |run| run.settings.learning_rate = Some(1e-7),
        1,
    ),
    (
        Fault::LearningRateTooLow,
        |run| (run.settings.method, run.settings.learning_rate) = ("ia3".into(), Some(2e-5)),
        1,
    ),
    (
        Fault::BatchLargerThanData,
        |run| run.settings.accumulation = 50,
        1,
    ),
    (
        Fault::WarmupLongerThanRun,
        |run| run.settings.warmup_steps = 100,
        1,
    ),
    (
        Fault::EvaluationNeverRuns,
        |run| run.settings.evaluate_every = Some(101),
        1,
    ),
    (Fault::NoNegatives, |run| run.settings.batch = 1, 1),
];
