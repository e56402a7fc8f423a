//! Prompt tuning (Lester et al. 2021, arXiv:2104.08691, section 2): rows that stand before a text in the place of the
//! embeddings of words, as if virtual tokens were written there.
//!
//! Letters: `n` virtual tokens, `h` hidden width.

use serde_json::{Value, json};

use super::config_fields::{Fields, whole};
use super::{AdapterConfig, AdapterMethod};
use crate::error::Result;

/// Virtual tokens that are read at most.
const MAX_VIRTUAL_TOKENS: usize = 1 << 16;
/// The widest row that is read.
const MAX_WIDTH: usize = 1 << 16;

/// What a tuned prompt is, besides its rows; the fields carry PEFT's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromptConfig {
    /// Rows.
    pub num_virtual_tokens: usize,
    /// Components of a row.
    pub token_dim: usize,
    /// The text whose words the rows began as, kept as information.
    pub prompt_tuning_init_text: Option<String>,
}

impl PromptConfig {
    /// Rows of a number and width.
    #[must_use]
    pub fn new(num_virtual_tokens: usize, token_dim: usize) -> Self {
        Self {
            num_virtual_tokens,
            token_dim,
            prompt_tuning_init_text: None,
        }
    }

    /// Reads the file's fields (PEFT 0.21, `tuners/prompt_tuning/config.py`).
    pub(super) fn read(fields: &Fields) -> Result<AdapterConfig> {
        let size = |field: &'static str, most: usize| -> Result<usize> {
            let read = |value: &Value| whole(value, 1..=most);
            let found = fields.value(field, 0, read, "a whole number, 1 or more")?;
            match found {
                0 => Err(fields.wrong(field, "a whole number, 1 or more")),
                found => Ok(found),
            }
        };
        // Models of two stacks have rows for each; a decoder is one.
        let submodules = fields.value(
            "num_transformer_submodules",
            1,
            |value| whole(value, 1..=1),
            "1, as of a decoder",
        )?;
        let prompt = Self {
            num_virtual_tokens: submodules * size("num_virtual_tokens", MAX_VIRTUAL_TOKENS)?,
            token_dim: size("token_dim", MAX_WIDTH)?,
            prompt_tuning_init_text: fields.text("prompt_tuning_init_text")?,
        };
        Ok(AdapterConfig {
            peft_type: AdapterMethod::Prompt,
            base_model_name_or_path: fields.text("base_model_name_or_path")?,
            task_type: fields.text("task_type")?,
            prompt: Some(prompt),
            ..AdapterConfig::default()
        })
    }

    /// The file's content. Rows that began as a text are written as random ones: who loads them needs no tokenizer.
    pub(super) fn to_json(&self, config: &AdapterConfig) -> Value {
        json!({
            "auto_mapping": null,
            "base_model_name_or_path": config.base_model_name_or_path,
            "inference_mode": true,
            "modules_to_save": null,
            "num_attention_heads": null,
            "num_layers": null,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": self.num_virtual_tokens,
            "peft_type": "PROMPT_TUNING",
            "prompt_tuning_init": "RANDOM",
            "prompt_tuning_init_text": self.prompt_tuning_init_text,
            "revision": null,
            "task_type": config.task_type.as_deref().unwrap_or("CAUSAL_LM"),
            "token_dim": self.token_dim,
            "tokenizer_kwargs": null,
            "tokenizer_name_or_path": null,
        })
    }
}
