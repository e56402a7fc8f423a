//! A run without fault, into which faults are planted.

use std::path::Path;
use std::sync::Arc;

use ragtune_core::chat::ChatTemplate;
use ragtune_core::weights::LoadReport;
use ragtune_train::data::{Dataset, Labelled, Origin, Record};
use ragtune_train::doctor::{
    Diagnosis, Encoding, Fault, Inputs, Learns, Settings, Vocabulary, examine, template_markers,
};
use ragtune_train::encode::Sequence;

pub const START: u32 = 1;
pub const STOP: u32 = 2;
pub const PAD: u32 = 0;
pub const UNKNOWN: u32 = 3;

/// A run without fault: a classification whose texts also have sequences, so that all groups of faults see something.
#[derive(Clone)]
pub struct Run {
    pub train: Dataset<Labelled>,
    pub validation: Option<Dataset<Labelled>>,
    pub test: Dataset<Labelled>,
    pub head: Vec<String>,
    pub sequences: Vec<Sequence>,
    pub learns: Learns,
    pub vocabulary: Vocabulary,
    pub encoding: Encoding,
    pub template: String,
    pub chat: String,
    pub loaded: LoadReport,
    pub settings: Settings,
}

impl Run {
    pub fn clean() -> Self {
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
            chat: "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}".into(),
            loaded: LoadReport {
                applied: ["embed.weight", "layers.0.mlp.weight", "layers.1.mlp.weight"]
                    .map(str::to_owned)
                    .to_vec(),
                unused: ["layers.0.rotary.inv_freq", "head.weight"]
                    .map(str::to_owned)
                    .to_vec(),
                ..LoadReport::default()
            },
            settings: Settings {
                method: "lora".into(),
                learning_rate: Some(5e-4),
                head_learning_rate: None,
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

    pub fn examine(&self) -> Diagnosis {
        let sources: Vec<usize> = (0..self.sequences.len()).collect();
        let known = |marker: &str| if marker == "<|im_end|>" { 5 } else { 1 };
        let mut inputs = Inputs::default()
            .with_train(&self.train)
            .with_test(&self.test)
            .with_head(&self.head)
            .with_sequences(&self.sequences, &sources, self.learns)
            .with_encoding(self.encoding.clone())
            .with_vocabulary(self.vocabulary.clone())
            .with_markers(template_markers(&self.template, known))
            .with_chat(&ChatTemplate::new(&self.chat).expect("a template"))
            .with_load_report(&self.loaded)
            .with_settings(self.settings.clone());
        if let Some(validation) = &self.validation {
            inputs = inputs.with_validation(validation);
        }
        examine(&inputs)
    }

    pub fn validation(&mut self) -> &mut Dataset<Labelled> {
        self.validation.as_mut().expect("a validation set")
    }
}

/// Records with lines of a file, so that findings can name them.
pub fn set<R>(file: &str, values: impl IntoIterator<Item = R>) -> Dataset<R> {
    let file: Arc<Path> = Path::new(file).into();
    let records = values.into_iter().enumerate().map(|(index, value)| Record {
        value,
        origin: Origin::new(file.clone(), index + 2),
    });
    Dataset {
        records: records.collect(),
    }
}

pub fn labelled(file: &str, range: std::ops::Range<usize>) -> Dataset<Labelled> {
    let label = |index: usize| ["a", "b", "c"][index % 3];
    set(
        file,
        range.map(|index| Labelled::new(format!("text number {index}"), label(index))),
    )
}

/// Start, a question, an answer that is trained, the trained stop.
pub fn sequence(index: u32) -> Sequence {
    let mut ids = vec![START];
    ids.extend((0..8).map(|word| 10 + (index * 7 + word) % 900));
    ids.push(STOP);
    let trained = (0..ids.len()).map(|position| position >= 5).collect();
    Sequence { ids, trained }
}

/// A fault, how it is planted, and in how many examples.
pub type Plant = (Fault, fn(&mut Run), usize);
