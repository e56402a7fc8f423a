//! Texts and the division into sets.

use ragtune_train::doctor::Fault;

use crate::run::Plant;

pub const PLANTS: &[Plant] = &[
    (Fault::NoExamples, |run| run.test.records.clear(), 1),
    (
        Fault::EmptyField,
        |run| run.train.records[5].value.text = " \n".into(),
        1,
    ),
    (Fault::EmptyField, |run| run.test.records[5].value.text.clear(), 1),
    (
        Fault::DamagedText,
        |run| run.train.records[9].value.text.push('\u{fffd}'),
        1,
    ),
    (
        Fault::Duplicate,
        |run| {
            for index in 0..3 {
                let mut twin = run.train.records[index].clone();
                twin.value.text = twin.value.text.replace(' ', "  ");
                twin.origin.line += 90;
                run.train.records.push(twin);
            }
        },
        3,
    ),
    (
        Fault::Conflict,
        |run| {
            let mut other = run.train.records[0].clone();
            other.value.labels = vec!["b".into()];
            run.train.records.push(other);
        },
        1,
    ),
    (
        Fault::Leakage,
        |run| run.test.records[7].value = run.train.records[7].value.clone(),
        1,
    ),
    (
        Fault::Leakage,
        |run| {
            let known = run.train.records[8].value.clone();
            run.validation().records[8].value = known;
        },
        1,
    ),
    (
        Fault::EvaluationMissing,
        |run| {
            run.validation = None;
            run.settings.selects = false;
        },
        1,
    ),
    (Fault::EvaluationTooSmall, |run| run.test.records.truncate(12), 12),
];
