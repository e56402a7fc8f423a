//! Examples: the records of each task, read from files.
//!
//! Every reader gives a [`Dataset`] whose [`Record`]s know the file and line they come from.

mod dataset;
mod record;

pub use dataset::{Dataset, Origin, Record};
pub use record::{
    Answer, Instruction, Judged, Labelled, Pair, Passage, Preference, Question, Sample, Tagged,
};
