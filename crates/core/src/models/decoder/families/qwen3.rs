//! Qwen 3 (transformers 5.23, `modeling_qwen3.py`): a Qwen 2 without its biases, with norms of each head's query and key.

use super::super::super::config_file::ConfigFile;
use super::super::config::DecoderConfig;
use super::super::names::{AttentionNames, Biases, DecoderNames};
use super::llama::{self, Defaults};
use super::qwen2;
use crate::error::Result;

/// Components of a head where the field is absent.
const DEFAULT_HEAD_DIM: usize = 128;

/// Also Gemma's.
pub(super) const HEAD_NORMS: (&str, &str) = ("self_attn.q_norm", "self_attn.k_norm");

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    let bias = file.flag("attention_bias", false)?;
    let defaults = Defaults {
        head_dim: Some(DEFAULT_HEAD_DIM),
        ..llama::DEFAULTS
    };
    let mut config = llama::read(file, model_type, defaults)?;
    config.names = DecoderNames {
        attention: AttentionNames {
            head_norms: Some(HEAD_NORMS),
            ..llama::NAMES.attention
        },
        biases: Biases {
            projections: bias,
            attention_output: bias,
            ..Biases::default()
        },
        ..llama::NAMES
    };
    qwen2::slide(file, &mut config)?;
    Ok(config)
}
