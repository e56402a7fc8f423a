//! Faults planted in clean sets, one at a time: each is found, and nothing is found where none is.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that meets them fails")]

mod company;
mod labels;
mod masks;
mod real;
mod records;
mod run;
mod settings;
mod texts;
mod tokens;

use ragtune_train::doctor::{Fault, Inputs, Severity, examine};

use run::{Plant, Run};

/// Every kind that can come alone.
fn plants() -> impl Iterator<Item = &'static Plant> {
    let groups = [
        masks::PLANTS,
        tokens::PLANTS,
        texts::PLANTS,
        labels::PLANTS,
        settings::PLANTS,
    ];
    groups.into_iter().flatten()
}

#[test]
fn nothing_is_found_in_a_clean_run() {
    let diagnosis = Run::clean().examine();
    assert!(diagnosis.findings.is_empty(), "{diagnosis}");
    assert!(diagnosis.is_healthy());
    assert!(diagnosis.looked_for.len() >= 30, "{:?}", diagnosis.looked_for);
    assert!(diagnosis.to_string().ends_with("0 errors, 0 warnings, 0 notes"));
}

#[test]
fn every_planted_fault_is_found_and_no_other() {
    for (index, (fault, plant, count)) in plants().enumerate() {
        let mut run = Run::clean();
        plant(&mut run);
        let diagnosis = run.examine();
        let found: Vec<Fault> = diagnosis.findings.iter().map(|finding| finding.fault).collect();
        assert_eq!(found, [*fault], "plant {index}: {diagnosis}");
        let finding = diagnosis.get(*fault).expect("the finding");
        assert_eq!(finding.count, *count, "plant {index}: {diagnosis}");
        assert!(diagnosis.looked_for.contains(fault), "{fault:?} is not listed");
        assert_eq!(diagnosis.is_healthy(), finding.severity == Severity::Note);
    }
}

#[test]
fn the_rest_of_a_record_that_was_cut_needs_no_start_token() {
    let run = Run::clean();
    let mut rest = run.sequences[6].clone();
    rest.ids.remove(0);
    rest.trained.remove(0);
    let sequences = [run.sequences[6].clone(), rest];
    let found = |sources: [usize; 2]| {
        let inputs = Inputs::default()
            .with_sequences(&sequences, &sources, run.learns)
            .with_vocabulary(run.vocabulary.clone());
        examine(&inputs).found(Fault::MissingStart)
    };
    assert!(!found([6, 6]));
    assert!(found([6, 7]), "a record of its own");
}

#[test]
fn findings_name_file_line_and_remedy() {
    let mut run = Run::clean();
    run.sequences[4].trained.fill(false);
    run.test.records[7].value = run.train.records[7].value.clone();
    let diagnosis = run.examine();
    let text = diagnosis.to_string();
    assert!(text.contains("train.csv, line 6"), "{text}");
    assert!(text.contains("test.csv, line 9"), "{text}");
    assert!(
        text.contains("the first is in the training set too, train.csv, line 9"),
        "{text}"
    );
    for finding in &diagnosis.findings {
        assert!(text.contains(finding.remedy), "{text}");
    }
    assert_eq!(diagnosis.errors().count(), 2);
    let json = serde_json::to_value(&diagnosis).expect("JSON");
    assert_eq!(json["findings"][0]["fault"], "empty-mask");
    assert_eq!(json["findings"][0]["examples"][0], "train.csv, line 6");
}

#[test]
fn every_kind_is_planted_somewhere() {
    let elsewhere = [
        Fault::PadIsStop,
        Fault::SelectionWithoutEvaluation,
        Fault::BrokenTag,
        Fault::OddTag,
        Fault::AnswerNotInContext,
        Fault::EqualPreference,
        Fault::PositiveAmongNegatives,
        Fault::JudgementOutOfRange,
    ];
    let planted: Vec<Fault> = plants().map(|plant| plant.0).chain(elsewhere).collect();
    for fault in Fault::ALL {
        assert!(planted.contains(&fault), "{fault:?} is planted nowhere");
    }
}
