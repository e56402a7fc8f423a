//! Families: `config.json` and tensor names, translated.

mod llama;

use super::super::config_file::ConfigFile;
use super::DecoderConfig;
use crate::error::{Error, Result};

/// The `model_type`s of decoders that are supported.
pub const DECODER_FAMILIES: &[&str] = &["llama"];

/// Reads a `config.json` in the way of its family.
pub(super) fn read(file: &ConfigFile) -> Result<DecoderConfig> {
    let Some(model_type) = file.text("model_type")? else {
        return Err(file.wrong("model_type", format!("one of {}", DECODER_FAMILIES.join(", "))));
    };
    match model_type {
        "llama" => llama::config(file),
        other => Err(Error::Unsupported {
            path: file.path().to_owned(),
            field: "model_type".to_owned(),
            found: other.to_owned(),
            supported: DECODER_FAMILIES,
        }),
    }
}
