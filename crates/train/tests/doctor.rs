//! Faults planted in clean sets, one at a time: each is found, and nothing is found where none is.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that meets them fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ragtune_core::text::Message;
use ragtune_train::data::{
    Answer, Dataset, Instruction, Judged, Labelled, Origin, Pair, Passage, Preference, Question, Record,
    Tagged,
};
use ragtune_train::doctor::{
    Diagnosis, Encoding, Fault, Inputs, Learns, Settings, Severity, Subject, Vocabulary, examine,
    template_markers,
};
use ragtune_train::encode::Sequence;

const START: u32 = 1;
const STOP: u32 = 2;
const PAD: u32 = 0;
const UNKNOWN: u32 = 3;

/// A run without fault: a classification whose texts also have sequences, so that all groups of faults see something.
#[derive(Clone)]
struct Run {
    train: Dataset<Labelled>,
    validation: Option<Dataset<Labelled>>,
    test: Dataset<Labelled>,
    head: Vec<String>,
    sequences: Vec<Sequence>,
    learns: Learns,
    vocabulary: Vocabulary,
    encoding: Encoding,
    template: String,
    settings: Settings,
}

impl Run {
    fn clean() -> Self {
        Self {
            train: labelled("train.csv", 0..90),
            validation: Some(labelled("valid.csv", 90..150)),
            test: labelled("test.csv", 150..210),
            head: ["a", "b", "c"].map(str::to_owned).to_vec(),
            sequences: (0..90).map(sequence).collect(),
            learns: Learns::Answers,
            vocabulary: Vocabulary {
                last_id: 999,
                embedding_rows: 1024,
                start: Some(START),
                start_expected: true,
                stops: vec![STOP],
                pad: Some(PAD),
                unknown: Some(UNKNOWN),
                context: Some(64),
            },
            encoding: Encoding {
                max_tokens: Some(32),
                ..Encoding::default()
            },
            template: "<|user|>{{ q }}<|end|>".into(),
            settings: Settings {
                method: "lora".into(),
                learning_rate: Some(5e-4),
                model_weights: Some(100_000_000),
                batch: 8,
                accumulation: 2,
                steps: 100,
                warmup_steps: 10,
                evaluate_every: Some(20),
                selects: true,
                in_batch_negatives: true,
            },
        }
    }

    fn examine(&self) -> Diagnosis {
        let sources: Vec<usize> = (0..self.sequences.len()).collect();
        let known = |marker: &str| if marker == "<|im_end|>" { 5 } else { 1 };
        let mut inputs = Inputs::default()
            .with_train(&self.train)
            .with_test(&self.test)
            .with_head(&self.head)
            .with_sequences(&self.sequences, &sources, self.learns)
            .with_encoding(self.encoding)
            .with_vocabulary(self.vocabulary.clone())
            .with_markers(template_markers(&self.template, known))
            .with_settings(self.settings.clone());
        if let Some(validation) = &self.validation {
            inputs = inputs.with_validation(validation);
        }
        examine(&inputs)
    }

    fn validation(&mut self) -> &mut Dataset<Labelled> {
        self.validation.as_mut().expect("a validation set")
    }
}

/// Records with lines of a file, so that findings can name them.
fn set<R>(file: &str, values: impl IntoIterator<Item = R>) -> Dataset<R> {
    let file: Arc<Path> = Path::new(file).into();
    let records = values.into_iter().enumerate().map(|(index, value)| Record {
        value,
        origin: Origin::new(file.clone(), index + 2),
    });
    Dataset {
        records: records.collect(),
    }
}

fn labelled(file: &str, range: std::ops::Range<usize>) -> Dataset<Labelled> {
    let label = |index: usize| ["a", "b", "c"][index % 3];
    set(
        file,
        range.map(|index| Labelled::new(format!("text number {index}"), label(index))),
    )
}

/// Start, a question, an answer that is trained, the trained stop.
fn sequence(index: u32) -> Sequence {
    let mut ids = vec![START];
    ids.extend((0..8).map(|word| 10 + (index * 7 + word) % 900));
    ids.push(STOP);
    let trained = (0..ids.len()).map(|position| position >= 5).collect();
    Sequence { ids, trained }
}

#[test]
fn nothing_is_found_in_a_clean_run() {
    let diagnosis = Run::clean().examine();
    assert!(diagnosis.findings.is_empty(), "{diagnosis}");
    assert!(diagnosis.is_healthy());
    assert!(diagnosis.looked_for.len() >= 30, "{:?}", diagnosis.looked_for);
    assert!(diagnosis.to_string().ends_with("0 errors, 0 warnings, 0 notes"));
}

/// A fault, how it is planted, and in how many examples.
type Plant = (Fault, fn(&mut Run), usize);

const PLANTS: &[Plant] = &[
    (Fault::EmptyMask, |run| run.sequences[4].trained.fill(false), 1),
    (Fault::EmptyMask, |run| run.encoding.without_target = 3, 3),
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
    (
        Fault::DoubledStart,
        |run| {
            for sequence in &mut run.sequences {
                sequence.ids.insert(0, START);
                sequence.trained.insert(0, false);
            }
        },
        90,
    ),
    (
        Fault::MissingStart,
        |run| {
            run.sequences[6].ids.remove(0);
            run.sequences[6].trained.remove(0);
        },
        1,
    ),
    (
        Fault::TokenOutsideEmbedding,
        |run| run.vocabulary.last_id = 1030,
        7,
    ),
    (
        Fault::TokenOutsideEmbedding,
        |run| run.sequences[1].ids[3] = 5000,
        1,
    ),
    (
        Fault::ForeignEmbedding,
        |run| run.vocabulary.embedding_rows = 50_257,
        49_257,
    ),
    (
        Fault::UnknownTokens,
        |run| {
            for sequence in &mut run.sequences[..40] {
                sequence.ids[2] = UNKNOWN;
            }
        },
        40,
    ),
    (
        Fault::LongerThanContext,
        |run| run.vocabulary.context = Some(9),
        90,
    ),
    (
        Fault::ForeignTemplate,
        |run| run.template = "<|im_start|>{{ q }}<|im_end|>".into(),
        1,
    ),
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

#[test]
fn every_planted_fault_is_found_and_no_other() {
    for (index, (fault, plant, count)) in PLANTS.iter().enumerate() {
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
    for (fault, plant, _) in [4, 8, 18, 23, 37].map(|index| PLANTS[index]) {
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
fn every_kind_is_planted_somewhere() {
    let elsewhere = [
        Fault::PadIsStop,
        Fault::SelectionWithoutEvaluation,
        Fault::BrokenTag,
        Fault::AnswerNotInContext,
        Fault::EqualPreference,
        Fault::PositiveAmongNegatives,
        Fault::JudgementOutOfRange,
    ];
    let planted: Vec<Fault> = PLANTS.iter().map(|plant| plant.0).chain(elsewhere).collect();
    for fault in Fault::ALL {
        assert!(planted.contains(&fault), "{fault:?} is planted nowhere");
    }
}

/// Real sets, which are kept outside of the repository: what is wrong with them, as a count in Python has it, is found and
/// nothing else; without it nothing is found.
#[test]
fn real_sets() {
    use ragtune_train::data::{Sample, instructions, labelled, preferences, questions, tags};

    let Some(shared) = std::env::var_os("RAGTUNE_SHARED") else {
        println!("skipped: RAGTUNE_SHARED does not name the folder with the data sets");
        return;
    };
    let data = Path::new(&shared).join("data");
    let counts = |diagnosis: &Diagnosis| -> Vec<(Fault, usize)> {
        let findings = diagnosis.findings.iter();
        findings.map(|finding| (finding.fault, finding.count)).collect()
    };

    let read = |name: &str| labelled::read(data.join(name), &Default::default()).expect(name);
    let (mut train, test) = (read("banking77/train.csv"), read("banking77/test.csv"));
    let diagnosis = examine(&Inputs::default().with_train(&train).with_validation(&test));
    assert_eq!(
        counts(&diagnosis),
        [(Fault::Leakage, 7), (Fault::Duplicate, 4)],
        "{diagnosis}"
    );
    let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut seen: BTreeSet<String> = test.values().map(|value| spaced(&value.text)).collect();
    train
        .records
        .retain(|record| seen.insert(spaced(&record.value.text)));
    assert_eq!(train.len(), 10_003 - 4 - 7);
    let diagnosis = examine(&Inputs::default().with_train(&train).with_validation(&test));
    assert!(diagnosis.findings.is_empty(), "{diagnosis}");

    let read = |name: &str| tags::read(data.join(name), &Default::default()).expect(name);
    let (mut train, test) = (
        read("wnut17/wnut17train.conll"),
        read("wnut17/emerging.test.annotated"),
    );
    let diagnosis = examine(&Inputs::default().with_train(&train).with_validation(&test));
    assert_eq!(
        counts(&diagnosis),
        [(Fault::Duplicate, 91), (Fault::Conflict, 12)],
        "{diagnosis}"
    );
    let mut seen = BTreeSet::new();
    train
        .records
        .retain(|record| seen.insert(record.value.input().into_owned()));
    let diagnosis = examine(&Inputs::default().with_train(&train).with_validation(&test));
    assert!(diagnosis.findings.is_empty(), "{diagnosis}");

    let mut train = instructions::read(data.join("instruct/instruction-data.json")).expect("instruct");
    // Some prompts are asked twice, with other answers.
    let asked = train.records.split_off(1000);
    let diagnosis = examine(&Inputs::default().with_train(&train));
    assert_eq!(counts(&diagnosis), [(Fault::EvaluationMissing, 1)], "{diagnosis}");
    let known: BTreeSet<String> = train.values().map(|value| value.input().into_owned()).collect();
    let leaked = |record: &Record<Instruction>| known.contains(record.value.input().as_ref());
    let (leaked, fresh): (Vec<_>, Vec<_>) = asked.into_iter().partition(leaked);
    assert_eq!(leaked.len(), 5);
    let validation = Dataset { records: fresh };
    let diagnosis = examine(&Inputs::default().with_train(&train).with_validation(&validation));
    assert!(diagnosis.findings.is_empty(), "{diagnosis}");

    let mut train = preferences::read(data.join("preference/dpo_en_demo.json")).expect("preference");
    let mut seen = BTreeSet::new();
    train
        .records
        .retain(|record| seen.insert(record.value.input().into_owned()));
    let validation = Dataset {
        records: train.records.split_off(200),
    };
    let diagnosis = examine(&Inputs::default().with_train(&train).with_validation(&validation));
    assert!(diagnosis.findings.is_empty(), "{diagnosis}");

    let covid = questions::read_repairing(data.join("covid-qa/200423_covidQA.json"));
    let (mut train, _) = covid.expect("covid-qa");
    let documents: BTreeSet<Option<String>> = train.values().take(1000).map(|q| q.document.clone()).collect();
    let (train, validation): (Vec<_>, Vec<_>) = std::mem::take(&mut train.records)
        .into_iter()
        .partition(|record| documents.contains(&record.value.document));
    let [train, validation] = [train, validation].map(|records| Dataset { records });
    let diagnosis = examine(&Inputs::default().with_train(&train).with_validation(&validation));
    // Characters that were lost where the set was made.
    assert_eq!(counts(&diagnosis), [(Fault::DamagedText, 13)], "{diagnosis}");
}

/// Real tokenizers: tokens of clean texts show no fault, those of another model's tokenizer do.
#[test]
fn real_tokenizers() {
    use ragtune_core::models::TextTokenizer;
    use ragtune_core::weights::ModelFiles;
    use ragtune_train::data::labelled;

    let Some(shared) = std::env::var_os("RAGTUNE_SHARED") else {
        println!("skipped: RAGTUNE_SHARED does not name the folder with the models");
        return;
    };
    let shared = Path::new(&shared);
    let tokenizer = |folder: &str| {
        let files = ModelFiles::folder(shared.join(folder)).expect(folder);
        TextTokenizer::load(&files).expect(folder)
    };
    let minilm = tokenizer("models/all-minilm-l6-v2");
    let gpt2 = tokenizer("data/tokenizers/gpt2");
    let stories = tokenizer("models/stories260K");

    let vocabulary = Vocabulary {
        embedding_rows: 30_522,
        context: Some(512),
        ..Vocabulary::of(&minilm).expect("a vocabulary")
    };
    let fields = (
        vocabulary.start,
        vocabulary.pad,
        vocabulary.unknown,
        vocabulary.last_id,
    );
    assert_eq!(fields, (Some(101), Some(0), Some(100), 30_521));
    assert_eq!(Vocabulary::of(&gpt2).expect("a vocabulary").start, None);
    assert_eq!(Vocabulary::of(&stories).expect("a vocabulary").start, Some(1));

    let set = labelled::read(shared.join("data/banking77/test.csv"), &Default::default()).expect("a set");
    let texts: Vec<&str> = set.values().map(|value| value.text.as_str()).collect();
    let examined = |tokenizer: &TextTokenizer, vocabulary: &Vocabulary| {
        let encoded = tokenizer.encode(&texts, 1024).expect("tokens");
        let tokens = encoded
            .iter()
            .enumerate()
            .map(|(index, tokens)| (tokens.ids.as_slice(), index));
        examine(
            &Inputs::default()
                .with_vocabulary(vocabulary.clone())
                .with_tokens(tokens),
        )
    };
    let diagnosis = examined(&minilm, &vocabulary);
    assert!(diagnosis.findings.is_empty(), "{diagnosis}");
    assert!(diagnosis.looked_for.len() >= 6, "{:?}", diagnosis.looked_for);
    let diagnosis = examined(&gpt2, &vocabulary);
    assert!(
        diagnosis.found(Fault::TokenOutsideEmbedding) && diagnosis.found(Fault::MissingStart),
        "{diagnosis}"
    );
}
