//! A model with a head as a folder in the Hugging Face layout.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::decoder::decoder_class;
use super::super::encoder::encoder_class;
use super::super::layered::Layered;
use super::super::saving::{LeftOver, copy_names, new_folder, save_modules, write_json, write_tokenizer};
use super::super::sentence::TRANSFORMER_CONFIGS;
use super::body::{Body, Head};
use crate::adapters::AdapterStack;
use crate::error::Result;
use crate::weights::{Checkpoint, FloatType};

impl<T: Layered> Body<T> {
    /// Writes the folder that transformers loads as its class with this ending, such as `ForTokenClassification`.
    pub(super) fn save(
        &self,
        head: &impl Head,
        folder: &Path,
        adapters: &AdapterStack,
        dtype: FloatType,
        (ending, edit): (&str, impl FnOnce(&mut Map<String, Value>)),
    ) -> Result<()> {
        adapters.check_mergeable(&self.shapes)?;
        new_folder(folder, |partial| {
            let mut config: Map<String, Value> = self.transformer.json("config.json")?.unwrap_or_default();
            set_class(&mut config, &self.model_type, ending, dtype);
            if let Some(padding) = self.padding {
                config.insert("pad_token_id".to_owned(), json!(padding));
            }
            edit(&mut config);
            write_json(&partial.join("config.json"), &config)?;
            let pad = self.padding.and_then(|id| self.tokenizer.token_text(id));
            write_tokenizer(&self.transformer, self.max_length, pad.as_deref(), partial)?;
            copy_names(&self.transformer, &TRANSFORMER_CONFIGS, partial)?;
            let left_over = LeftOver {
                files: &self.transformer,
                names: &[],
                prefix: self.prefix,
            };
            save_modules(
                &self.modules(head),
                |slot| self.shapes.path(slot).to_owned(),
                |slot| self.shapes.get(slot).is_some_and(|shape| shape.transposed),
                adapters,
                left_over,
                (&partial.join(Checkpoint::FILE), dtype),
            )
        })
    }
}

/// Notes the class in transformers, and the type of the weights.
pub(super) fn set_class(config: &mut Map<String, Value>, model_type: &str, ending: &str, dtype: FloatType) {
    let class = decoder_class(model_type).or(encoder_class(model_type));
    config.insert(
        "architectures".to_owned(),
        json!([format!("{}{ending}", class.unwrap_or(model_type))]),
    );
    config.remove("torch_dtype");
    config.insert("dtype".to_owned(), json!(dtype.torch_name()));
}
