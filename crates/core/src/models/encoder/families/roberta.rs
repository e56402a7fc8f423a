//! RoBERTa, XLM-R and CamemBERT (transformers 5.23, `modeling_roberta.py`; the other two differ by nothing but their
//! vocabularies): a BERT whose positions count from behind the padding id.

use super::super::super::config_file::ConfigFile;
use super::super::EncoderConfig;
use super::super::config::MAX_TABLE_ROWS;
use super::{Family, HeadNames, bert};
use crate::error::Result;
use crate::nn::Activation;

pub(super) const FAMILY: Family = Family {
    config,
    prefix: "roberta.",
    names: bert::NAMES,
    head: HeadNames {
        dense_in_model: false,
        dense: "classifier.dense",
        activation: Activation::Tanh,
        out_proj: "classifier.out_proj",
        drops_input: true,
    },
};

fn config(file: &ConfigFile, model_type: &str) -> Result<EncoderConfig> {
    EncoderConfig {
        type_vocab_size: file
            .optional_size("type_vocab_size", 1..=MAX_TABLE_ROWS)?
            .unwrap_or(2),
        ..EncoderConfig::read(file, model_type)?
    }
    .with_padding_idx(file, 1)
}
