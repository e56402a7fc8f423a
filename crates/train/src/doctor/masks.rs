//! Faults of what is trained and what is not.

use super::fault::Fault;
use super::finding::Diagnosis;
use super::inputs::{Inputs, Learns, Vocabulary};
use crate::data::Origin;
use crate::encode::Sequence;

/// The stop token is looked for among so many last tokens of an answer: templates write a line break behind it.
const TAIL: usize = 3;

pub(super) fn examine(inputs: &Inputs<'_>, diagnosis: &mut Diagnosis) {
    encoding(inputs, diagnosis);
    let Some((encoded, learns)) = &inputs.sequences else {
        return;
    };
    let origins = |holds: &dyn Fn(&Sequence) -> bool| -> Vec<Origin> {
        let found = encoded.iter().filter(|e| holds(e.sequence));
        found.map(|e| inputs.origin(e.source)).collect()
    };
    let all = encoded.len();
    let of = |count: usize| format!("{count} of {all} sequences");
    let mut add = |fault, origins: Vec<Origin>| {
        diagnosis.looks_for(&[fault]);
        diagnosis.add(fault, &origins, of(origins.len()));
    };

    add(Fault::EmptyMask, origins(&|s| targets(s) == 0));
    if *learns == Learns::Answers {
        add(
            Fault::FullMask,
            origins(&|s| s.ids.len() > 1 && targets(s) + 1 >= s.ids.len()),
        );
    }
    let Some(vocabulary) = &inputs.vocabulary else {
        return;
    };
    if let Some(pad) = vocabulary.pad {
        add(Fault::TrainedPadding, origins(&|s| ends_in_padding(s, pad)));
    }
    if *learns == Learns::Everything || vocabulary.stops.is_empty() {
        return;
    }
    let limit = inputs.encoding.as_ref().and_then(|encoding| encoding.max_tokens);
    let open = |s: &Sequence| targets(s) > 0 && !stops(s, vocabulary);
    let cut =
        |s: &Sequence| limit.is_some_and(|limit| s.ids.len() >= limit) && s.trained.last() == Some(&true);
    let unstopped = origins(&|s| open(s) && !cut(s));
    let pad_is_stop = vocabulary.pad.is_some_and(|pad| vocabulary.stops.contains(&pad));
    if pad_is_stop {
        let never = unstopped.len() == all;
        add(
            Fault::PadIsStop,
            if never { unstopped.clone() } else { Vec::new() },
        );
    }
    add(Fault::UntrainedStop, unstopped);
    add(Fault::TruncatedAnswer, origins(&|s| open(s) && cut(s)));
}

/// What encoding has counted.
fn encoding(inputs: &Inputs<'_>, diagnosis: &mut Diagnosis) {
    let Some(encoding) = &inputs.encoding else {
        return;
    };
    diagnosis.looks_for(&[
        Fault::TruncatedAnswer,
        Fault::OpenTurn,
        Fault::EmptyMask,
        Fault::AnswerInNoWindow,
    ]);
    if encoding.lost_targets > 0 {
        let detail = format!(
            "{} examples are cut, {} tokens to learn are lost",
            encoding.truncated, encoding.lost_targets
        );
        diagnosis.add_count(Fault::TruncatedAnswer, encoding.truncated.max(1), detail);
    }
    let detail = format!("{} answers", encoding.open_turns);
    diagnosis.add_count(Fault::OpenTurn, encoding.open_turns, detail);
    let detail = format!("{} examples were left out for it", encoding.without_target);
    diagnosis.add_count(Fault::EmptyMask, encoding.without_target, detail);
    let detail = format!("{} questions are left out for it", encoding.in_no_window.len());
    diagnosis.add(Fault::AnswerInNoWindow, &encoding.in_no_window, detail);
}

fn targets(sequence: &Sequence) -> usize {
    sequence.trained.iter().filter(|trained| **trained).count()
}

/// Is a stop token trained at the end of the last answer?
fn stops(sequence: &Sequence, vocabulary: &Vocabulary) -> bool {
    let tokens = sequence.ids.iter().zip(&sequence.trained).rev();
    tokens
        .skip_while(|(_, trained)| !**trained)
        .take_while(|(_, trained)| **trained)
        .take(TAIL)
        .any(|(id, _)| vocabulary.stops.contains(id))
}

/// Are two or more trained padding tokens at the end?
fn ends_in_padding(sequence: &Sequence, pad: u32) -> bool {
    matches!(sequence.ids.as_slice(), [.., a, b] if *a == pad && *b == pad)
        && sequence.trained.last() == Some(&true)
}
