//! Gemma 3's text models (transformers 5.23, `modeling_gemma3.py`): layers that slide alternate with layers that see
//! everything, each kind with its own rotation; norms before and behind both halves of a layer, scaled by one plus their
//! weight; embeddings times the root of their width.

use super::super::super::config_file::ConfigFile;
use super::super::config::{DecoderConfig, NormKind};
use super::super::limits::MAX_LAYERS;
use super::super::names::{AttentionNames, Biases, DecoderNames};
use super::super::{Rope, RopeFields};
use super::llama::{self, Defaults};
use super::qwen3::HEAD_NORMS;
use super::shape::{self, Heads};
use crate::error::{Error, Result};
use crate::nn::Activation;

/// Where fields are absent.
const DEFAULT_HEAD_DIM: usize = 256;
const DEFAULT_QUERY_PRE_ATTN_SCALAR: f64 = 256.0;
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_PATTERN: usize = 6;
/// Bases of the rotation in layers that see everything, and in those that slide.
const GLOBAL_THETA: f64 = 1_000_000.0;
const LOCAL_THETA: f64 = 10_000.0;

/// Indices into the decoder's rotations.
const GLOBAL: usize = 0;
const LOCAL: usize = 1;

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    reject(
        file,
        "attn_logit_softcapping",
        file.get("attn_logit_softcapping").is_some(),
    )?;
    let bidirectional = file.flag("use_bidirectional_attention", false)?;
    reject(file, "use_bidirectional_attention", bidirectional)?;
    let defaults = Defaults {
        head_dim: Some(DEFAULT_HEAD_DIM),
        tie_word_embeddings: true,
        ..llama::DEFAULTS
    };
    let config = llama::read_with(file, model_type, defaults, |heads, max| {
        rotations(file, heads, max)
    })?;
    let bias = file.flag("attention_bias", false)?;
    let scalar = file
        .number("query_pre_attn_scalar", 1e-3..=1e6)?
        .unwrap_or(DEFAULT_QUERY_PRE_ATTN_SCALAR);
    let mut config = DecoderConfig {
        hidden_act: shape::activation(file, "hidden_activation", Activation::GeluTanh)?,
        embedding_scale: (config.hidden_size as f64).sqrt(),
        norm: NormKind::RmsPlusOne,
        final_logit_softcapping: file.number("final_logit_softcapping", 1e-3..=1e6)?,
        names: DecoderNames {
            attention: AttentionNames {
                head_norms: Some(HEAD_NORMS),
                ..llama::NAMES.attention
            },
            attention_output_norm: Some("post_attention_layernorm"),
            mlp_norm: "pre_feedforward_layernorm",
            mlp_output_norm: Some("post_feedforward_layernorm"),
            biases: Biases {
                projections: bias,
                attention_output: bias,
                ..Biases::default()
            },
            ..llama::NAMES
        },
        ..config
    };
    let window = match file.has("sliding_window") {
        true => shape::window(file)?,
        false => Some(DEFAULT_WINDOW),
    };
    let pattern = file
        .optional_size("sliding_window_pattern", 1..=MAX_LAYERS)?
        .unwrap_or(DEFAULT_PATTERN);
    let slides = |index: usize| !(index + 1).is_multiple_of(pattern);
    let kinds = shape::sliding_layers(file, config.layers.len(), slides)?;
    for (layer, slides) in config.layers.iter_mut().zip(kinds) {
        layer.attention_scale = shape::inverse_root(scalar);
        layer.sliding_window = window.filter(|_| slides);
        layer.rope = Some(if slides { LOCAL } else { GLOBAL });
    }
    Ok(config)
}

/// An object of parameters for each kind of layer, or the fields of older files, whose `rope_scaling` is for the layers
/// that see everything.
fn rotations(file: &ConfigFile, heads: Heads, max_position_embeddings: usize) -> Result<Vec<Rope>> {
    let nested = file.object("rope_parameters")?;
    let of = |kind: &str| match &nested {
        Some(nested) => nested.object(kind),
        None => Ok(None),
    };
    let scaling = match file.object("rope_scaling")? {
        Some(scaling) => Some(scaling),
        None => of("full_attention")?,
    };
    let usual = RopeFields::usual(heads.head_dim, max_position_embeddings);
    let global = RopeFields {
        default_theta: GLOBAL_THETA,
        ..usual
    };
    let local = RopeFields {
        default_theta: LOCAL_THETA,
        theta_field: "rope_local_base_freq",
        ..usual
    };
    Ok(vec![
        Rope::read_parameters(file, scaling.as_ref(), global)?,
        Rope::read_parameters(file, of("sliding_attention")?.as_ref(), local)?,
    ])
}

/// The error of a part that no released checkpoint has.
fn reject(file: &ConfigFile, field: &str, present: bool) -> Result<()> {
    if !present {
        return Ok(());
    }
    Err(Error::Unsupported {
        path: file.path().to_owned(),
        field: file.name(field),
        found: file.get(field).map(ToString::to_string).unwrap_or_default(),
        supported: &["null", "false"],
    })
}
