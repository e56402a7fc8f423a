//! Mistral (transformers 5.23, `modeling_mistral.py`): a Llama whose layers all slide.

use super::super::super::config_file::ConfigFile;
use super::super::config::DecoderConfig;
use super::llama;
use super::shape;
use crate::error::Result;

/// Tokens that a layer sees where the field is absent altogether; `null` means all.
const DEFAULT_WINDOW: usize = 4096;

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    let mut config = llama::read(file, model_type, llama::DEFAULTS)?;
    let window = match file.has("sliding_window") {
        true => shape::window(file)?,
        false => Some(DEFAULT_WINDOW),
    };
    for layer in &mut config.layers {
        layer.sliding_window = window;
    }
    Ok(config)
}
