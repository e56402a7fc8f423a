//! Families: `config.json` and tensor names, translated.

mod bert;
mod distilbert;
mod mpnet;
mod roberta;

use std::path::Path;

use super::super::config_file::ConfigFile;
use super::EncoderConfig;
use crate::error::{Error, Result};
use crate::nn::Activation;

/// The `model_type`s that are supported.
pub const FAMILIES: &[&str] = &[
    "bert",
    "distilbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
    "camembert",
];

/// How one family writes an encoder down.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Family {
    /// Its `config.json`.
    pub(in crate::models) config: fn(&ConfigFile, &str) -> Result<EncoderConfig>,
    /// What stands in front of the bare model's names where it has a head (`base_model_prefix`).
    pub(in crate::models) prefix: &'static str,
    pub(in crate::models) names: LayerNames,
    pub(in crate::models) head: HeadNames,
}

/// Module paths of the layers; those inside a layer follow `layer` and its number.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct LayerNames {
    pub(in crate::models) layer: &'static str,
    pub(in crate::models) query: &'static str,
    pub(in crate::models) key: &'static str,
    pub(in crate::models) value: &'static str,
    pub(in crate::models) attention_output: &'static str,
    pub(in crate::models) attention_norm: &'static str,
    pub(in crate::models) intermediate: &'static str,
    pub(in crate::models) output: &'static str,
    /// What AdapterHub's library calls the ends of attention and of the feed-forward layer.
    pub(in crate::models) attention_end: &'static str,
    pub(in crate::models) end: &'static str,
    pub(in crate::models) output_norm: &'static str,
}

/// The classification head over the first token: `out_proj(activation(dense(x)))`.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct HeadNames {
    /// Whether `dense` stands under the prefix of the bare model.
    pub(in crate::models) dense_in_model: bool,
    pub(in crate::models) dense: &'static str,
    pub(in crate::models) activation: Activation,
    pub(in crate::models) out_proj: &'static str,
    /// Whether dropout also acts before `dense`.
    pub(in crate::models) drops_input: bool,
}

/// What classes of transformers begin with, by `model_type`.
const CLASSES: [(&str, &str); 6] = [
    ("bert", "Bert"),
    ("distilbert", "DistilBert"),
    ("mpnet", "MPNet"),
    ("roberta", "Roberta"),
    ("xlm-roberta", "XLMRoberta"),
    ("camembert", "Camembert"),
];

/// What the classes of an encoder with a head begin with in transformers, such as `Bert` in
/// `BertForSequenceClassification`.
pub(in crate::models) fn class_prefix(model_type: &str) -> Option<&'static str> {
    let class = CLASSES.iter().find(|(family, _)| *family == model_type);
    class.map(|(_, class)| *class)
}

impl Family {
    /// The family of a `model_type`; `path` is the file that names it.
    pub(in crate::models) fn named(path: &Path, model_type: &str) -> Result<Self> {
        match model_type {
            "bert" => Ok(bert::FAMILY),
            "distilbert" => Ok(distilbert::FAMILY),
            "mpnet" => Ok(mpnet::FAMILY),
            "roberta" | "xlm-roberta" | "camembert" => Ok(roberta::FAMILY),
            other => Err(Error::Unsupported {
                path: path.to_owned(),
                field: "model_type".to_owned(),
                found: other.to_owned(),
                supported: FAMILIES,
            }),
        }
    }
}
