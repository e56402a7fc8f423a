//! Phi-3 and Phi-4-mini (transformers 5.23, `modeling_phi3.py`): a Llama whose projections are stacked, with LongRoPE and a
//! partial rotation.

use super::super::super::config_file::ConfigFile;
use super::super::super::dropout::DropoutConfig;
use super::super::config::DecoderConfig;
use super::super::names::{AttentionNames, DecoderNames, MlpNames, Projections};
use super::super::{Rope, RopeFields};
use super::llama::{self, Defaults};
use super::shape;
use crate::error::Result;

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    let defaults = Defaults {
        rms_norm_eps: 1e-5,
        ..llama::DEFAULTS
    };
    let config = llama::read_with(file, model_type, defaults, |heads, max| {
        let fields = RopeFields {
            partial: Some(("partial_rotary_factor", 1.0)),
            ..RopeFields::usual(heads.head_dim, max)
        };
        Ok(vec![Rope::read(file, fields)?])
    })?;
    let residual = file.dropout("resid_pdrop", 0.0)?;
    let mut config = DecoderConfig {
        dropout: DropoutConfig {
            attention_output: residual,
            feed_forward: residual,
            ..config.dropout
        },
        names: DecoderNames {
            attention: AttentionNames {
                projections: Projections::Stacked("self_attn.qkv_proj"),
                ..llama::NAMES.attention
            },
            mlp: MlpNames::GatedStacked {
                gate_up: "mlp.gate_up_proj",
                down: "mlp.down_proj",
            },
            ..llama::NAMES
        },
        ..config
    };
    let window = shape::window(file)?;
    for layer in &mut config.layers {
        layer.sliding_window = window;
    }
    Ok(config)
}
