//! BERT, and MiniLM, which is a BERT (transformers 5.23, `modeling_bert.py`).

use super::super::super::config_file::ConfigFile;
use super::super::EncoderConfig;
use super::super::config::MAX_TABLE_ROWS;
use super::{Family, HeadNames, LayerNames};
use crate::error::Result;
use crate::nn::Activation;

pub(super) const FAMILY: Family = Family {
    config,
    prefix: "bert.",
    names: NAMES,
    head: HeadNames {
        dense_in_model: true,
        dense: "pooler.dense",
        activation: Activation::Tanh,
        out_proj: "classifier",
        drops_input: false,
    },
};

/// Also RoBERTa's.
pub(super) const NAMES: LayerNames = LayerNames {
    layer: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: "intermediate.dense",
    output: "output.dense",
    attention_end: "attention.output",
    end: "output",
    output_norm: "output.LayerNorm",
};

fn config(file: &ConfigFile, model_type: &str) -> Result<EncoderConfig> {
    Ok(EncoderConfig {
        type_vocab_size: file
            .optional_size("type_vocab_size", 1..=MAX_TABLE_ROWS)?
            .unwrap_or(2),
        ..EncoderConfig::read(file, model_type)?
    })
}
