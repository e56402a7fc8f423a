//! Mixtral (transformers 5.23, `modeling_mixtral.py`): a Mistral with a mixture of experts in place of each feed-forward
//! layer.

use super::super::super::config_file::ConfigFile;
use super::super::config::{DecoderConfig, ExpertsConfig};
use super::super::limits::MAX_EXPERTS;
use super::super::names::{DecoderNames, MlpNames};
use super::llama::{self, Defaults};
use super::shape;
use crate::error::Result;

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    let defaults = Defaults {
        rope_theta: 1_000_000.0,
        rms_norm_eps: 1e-5,
        ..llama::DEFAULTS
    };
    let num_local_experts = file
        .optional_size("num_local_experts", 1..=MAX_EXPERTS)?
        .unwrap_or(8);
    let num_experts_per_tok = file
        .optional_size("num_experts_per_tok", 1..=num_local_experts)?
        .unwrap_or(2.min(num_local_experts));
    let window = shape::window(file)?;
    let mut config = DecoderConfig {
        experts: Some(ExpertsConfig {
            num_local_experts,
            num_experts_per_tok,
        }),
        names: DecoderNames {
            mlp: MlpNames::Experts {
                router: "block_sparse_moe.gate",
                expert: "block_sparse_moe.experts",
                gate: "w1",
                up: "w3",
                down: "w2",
            },
            ..llama::NAMES
        },
        ..llama::read(file, model_type, defaults)?
    };
    for layer in &mut config.layers {
        layer.sliding_window = window;
    }
    Ok(config)
}
