//! Examples: the records of each task, read from files, cleaned, divided.
//!
//! Every reader gives a [`Dataset`] whose [`Record`]s know the file and line they come from: [`labelled`] texts,
//! [`tags`], [`questions`], [`instructions`], [`preferences`], [`pairs`], [`judged`] passages, [`passages`] of plain
//! text, collections in the layout of [`beir`], and with [`from_json`] forms of your own. Each has a `read` for files and
//! a `parse` for text in memory.

mod augment;
pub mod beir;
mod clean;
mod dataset;
mod delimited;
mod fields;
pub mod instructions;
mod json;
pub mod judged;
mod label_map;
pub mod labelled;
mod own;
pub mod pairs;
pub mod passages;
pub mod preferences;
pub mod questions;
mod record;
mod source;
mod split;
mod table;
pub mod tags;
mod turns;

pub use augment::{Augmentation, Reworded, Synonyms};
pub use clean::{Cleaning, CleaningReport, CleaningRule, Conflicts, Removed};
pub use dataset::{Dataset, Origin, Record};
pub use fields::{fields, parse_fields};
pub use judged::JudgedColumns;
pub use label_map::LabelMap;
pub use own::from_json;
pub use pairs::PairColumns;
pub use passages::TextFiles;
pub use questions::OffsetRepairs;
pub use record::{
    Answer, Instruction, Judged, Labelled, Pair, Passage, Preference, Question, Sample, Tagged,
};
pub use source::{Format, Source};
pub use split::Folds;
pub use table::Dialect;
