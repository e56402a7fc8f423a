//! Answers by a question-answering checkpoint: the best part of all passages, with a probability that means something.
//!
//! The stages: `pool` puts the spans of all passages on one scale, `calibration` makes probabilities of odds, `risk`
//! chooses from which one on an answer is given.

mod calibration;
mod labelled;
mod options;
mod pool;
#[expect(clippy::module_inception, reason = "the file is named after its type")]
mod reader;
mod risk;

pub use calibration::{CalibrationMap, CalibrationMethod};
pub use labelled::{LabelledQuestion, Outcome};
pub use options::{Calibrating, ReaderOptions};
pub use reader::{ExtractiveReader, ReaderAnswer};
pub use risk::{ReaderCalibration, error_bound};
