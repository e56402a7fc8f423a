//! Llama 2 and 3, and everything that is a Llama: SmolLM2, TinyLlama (transformers 5.23, `modeling_llama.py`).

use super::super::super::config_file::ConfigFile;
use super::super::super::dropout::DropoutConfig;
use super::super::config::{DecoderConfig, LayerConfig, NormKind, Positions};
use super::super::limits::{MAX_INTERMEDIATE_SIZE, MAX_TABLE_ROWS};
use super::super::names::{AttentionNames, Biases, DecoderNames, MlpNames, Projections};
use super::super::{Rope, RopeFields};
use super::shape::{self, Heads};
use crate::error::Result;
use crate::nn::Activation;

/// Also Mistral's and Qwen's.
pub(super) const NAMES: DecoderNames = DecoderNames {
    model: "model.",
    embed_tokens: "embed_tokens",
    embed_positions: "",
    layers: "layers",
    input_norm: "input_layernorm",
    attention: AttentionNames {
        projections: Projections::Separate("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        output: "self_attn.o_proj",
        head_norms: None,
    },
    attention_output_norm: None,
    mlp_norm: "post_attention_layernorm",
    mlp: MlpNames::Gated {
        gate: "mlp.gate_proj",
        up: "mlp.up_proj",
        down: "mlp.down_proj",
    },
    mlp_output_norm: None,
    norm: "norm",
    lm_head: "lm_head",
    biases: Biases {
        projections: false,
        attention_output: false,
        mlp: false,
        lm_head: false,
    },
    transposed: false,
};

/// What a family has where its `config.json` says nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    /// Components of a head; an equal share of the hidden width where there is none.
    pub(super) head_dim: Option<usize>,
    pub(super) rope_theta: f64,
    pub(super) rms_norm_eps: f64,
    pub(super) tie_word_embeddings: bool,
}

/// Llama's.
pub(super) const DEFAULTS: Defaults = Defaults {
    head_dim: None,
    rope_theta: 10_000.0,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
};

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    let bias = file.flag("attention_bias", false)?;
    Ok(DecoderConfig {
        names: DecoderNames {
            biases: Biases {
                projections: bias,
                attention_output: bias,
                mlp: file.flag("mlp_bias", false)?,
                lm_head: false,
            },
            ..NAMES
        },
        ..read(file, model_type, DEFAULTS)?
    })
}

/// The fields that Llama and its descendants share.
pub(super) fn read(file: &ConfigFile, model_type: &str, defaults: Defaults) -> Result<DecoderConfig> {
    let fields = |heads: Heads, max_position_embeddings| RopeFields {
        default_theta: defaults.rope_theta,
        ..RopeFields::usual(heads.head_dim, max_position_embeddings)
    };
    read_with(file, model_type, defaults, |heads, max_position_embeddings| {
        Ok(vec![Rope::read(file, fields(heads, max_position_embeddings))?])
    })
}

/// The same for a family that reads its rotations in its own way. Every layer takes the first of them.
pub(super) fn read_with(
    file: &ConfigFile,
    model_type: &str,
    defaults: Defaults,
    rotations: impl FnOnce(Heads, usize) -> Result<Vec<Rope>>,
) -> Result<DecoderConfig> {
    let heads = Heads::read(file, defaults.head_dim)?;
    let layer = LayerConfig {
        sliding_window: None,
        rope: Some(0),
        attention_scale: heads.scale(),
    };
    let max_position_embeddings = file.size("max_position_embeddings", 1..=MAX_TABLE_ROWS)?;
    let ropes = rotations(heads, max_position_embeddings)?;
    let context = ropes
        .iter()
        .map(|rope| rope.context(max_position_embeddings))
        .max();
    Ok(DecoderConfig {
        path: file.path().to_owned(),
        model_type: model_type.to_owned(),
        vocab_size: file.size("vocab_size", 1..=MAX_TABLE_ROWS)?,
        hidden_size: heads.hidden_size,
        intermediate_size: file.size("intermediate_size", 1..=MAX_INTERMEDIATE_SIZE)?,
        num_attention_heads: heads.num_attention_heads,
        num_key_value_heads: heads.num_key_value_heads,
        head_dim: heads.head_dim,
        max_position_embeddings: context.unwrap_or(max_position_embeddings),
        hidden_act: shape::activation(file, "hidden_act", Activation::Silu)?,
        embedding_scale: 1.0,
        norm: NormKind::Rms,
        norm_eps: file.epsilon("rms_norm_eps", defaults.rms_norm_eps)?,
        parallel_residual: false,
        positions: Positions::Rotary(ropes),
        layers: vec![layer; shape::layers(file)?],
        experts: None,
        tie_word_embeddings: file.flag("tie_word_embeddings", defaults.tie_word_embeddings)?,
        final_logit_softcapping: None,
        bos_token_id: shape::bos(file)?,
        eos_token_ids: shape::eos(file)?,
        dropout: DropoutConfig {
            attention: file.dropout("attention_dropout", 0.0)?,
            ..DropoutConfig::default()
        },
        names: NAMES,
    })
}
