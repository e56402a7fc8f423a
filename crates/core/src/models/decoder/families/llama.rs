//! Llama 2 and 3, and everything that is a Llama: SmolLM2, TinyLlama (transformers 5.23, `modeling_llama.py`).

use super::super::super::config_file::ConfigFile;
use super::super::config::{DecoderConfig, LayerConfig, NormKind, Positions};
use super::super::limits::{
    MAX_HEAD_DIM, MAX_HEADS, MAX_HIDDEN_SIZE, MAX_INTERMEDIATE_SIZE, MAX_LAYERS, MAX_TABLE_ROWS,
};
use super::super::names::{AttentionNames, Biases, DecoderNames, MlpNames, Projections};
use super::super::{Rope, RopeFields};
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

pub(super) fn config(file: &ConfigFile) -> Result<DecoderConfig> {
    let hidden_size = file.size("hidden_size", 1..=MAX_HIDDEN_SIZE)?;
    let num_attention_heads = file.size("num_attention_heads", 1..=MAX_HEADS)?;
    let head_dim = match file.optional_size("head_dim", 1..=MAX_HEAD_DIM)? {
        Some(head_dim) => head_dim,
        None => hidden_size / num_attention_heads,
    };
    let num_hidden_layers = file.size("num_hidden_layers", 1..=MAX_LAYERS)?;
    let max_position_embeddings = file.size("max_position_embeddings", 1..=MAX_TABLE_ROWS)?;
    let rope = Rope::read(file, RopeFields::usual(head_dim, max_position_embeddings))?;
    let attention_bias = file.flag("attention_bias", false)?;
    let layer = LayerConfig {
        sliding_window: None,
        rope: Some(0),
    };
    #[allow(
        clippy::cast_precision_loss,
        reason = "heads have far fewer than 2^52 components"
    )]
    let attention_scale = 1.0 / (head_dim as f64).sqrt();
    Ok(DecoderConfig {
        path: file.path().to_owned(),
        model_type: "llama".to_owned(),
        vocab_size: file.size("vocab_size", 1..=MAX_TABLE_ROWS)?,
        hidden_size,
        intermediate_size: file.size("intermediate_size", 1..=MAX_INTERMEDIATE_SIZE)?,
        num_attention_heads,
        num_key_value_heads: file
            .optional_size("num_key_value_heads", 1..=num_attention_heads)?
            .unwrap_or(num_attention_heads),
        head_dim,
        max_position_embeddings,
        hidden_act: Activation::Silu,
        attention_scale,
        embedding_scale: 1.0,
        norm: NormKind::Rms,
        norm_eps: file.epsilon("rms_norm_eps", 1e-6)?,
        parallel_residual: false,
        positions: Positions::Rotary(vec![rope]),
        layers: vec![layer; num_hidden_layers],
        experts: None,
        tie_word_embeddings: file.flag("tie_word_embeddings", false)?,
        bos_token_id: None,
        eos_token_ids: Vec::new(),
        names: DecoderNames {
            biases: Biases {
                projections: attention_bias,
                attention_output: attention_bias,
                mlp: file.flag("mlp_bias", false)?,
                lm_head: false,
            },
            ..NAMES
        },
    })
}
