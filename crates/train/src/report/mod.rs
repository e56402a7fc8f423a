//! What is left to read of a run: curves as SVG and CSV, and the model card.

mod axis;
mod card;
mod chart;
mod curves;
mod file;
mod svg;

pub use card::{CardData, CardMetric, CardRun, CardSnippet, ModelCard};
pub use chart::{Chart, Mark, Series};
pub use curves::Curves;
pub(crate) use file::write;
