//! Real sets and real tokenizers, which are kept outside of the repository.

use std::collections::BTreeSet;
use std::path::Path;

use ragtune_train::data::{Dataset, Instruction, Record};
use ragtune_train::doctor::{Diagnosis, Fault, Inputs, Vocabulary, examine};

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
