//! The sets that come out.

use std::path::Path;

use ragtune_retrieve::measure::BeirDataset;
use ragtune_train::data::{Dataset, Instruction, Judged, Pair, Question};

use super::files;
use super::report::TrainingDataReport;
use crate::error::Result;

/// What there is to learn from, and what is held out to measure by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainingSets {
    /// To learn from.
    pub train: TrainingPart,
    /// The same of other documents, to validate by.
    pub held_out: TrainingPart,
    /// The held-out questions over all passages, with what they repeat taken out: measures an encoder before and after.
    pub benchmark: BeirDataset,
    /// Counts, drops with reasons, samples.
    pub report: TrainingDataReport,
}

/// The sets of one part of the documents.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TrainingPart {
    /// Question, passage, hard negatives: `finetune --task embed`.
    pub pairs: Dataset<Pair>,
    /// Question, passage, 1 or 0: `finetune --task rerank`.
    pub judged: Dataset<Judged>,
    /// The answerer's prompt and what it should say: `finetune --task sft`.
    pub conversations: Dataset<Instruction>,
    /// Questions on one passage, with the answer's place or with none: `finetune --task qa`.
    pub questions: Dataset<Question>,
}

impl TrainingSets {
    /// Writes the sets into a folder, which appears whole or not at all:
    ///
    /// | file | what |
    /// |---|---|
    /// | `pairs.train.jsonl`, `pairs.held-out.jsonl` | `query`, `positive`, `negatives` |
    /// | `judged.train.jsonl`, `judged.held-out.jsonl` | `query`, `passage`, `label` |
    /// | `chat.train.jsonl`, `chat.held-out.jsonl` | `messages` |
    /// | `questions.train.json`, `questions.held-out.json` | SQuAD 2.0 |
    /// | `held-out/` | the benchmark in BEIR layout, for `evaluate_retrieval` |
    /// | `report.json`, `report.txt` | what was made, dropped and why, with samples |
    ///
    /// A set without examples has no file.
    ///
    /// # Errors
    /// [`crate::Error::OutputExists`] for a folder that has something in it, [`crate::Error::Io`].
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        files::write(self, folder.as_ref())
    }
}
