//! What the doctor is shown of a run. Everything is optional: what is not given is not judged.

use std::borrow::Cow;

use ragtune_core::chat::ChatTemplate;
use ragtune_core::weights::LoadReport;

use super::fault::Fault;
use super::markers::Marker;
use super::model::{dropped, unused_layers};
use super::subject::Subject;
use crate::data::{Dataset, Origin};
use crate::encode::{EncodeReport, Sequence};

/// What a model learns of its sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Learns {
    /// The answers of conversations.
    #[default]
    Answers,
    /// All of plain texts.
    Everything,
}

/// What of a tokenizer and its model has to fit together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vocabulary {
    /// The highest id that the tokenizer gives.
    pub last_id: u32,
    /// Rows of the model's embedding.
    pub embedding_rows: usize,
    /// The start token.
    pub start: Option<u32>,
    /// Whether the tokenizer puts the start token before every text.
    pub start_expected: bool,
    /// The tokens that end an answer.
    pub stops: Vec<u32>,
    /// The padding token.
    pub pad: Option<u32>,
    /// The token for what is unknown.
    pub unknown: Option<u32>,
    /// The positions that the model reads.
    pub context: Option<usize>,
}

/// What encoding had to leave out; an [`EncodeReport`] is turned into it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoding {
    /// The limit of tokens of an example.
    pub max_tokens: Option<usize>,
    /// Examples that were cut.
    pub truncated: usize,
    /// Targets that were cut off.
    pub lost_targets: usize,
    /// Answers that the chat template leaves open.
    pub open_turns: usize,
    /// Examples of which nothing was left to learn.
    pub without_target: usize,
    /// Questions whose answer stands in no window as a whole.
    pub in_no_window: Vec<Origin>,
}

impl From<&EncodeReport> for Encoding {
    fn from(report: &EncodeReport) -> Self {
        Self {
            max_tokens: None,
            truncated: report.truncated,
            lost_targets: report.lost_targets,
            open_turns: report.open_turns,
            without_target: report.without_target.len(),
            in_no_window: report.in_no_window.clone(),
        }
    }
}

/// The numbers of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// The method by name, as [`Tuning::name`](crate::tuning::Tuning::name).
    pub method: String,
    /// The highest learning rate.
    pub learning_rate: Option<f64>,
    /// The highest learning rate of a head that has one of its own.
    pub head_learning_rate: Option<f64>,
    /// Weights of the model.
    pub model_weights: Option<u64>,
    /// Examples that are computed at once.
    pub batch: usize,
    /// Batches of a step.
    pub accumulation: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Steps of the warm-up.
    pub warmup_steps: usize,
    /// Steps between evaluations, if not at the end of every epoch.
    pub evaluate_every: Option<usize>,
    /// Whether the best weights are kept, or the run ends when scores do not rise.
    pub selects: bool,
    /// Whether the loss takes its negatives from the batch.
    pub in_batch_negatives: bool,
}

/// Everything that is known of a run before its first step.
#[derive(Debug, Clone, Default)]
pub struct Inputs<'a> {
    pub(super) train: Option<Vec<Entry<'a>>>,
    pub(super) validation: Option<Vec<Entry<'a>>>,
    pub(super) test: Option<Vec<Entry<'a>>>,
    pub(super) own_faults: Vec<Fault>,
    pub(super) head: Option<&'a [String]>,
    pub(super) sequences: Option<(Vec<Encoded<'a>>, Learns)>,
    pub(super) tokens: Vec<(&'a [u32], usize)>,
    pub(super) encoding: Option<Encoding>,
    pub(super) vocabulary: Option<Vocabulary>,
    pub(super) markers: Option<Vec<Marker>>,
    pub(super) dropped: Option<Vec<&'static str>>,
    pub(super) unused_layers: Option<Vec<String>>,
    pub(super) settings: Option<Settings>,
}

/// A record as the doctor sees it.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub input: Cow<'a, str>,
    pub output: Cow<'a, str>,
    pub labels: Vec<&'a str>,
    pub background: Option<&'static str>,
    pub missing: Option<&'static str>,
    pub single_valued: bool,
    pub faults: Vec<Fault>,
    pub origin: &'a Origin,
}

/// A sequence and the index of its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded<'a> {
    pub sequence: &'a Sequence,
    pub source: usize,
}

impl<'a> Inputs<'a> {
    /// The training set.
    #[must_use]
    pub fn with_train<R: Subject>(mut self, set: &'a Dataset<R>) -> Self {
        self.train = Some(self.entries(set));
        self
    }

    /// The validation set.
    #[must_use]
    pub fn with_validation<R: Subject>(mut self, set: &'a Dataset<R>) -> Self {
        self.validation = Some(self.entries(set));
        self
    }

    /// The test set.
    #[must_use]
    pub fn with_test<R: Subject>(mut self, set: &'a Dataset<R>) -> Self {
        self.test = Some(self.entries(set));
        self
    }

    /// The labels that the model's head has outputs for.
    #[must_use]
    pub fn with_head(mut self, labels: &'a [String]) -> Self {
        self.head = Some(labels);
        self
    }

    /// The sequences of the training set, and for each the index of its record.
    #[must_use]
    pub fn with_sequences(mut self, sequences: &'a [Sequence], sources: &[usize], learns: Learns) -> Self {
        let encoded = sequences.iter().enumerate().map(|(index, sequence)| Encoded {
            sequence,
            source: sources.get(index).copied().unwrap_or(index),
        });
        let encoded: Vec<Encoded<'a>> = encoded.collect();
        self.tokens
            .extend(encoded.iter().map(|e| (e.sequence.ids.as_slice(), e.source)));
        self.sequences = Some((encoded, learns));
        self
    }

    /// The tokens of the training set, for tasks other than language modelling, each with the index of its record.
    #[must_use]
    pub fn with_tokens(mut self, tokens: impl IntoIterator<Item = (&'a [u32], usize)>) -> Self {
        self.tokens.extend(tokens);
        self
    }

    /// What encoding left out.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// Tokenizer and embedding.
    #[must_use]
    pub fn with_vocabulary(mut self, vocabulary: Vocabulary) -> Self {
        self.vocabulary = Some(vocabulary);
        self
    }

    /// The markers of the chat template, from [`template_markers`](super::template_markers).
    #[must_use]
    pub fn with_markers(mut self, markers: Vec<Marker>) -> Self {
        self.markers = Some(markers);
        self
    }

    /// The chat template, to see whether it writes what is said.
    #[must_use]
    pub fn with_chat(mut self, template: &ChatTemplate) -> Self {
        self.dropped = dropped(template);
        self
    }

    /// What became of the checkpoint's tensors, to see whether layers were left out.
    #[must_use]
    pub fn with_load_report(mut self, report: &LoadReport) -> Self {
        self.unused_layers = Some(unused_layers(report));
        self
    }

    /// The numbers of the run.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Where the record of a sequence comes from; a number of its own where the records were not given.
    pub(super) fn origin(&self, source: usize) -> Origin {
        let entry = self.train.as_ref().and_then(|train| train.get(source));
        entry.map_or_else(|| Origin::in_memory(source), |entry| entry.origin.clone())
    }

    fn entries<R: Subject>(&mut self, set: &'a Dataset<R>) -> Vec<Entry<'a>> {
        if let Some(record) = set.records.first() {
            self.own_faults.extend(record.value.looked_for());
        }
        let entry = |record: &'a crate::data::Record<R>| Entry {
            input: record.value.input(),
            output: record.value.output(),
            labels: record.value.labels(),
            background: record.value.background(),
            missing: record.value.missing(),
            single_valued: record.value.is_single_valued(),
            faults: record.value.own_faults(),
            origin: &record.origin,
        };
        set.records.iter().map(entry).collect()
    }
}
