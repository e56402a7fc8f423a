//! The dropout that a `config.json` names.

use super::config_file::ConfigFile;
use crate::error::Result;

/// How much of what a model drops while it trains, each from 0 to below 1. Nothing that a trained model computes depends on
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DropoutConfig {
    /// Components of the embeddings.
    pub embeddings: f64,
    /// Components of what attention gives, before it is added.
    pub attention_output: f64,
    /// Weights of attention.
    pub attention: f64,
    /// Components of what the feed-forward layer gives, before it is added.
    pub feed_forward: f64,
    /// Components before the output layer of a classifier of texts.
    pub sequence_head: f64,
    /// The same of a classifier of words.
    pub token_head: f64,
    /// The same of a reader of passages.
    pub span_head: f64,
}

impl ConfigFile {
    /// A probability of dropout; `default` where the field is absent.
    pub(super) fn dropout(&self, field: &str, default: f64) -> Result<f64> {
        match self.number(field, 0.0..=1.0)? {
            Some(found) if found < 1.0 => Ok(found),
            Some(_) => Err(self.wrong(field, "a probability from 0 to below 1")),
            None => Ok(default),
        }
    }
}
