//! GPT-NeoX and Pythia (transformers 5.23, `modeling_gpt_neox.py`): layer norms, query, key and value of each head side by
//! side in one matrix, a partial rotation, and usually attention and feed-forward layer of the same input.

use super::super::super::config_file::ConfigFile;
use super::super::super::dropout::DropoutConfig;
use super::super::config::{DecoderConfig, LayerConfig, NormKind, Positions};
use super::super::limits::{MAX_INTERMEDIATE_SIZE, MAX_TABLE_ROWS};
use super::super::names::{AttentionNames, Biases, DecoderNames, MlpNames, Projections};
use super::super::{Rope, RopeFields};
use super::shape::{self, Heads};
use crate::error::Result;
use crate::nn::Activation;

const NAMES: DecoderNames = DecoderNames {
    model: "gpt_neox.",
    embed_tokens: "embed_in",
    embed_positions: "",
    layers: "layers",
    input_norm: "input_layernorm",
    attention: AttentionNames {
        projections: Projections::Interleaved("attention.query_key_value"),
        output: "attention.dense",
        head_norms: None,
    },
    attention_output_norm: None,
    mlp_norm: "post_attention_layernorm",
    mlp: MlpNames::Plain {
        up: "mlp.dense_h_to_4h",
        down: "mlp.dense_4h_to_h",
    },
    mlp_output_norm: None,
    norm: "final_layer_norm",
    lm_head: "embed_out",
    biases: Biases {
        projections: true,
        attention_output: true,
        mlp: true,
        lm_head: false,
    },
    transposed: false,
};

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    let heads = Heads::equal(file, "hidden_size", "num_attention_heads")?;
    let max_position_embeddings = file.size("max_position_embeddings", 1..=MAX_TABLE_ROWS)?;
    let rope = RopeFields {
        theta_field: "rotary_emb_base",
        partial: Some(("rotary_pct", 0.25)),
        ..RopeFields::usual(heads.head_dim, max_position_embeddings)
    };
    let rope = Rope::read(file, rope)?;
    let layer = LayerConfig {
        sliding_window: None,
        rope: Some(0),
        attention_scale: heads.scale(),
    };
    let hidden = file.dropout("hidden_dropout", 0.0)?;
    let bias = file.flag("attention_bias", true)?;
    Ok(DecoderConfig {
        path: file.path().to_owned(),
        model_type: model_type.to_owned(),
        vocab_size: file.size("vocab_size", 1..=MAX_TABLE_ROWS)?,
        hidden_size: heads.hidden_size,
        intermediate_size: file.size("intermediate_size", 1..=MAX_INTERMEDIATE_SIZE)?,
        num_attention_heads: heads.num_attention_heads,
        num_key_value_heads: heads.num_key_value_heads,
        head_dim: heads.head_dim,
        max_position_embeddings: rope.context(max_position_embeddings),
        hidden_act: shape::activation(file, "hidden_act", Activation::Gelu)?,
        embedding_scale: 1.0,
        norm: NormKind::Layer,
        norm_eps: file.epsilon("layer_norm_eps", 1e-5)?,
        parallel_residual: file.flag("use_parallel_residual", true)?,
        positions: Positions::Rotary(vec![rope]),
        layers: vec![layer; shape::layers(file)?],
        experts: None,
        tie_word_embeddings: file.flag("tie_word_embeddings", false)?,
        final_logit_softcapping: None,
        bos_token_id: shape::bos(file)?,
        eos_token_ids: shape::eos(file)?,
        dropout: DropoutConfig {
            embeddings: hidden,
            attention_output: hidden,
            attention: file.dropout("attention_dropout", 0.0)?,
            feed_forward: hidden,
            ..DropoutConfig::default()
        },
        names: DecoderNames {
            biases: Biases {
                projections: bias,
                attention_output: bias,
                ..NAMES.biases
            },
            ..NAMES
        },
    })
}
