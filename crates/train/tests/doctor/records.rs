//! Records of every task that show a fault of their own.

use ragtune_core::text::Message;
use ragtune_train::data::{
    Answer, Dataset, Instruction, Judged, Pair, Passage, Preference, Question, Tagged,
};
use ragtune_train::doctor::{Fault, Inputs, Subject, examine};

use crate::run::set;

/// Examines two sets of records, one clean and one with a record that shows a fault of its own.
fn records<R: Subject + Clone>(clean: impl Fn(usize) -> R, faulty: R, fault: Fault) {
    let train = set("train.jsonl", (0..60).map(&clean));
    let validation = set("valid.jsonl", (60..120).map(&clean));
    let inputs = |train: &Dataset<R>, validation: &Dataset<R>| {
        examine(&Inputs::default().with_train(train).with_validation(validation))
    };
    let diagnosis = inputs(&train, &validation);
    assert!(diagnosis.findings.is_empty(), "{diagnosis}");
    assert!(diagnosis.looked_for.contains(&fault), "{fault:?}");
    let mut planted = train.clone();
    planted.records[3].value = faulty;
    let diagnosis = inputs(&planted, &validation);
    assert_eq!(diagnosis.findings.len(), 1, "{diagnosis}");
    let finding = diagnosis.get(fault).expect("the finding");
    assert_eq!(finding.examples[0].to_string(), "train.jsonl, line 5");
}

#[test]
fn records_of_every_task_show_their_own_faults() {
    let words = |index: usize| vec![format!("word{index}"), "in".into(), "Berlin".into()];
    let tags = |tags: [&str; 3]| tags.map(str::to_owned).to_vec();
    records(
        |index| Tagged {
            words: words(index),
            tags: tags(["O", "B-LOC", "I-LOC"]),
        },
        Tagged {
            words: words(1000),
            tags: tags(["B-LOC", "O", "I-LOC"]),
        },
        Fault::BrokenTag,
    );
    let question = |index: usize, start: usize| Question {
        id: index.to_string(),
        question: format!("What is the number {index}?"),
        context: "It is the größte number.".into(),
        answers: vec![Answer {
            text: "größte".into(),
            start,
        }],
        document: None,
    };
    records(
        |index| question(index, 10),
        question(1000, 11),
        Fault::AnswerNotInContext,
    );
    records(
        |index| question(index, 10),
        question(1000, usize::MAX),
        Fault::AnswerNotInContext,
    );
    let preference = |index: usize, rejected: &str| Preference {
        messages: vec![Message::user(format!("Question {index}"))],
        chosen: "good".into(),
        rejected: rejected.into(),
    };
    records(
        |index| preference(index, "bad"),
        preference(1000, "good "),
        Fault::EqualPreference,
    );
    let pair = |index: usize, negative: &str| Pair {
        negatives: vec![negative.into()],
        ..Pair::new(format!("question {index}"), "passage")
    };
    records(
        |index| pair(index, "other"),
        pair(1000, "passage"),
        Fault::PositiveAmongNegatives,
    );
    let judged = |index: usize, label: f32| Judged {
        query: format!("query {index}"),
        passage: "passage".into(),
        label,
    };
    records(
        |index| judged(index, 1.0),
        judged(1000, f32::NAN),
        Fault::JudgementOutOfRange,
    );
    records(
        |index| Instruction::new(format!("prompt {index}"), "answer"),
        Instruction::new(" ", "answer"),
        Fault::EmptyField,
    );
    records(
        |index| Passage {
            text: format!("passage {index}"),
        },
        Passage {
            text: "passage 1".into(),
        },
        Fault::Duplicate,
    );
}

#[test]
fn tags_of_no_entity_are_named() {
    let tagged = |index: usize, tag: &str| Tagged {
        words: vec![format!("word{index}"), "Berlin".into()],
        tags: vec!["O".into(), tag.into()],
    };
    let found = |odd: &str| {
        let mut train = set("train.conll", (0..60).map(|index| tagged(index, "B-LOC")));
        train.records[3].value.tags[1] = odd.into();
        examine(&Inputs::default().with_train(&train))
            .get(Fault::OddTag)
            .cloned()
    };
    for odd in ["X-LOC", "LOC", "B-", "b-LOC"] {
        let finding = found(odd).expect(odd);
        assert_eq!((finding.count, finding.detail.as_str()), (1, odd));
        assert_eq!(finding.examples[0].to_string(), "train.conll, line 5");
    }
    assert!(found("B-PER").is_none() && found("S-LOC").is_none() && found("O").is_none());
    // Tags that are no entities at all, such as parts of speech, are not judged.
    let words = set(
        "train.conll",
        (0..60).map(|index| tagged(index, if index % 2 == 0 { "NOUN" } else { "VERB" })),
    );
    assert!(!examine(&Inputs::default().with_train(&words)).found(Fault::OddTag));
}
