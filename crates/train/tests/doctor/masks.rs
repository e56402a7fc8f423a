//! What is trained of each example.

use ragtune_train::doctor::Fault;

use crate::run::{PAD, Plant};

pub const PLANTS: &[Plant] = &[
    (Fault::EmptyMask, |run| run.sequences[4].trained.fill(false), 1),
    (Fault::EmptyMask, |run| run.encoding.without_target = 3, 3),
    (
        Fault::AnswerInNoWindow,
        |run| run.encoding.in_no_window = vec![run.train.records[3].origin.clone(); 2],
        2,
    ),
    (
        Fault::FullMask,
        |run| {
            for sequence in &mut run.sequences[..7] {
                sequence.trained[1..].fill(true);
            }
        },
        7,
    ),
    (
        Fault::UntrainedStop,
        |run| {
            for sequence in &mut run.sequences[..5] {
                *sequence.trained.last_mut().expect("a token") = false;
            }
        },
        5,
    ),
    (
        Fault::UntrainedStop,
        |run| {
            // The stop token is not there at all.
            run.sequences[0].ids.pop();
            run.sequences[0].trained.pop();
        },
        1,
    ),
    (
        Fault::TrainedPadding,
        |run| {
            run.sequences[8].ids.extend([PAD; 4]);
            run.sequences[8].trained.extend([true; 4]);
            // The stop is no longer among the last tokens; that it is missing there is the same fault.
            run.vocabulary.stops.push(PAD);
            run.vocabulary.stops.dedup();
        },
        1,
    ),
    (
        Fault::TruncatedAnswer,
        |run| {
            let long = &mut run.sequences[3];
            long.ids.pop();
            long.trained.pop();
            long.ids.resize(32, 77);
            long.trained.resize(32, true);
        },
        1,
    ),
    (
        Fault::TruncatedAnswer,
        |run| (run.encoding.truncated, run.encoding.lost_targets) = (4, 120),
        4,
    ),
    (Fault::OpenTurn, |run| run.encoding.open_turns = 2, 2),
];
