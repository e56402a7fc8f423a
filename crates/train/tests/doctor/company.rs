//! Faults that cannot come alone, and what does not count as one.

use ragtune_train::doctor::{Fault, Learns};

use crate::plants;
use crate::run::{Run, STOP};

/// Faults that cannot come alone: what comes with them is named.
#[test]
fn faults_that_come_in_company_are_found() {
    // All stops are hidden by a mask of padding, because padding and stop are one token.
    let mut run = Run::clean();
    run.vocabulary.pad = Some(STOP);
    assert!(
        run.examine().findings.is_empty(),
        "a trained stop that is padding too is no fault"
    );
    for sequence in &mut run.sequences {
        *sequence.trained.last_mut().expect("a token") = false;
    }
    let diagnosis = run.examine();
    assert!(
        diagnosis.found(Fault::PadIsStop) && diagnosis.found(Fault::UntrainedStop),
        "{diagnosis}"
    );
    assert_eq!(diagnosis.findings.len(), 2, "{diagnosis}");

    let mut run = Run::clean();
    run.validation = None;
    let diagnosis = run.examine();
    assert!(diagnosis.found(Fault::SelectionWithoutEvaluation), "{diagnosis}");
    assert!(
        diagnosis.found(Fault::EvaluationMissing) && diagnosis.findings.len() == 2,
        "{diagnosis}"
    );

    // All at once.
    let mut run = Run::clean();
    let mut planted: Vec<Fault> = Vec::new();
    for (fault, plant, _) in [
        Fault::UntrainedStop,
        Fault::OpenTurn,
        Fault::ForeignTemplate,
        Fault::DamagedText,
        Fault::WarmupLongerThanRun,
    ]
    .map(|fault| *plants().find(|plant| plant.0 == fault).expect("a plant"))
    {
        plant(&mut run);
        planted.push(fault);
    }
    let diagnosis = run.examine();
    assert!(
        planted.iter().all(|fault| diagnosis.found(*fault)),
        "{planted:?}: {diagnosis}"
    );
}

#[test]
fn plain_texts_are_trained_whole() {
    let mut run = Run::clean();
    for sequence in &mut run.sequences {
        sequence.trained[1..].fill(true);
    }
    run.learns = Learns::Everything;
    assert!(run.examine().findings.is_empty(), "{}", run.examine());
}
