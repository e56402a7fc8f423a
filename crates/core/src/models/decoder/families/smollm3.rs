//! SmolLM3 (transformers 5.23, `modeling_smollm3.py`): a Llama of which every fourth layer does not rotate.

use serde_json::Value;

use super::super::super::config_file::ConfigFile;
use super::super::config::DecoderConfig;
use super::super::limits::MAX_LAYERS;
use super::llama::{self, Defaults};
use super::shape;
use crate::error::Result;

/// Each so many-th layer does not rotate where no field says it.
const DEFAULT_INTERVAL: usize = 4;

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    let defaults = Defaults {
        rope_theta: 2_000_000.0,
        tie_word_embeddings: true,
        ..llama::DEFAULTS
    };
    let mut config = DecoderConfig {
        names: llama::config(file, model_type)?.names,
        ..llama::read(file, model_type, defaults)?
    };
    let rotates = rotating_layers(file, config.layers.len())?;
    let window = match file.flag("use_sliding_window", false)? {
        true => shape::window(file)?,
        false => None,
    };
    let kinds = shape::sliding_layers(file, config.layers.len(), |index| !rotates[index])?;
    for ((layer, rotates), slides) in config.layers.iter_mut().zip(&rotates).zip(kinds) {
        layer.rope = rotates.then_some(0);
        layer.sliding_window = window.filter(|_| slides);
    }
    Ok(config)
}

/// `no_rope_layers` has, against its name, 1 for a layer that rotates.
fn rotating_layers(file: &ConfigFile, layers: usize) -> Result<Vec<bool>> {
    const FIELD: &str = "no_rope_layers";
    let interval = file
        .optional_size("no_rope_layer_interval", 1..=MAX_LAYERS)?
        .unwrap_or(DEFAULT_INTERVAL);
    let Some(value) = file.get(FIELD) else {
        return Ok((0..layers)
            .map(|index| !(index + 1).is_multiple_of(interval))
            .collect());
    };
    let switch = |value: &Value| match value.as_u64() {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    };
    let switches = value.as_array().filter(|switches| switches.len() == layers);
    match switches.and_then(|switches| switches.iter().map(switch).collect()) {
        Some(switches) => Ok(switches),
        None => Err(file.wrong(FIELD, format!("0 or 1 for each of the {layers} layers"))),
    }
}
