//! GPT-2 (transformers 5.23, `modeling_gpt2.py`): learned positions, layer norms, biases everywhere, and weights that are
//! stored transposed.

use super::super::super::config_file::ConfigFile;
use super::super::super::dropout::DropoutConfig;
use super::super::config::{DecoderConfig, LayerConfig, NormKind, Positions};
use super::super::limits::{MAX_INTERMEDIATE_SIZE, MAX_LAYERS, MAX_TABLE_ROWS};
use super::super::names::{AttentionNames, Biases, DecoderNames, MlpNames, Projections};
use super::shape::{self, Heads};
use crate::error::Result;
use crate::nn::Activation;

const NAMES: DecoderNames = DecoderNames {
    model: "transformer.",
    embed_tokens: "wte",
    embed_positions: "wpe",
    layers: "h",
    input_norm: "ln_1",
    attention: AttentionNames {
        projections: Projections::Stacked("attn.c_attn"),
        output: "attn.c_proj",
        head_norms: None,
    },
    attention_output_norm: None,
    mlp_norm: "ln_2",
    mlp: MlpNames::Plain {
        up: "mlp.c_fc",
        down: "mlp.c_proj",
    },
    mlp_output_norm: None,
    norm: "ln_f",
    lm_head: "lm_head",
    biases: Biases {
        projections: true,
        attention_output: true,
        mlp: true,
        lm_head: false,
    },
    transposed: true,
};

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    let heads = Heads::equal(file, "n_embd", "n_head")?;
    let layers = file.size("n_layer", 1..=MAX_LAYERS)?;
    let positions = file.size("n_positions", 1..=MAX_TABLE_ROWS)?;
    if file.flag("add_cross_attention", false)? {
        return Err(file.wrong("add_cross_attention", "false"));
    }
    let scale = match file.flag("scale_attn_weights", true)? {
        true => heads.scale(),
        false => 1.0,
    };
    let residual = file.dropout("resid_pdrop", 0.1)?;
    let by_depth = file.flag("scale_attn_by_inverse_layer_idx", false)?;
    let layer = |index: usize| LayerConfig {
        sliding_window: None,
        rope: None,
        attention_scale: if by_depth {
            scale / (index + 1) as f64
        } else {
            scale
        },
    };
    Ok(DecoderConfig {
        path: file.path().to_owned(),
        model_type: model_type.to_owned(),
        vocab_size: file.size("vocab_size", 1..=MAX_TABLE_ROWS)?,
        hidden_size: heads.hidden_size,
        intermediate_size: file
            .optional_size("n_inner", 1..=MAX_INTERMEDIATE_SIZE)?
            .unwrap_or(4 * heads.hidden_size),
        num_attention_heads: heads.num_attention_heads,
        num_key_value_heads: heads.num_key_value_heads,
        head_dim: heads.head_dim,
        max_position_embeddings: positions,
        hidden_act: shape::activation(file, "activation_function", Activation::GeluTanh)?,
        embedding_scale: 1.0,
        norm: NormKind::Layer,
        norm_eps: file.epsilon("layer_norm_epsilon", 1e-5)?,
        parallel_residual: false,
        positions: Positions::Learned(positions),
        layers: (0..layers).map(layer).collect(),
        experts: None,
        tie_word_embeddings: file.flag("tie_word_embeddings", true)?,
        final_logit_softcapping: None,
        bos_token_id: shape::bos(file)?,
        eos_token_ids: shape::eos(file)?,
        dropout: DropoutConfig {
            embeddings: file.dropout("embd_pdrop", 0.1)?,
            attention_output: residual,
            attention: file.dropout("attn_pdrop", 0.1)?,
            feed_forward: residual,
            ..DropoutConfig::default()
        },
        names: NAMES,
    })
}
