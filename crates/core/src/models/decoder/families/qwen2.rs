//! Qwen 2 and 2.5 (transformers 5.23, `modeling_qwen2.py`): a Llama with biases on query, key and value, of which the upper
//! layers may slide.

use super::super::super::config_file::ConfigFile;
use super::super::config::DecoderConfig;
use super::super::limits::MAX_LAYERS;
use super::super::names::{Biases, DecoderNames};
use super::llama;
use super::shape;
use crate::error::Result;

/// The first layer that slides where no field says it.
const DEFAULT_MAX_WINDOW_LAYERS: usize = 28;
/// The window where the field is absent.
const DEFAULT_WINDOW: usize = 4096;

pub(super) fn config(file: &ConfigFile, model_type: &str) -> Result<DecoderConfig> {
    let mut config = llama::read(file, model_type, llama::DEFAULTS)?;
    config.names = DecoderNames {
        biases: Biases {
            projections: true,
            ..Biases::default()
        },
        ..llama::NAMES
    };
    slide(file, &mut config)?;
    Ok(config)
}

/// Gives the layers their windows; also Qwen 3's way.
pub(super) fn slide(file: &ConfigFile, config: &mut DecoderConfig) -> Result<()> {
    let window = match (
        file.flag("use_sliding_window", false)?,
        file.has("sliding_window"),
    ) {
        (false, _) => None,
        (true, false) => Some(DEFAULT_WINDOW),
        (true, true) => shape::window(file)?,
    };
    let full = file
        .optional_size("max_window_layers", 0..=MAX_LAYERS)?
        .unwrap_or(DEFAULT_MAX_WINDOW_LAYERS);
    let kinds = shape::sliding_layers(file, config.layers.len(), |index| index >= full)?;
    for (layer, slides) in config.layers.iter_mut().zip(kinds) {
        layer.sliding_window = window.filter(|_| slides);
    }
    Ok(())
}
