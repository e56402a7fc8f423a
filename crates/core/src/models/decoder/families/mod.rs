//! Families: `config.json` and tensor names, translated.

mod gemma3;
mod gpt2;
mod gpt_neox;
mod llama;
mod mistral;
mod mixtral;
mod phi3;
mod qwen2;
mod qwen3;
mod shape;
mod smollm3;

use super::super::config_file::ConfigFile;
use super::DecoderConfig;
use crate::error::{Error, Result};

/// The `model_type`s of decoders that are supported.
pub const DECODER_FAMILIES: &[&str] = &[
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "gemma3_text",
    "phi3",
    "gpt2",
    "gpt_neox",
    "smollm3",
];

/// What classes of transformers begin with, by `model_type`.
const CLASSES: [(&str, &str); 10] = [
    ("llama", "Llama"),
    ("mistral", "Mistral"),
    ("mixtral", "Mixtral"),
    ("qwen2", "Qwen2"),
    ("qwen3", "Qwen3"),
    ("gemma3_text", "Gemma3Text"),
    ("phi3", "Phi3"),
    ("gpt2", "GPT2"),
    ("gpt_neox", "GPTNeoX"),
    ("smollm3", "SmolLM3"),
];

/// What the classes of a decoder with a head begin with in transformers, such as `Llama` in
/// `LlamaForSequenceClassification`.
pub(in crate::models) fn class_prefix(model_type: &str) -> Option<&'static str> {
    let class = CLASSES.iter().find(|(family, _)| *family == model_type);
    class.map(|(_, class)| *class)
}

/// Reads a `config.json` in the way of its family.
pub(super) fn read(file: &ConfigFile) -> Result<DecoderConfig> {
    let Some(model_type) = file.text("model_type")? else {
        return Err(file.wrong("model_type", format!("one of {}", DECODER_FAMILIES.join(", "))));
    };
    let config = match model_type {
        "llama" => llama::config,
        "mistral" => mistral::config,
        "mixtral" => mixtral::config,
        "qwen2" => qwen2::config,
        "qwen3" => qwen3::config,
        "gemma3_text" => gemma3::config,
        "phi3" => phi3::config,
        "gpt2" => gpt2::config,
        "gpt_neox" => gpt_neox::config,
        "smollm3" => smollm3::config,
        other => {
            return Err(Error::Unsupported {
                path: file.path().to_owned(),
                field: "model_type".to_owned(),
                found: other.to_owned(),
                supported: DECODER_FAMILIES,
            });
        }
    };
    config(file, model_type)
}
