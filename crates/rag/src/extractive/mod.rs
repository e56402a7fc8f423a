//! Answers without a language model: the sentences of the sources that answer the question, quoted exactly.
//!
//! The stages: [`candidates`] divides the passages into sentences and keeps the likely ones, [`evidence`] says how
//! strongly each answers the question, [`selection`] chooses and joins what is quoted.

mod answerer;
mod candidates;
mod evidence;
mod options;
mod selection;

pub use answerer::{Evidence, ExtractiveAnswerer, SentenceEvidence};
pub use options::ExtractiveOptions;

#[cfg(feature = "train")]
pub(crate) use evidence::{cosine, strangers};
