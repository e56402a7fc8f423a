//! Retrieval, tuning, or both: systems measured on the same questions, side by side.
//!
//! [`Measured`] is what one system did with every question, and what it cost. [`Comparison`] sets several beside each
//! other: a row each with intervals, paired differences, and a [`Recommendation`] that follows from the rows by rules.
//! [`NearestExamples`] and [`FewShot`] answer by retrieval where tuning would train a classifier.

mod comparison;
mod few_shot;
mod measured;
mod nearest;
mod normal;
mod quality;
mod recommendation;
mod report;

pub use comparison::{Comparison, Pair, Row};
pub use few_shot::FewShot;
pub use measured::{Approach, Asked, Latency, Measured};
pub use nearest::{NearestExamples, Vote};
pub use quality::Quality;
pub use recommendation::{Recommendation, Undecided};
