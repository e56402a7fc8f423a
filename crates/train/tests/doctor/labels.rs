//! Labels and the head.

use ragtune_train::doctor::Fault;

use crate::run::Plant;

pub const PLANTS: &[Plant] = &[
    (
        Fault::OneLabel,
        |run| {
            let sets = [
                &mut run.train,
                run.validation.as_mut().expect("a set"),
                &mut run.test,
            ];
            for record in sets.into_iter().flat_map(|set| &mut set.records) {
                record.value.labels = vec!["a".into()];
            }
            run.head.truncate(1);
        },
        90,
    ),
    (
        Fault::ImbalancedLabels,
        |run| {
            for record in &mut run.train.records {
                let label = if record.origin.line % 45 == 2 { "c" } else { "a" };
                record.value.labels = vec![label.into()];
            }
            for set in [run.validation.as_mut().expect("a set"), &mut run.test] {
                for record in &mut set.records {
                    record.value.labels = vec![if record.origin.line % 2 == 0 { "a" } else { "c" }.into()];
                }
            }
            run.head = vec!["a".into(), "c".into()];
        },
        1,
    ),
    (
        Fault::LabelUnseenInTraining,
        |run| {
            run.test.records[0].value.labels = vec!["d".into()];
            run.head.push("d".into());
        },
        1,
    ),
    (Fault::LabelUnseenInTraining, |run| run.head.push("e".into()), 1),
    (
        Fault::LabelUnseenInValidation,
        |run| {
            for record in &mut run.validation().records {
                record.value.labels = vec!["a".into()];
            }
        },
        2,
    ),
    (
        Fault::LabelOutsideHead,
        |run| {
            run.head.pop();
        },
        70,
    ),
];
