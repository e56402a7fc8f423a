//! How good a model's predictions are, by the measures of the field and equal to their reference implementations.
//!
//! Each measure is a struct with named fields that prints as a table and is written as JSON:
//! [`Classification`] and [`MultiLabel`] as scikit-learn, [`EntityScores`] as seqeval, [`SquadScores`] as the official
//! SQuAD scripts, [`BleuScore`] as sacreBLEU, [`RougeScores`] as rouge-score, [`Perplexity`], and [`Bootstrap`] for how
//! sure a mean or a difference is.

pub mod bleu;
mod characters;
mod classification;
mod confusion;
mod entities;
mod multi_label;
mod perplexity;
mod porter;
pub mod rouge;
mod scheme;
mod score_table;
mod scores;
pub mod squad;

pub use bleu::{Bleu, BleuScore};
pub use classification::Classification;
pub use confusion::ConfusionMatrix;
pub use entities::{Entity, EntityScores, conll_entities};
pub use multi_label::MultiLabel;
pub use perplexity::Perplexity;
pub use porter::porter_stem;
pub use rouge::{Rouge, RougeScores};
pub use scheme::{Scheme, strict_entities};
pub use score_table::{ClassScores, ScoreTable};
pub use scores::{Counts, F1Scores};
pub use squad::{Squad, SquadScores};

pub use ragtune_core::statistics::{Bootstrap, Difference, Interval};
