//! What is left to read of a run: curves and bars as SVG, curves as CSV, and the model card.

mod axis;
mod bars;
mod card;
mod chart;
mod curves;
mod file;
mod svg;

pub use bars::{Bar, Bars};
pub use card::{CardData, CardMetric, CardRun, CardSnippet, ModelCard};
pub use chart::{Chart, Mark, Series};
pub use curves::Curves;
pub use file::write;
pub use svg::escape;
