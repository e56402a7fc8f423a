//! From documents to training data: questions that passages answer, negatives, prompts with and without the answer.
//!
//! The stages: `corpus` reads the base, `headings`, `definitions`, `cloze` and `generated` make questions,
//! `select` drops copies and leaks and divides by document, `round_trip` asks every question back, `negatives` finds
//! passages that are near and no answer, `conversations` shows gold and distractors in the prompt's own form,
//! `benchmark` holds questions out, `files` writes it all.

mod benchmark;
mod cloze;
mod conversations;
mod corpus;
mod definitions;
mod files;
mod generated;
mod headings;
mod make;
mod negatives;
mod options;
mod question;
mod report;
mod round_trip;
mod select;
mod sets;

pub use options::{TrainingData, TrainingDataEvent};
pub use question::QuestionKind;
pub use report::{Counts, DropCause, Dropped, MiningCounts, Sample, TrainingDataReport};
pub use sets::{TrainingPart, TrainingSets};
