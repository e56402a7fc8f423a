//! The settings of prompt tuning, and the rows that it begins with.

use burn::tensor::{Tensor, TensorData};
use ragtune_core::adapters::{AdapterBase, Module, PromptConfig};
use serde_json::{Value, json};

use super::{Parameter, Part, initial};
use crate::batch::{Purpose, Random};
use crate::error::{Error, Result};

/// Settings of prompt tuning.
///
/// ```
/// use ragtune_train::tuning::{Prompt, Tuning};
///
/// let tuning = Tuning::Prompt(Prompt::default().with_virtual_tokens(8));
/// assert_eq!(tuning.name(), "prompt");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Rows before each text.
    pub virtual_tokens: usize,
    /// What the rows begin as.
    pub start: PromptStart,
}

/// What the rows of a prompt begin as.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PromptStart {
    /// The embeddings of words of the vocabulary, drawn at random (Lester et al. 2021, section 3.2).
    Vocabulary,
    /// The embeddings of these tokens, again from the first where they are fewer than the rows.
    Tokens {
        /// Their ids.
        ids: Vec<u32>,
        /// The text that they are of, kept as information.
        text: String,
    },
}

impl Default for Prompt {
    /// 20 rows, which begin as words of the vocabulary.
    fn default() -> Self {
        Self {
            virtual_tokens: 20,
            start: PromptStart::Vocabulary,
        }
    }
}

impl Prompt {
    /// Another number of rows.
    #[must_use]
    pub fn with_virtual_tokens(mut self, virtual_tokens: usize) -> Self {
        self.virtual_tokens = virtual_tokens;
        self
    }

    /// Rows that begin as the embeddings of a text, whose tokens are `ids`.
    #[must_use]
    pub fn from_text(mut self, text: impl Into<String>, ids: Vec<u32>) -> Self {
        self.start = PromptStart::Tokens {
            ids,
            text: text.into(),
        };
        self
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "method": "prompt",
            "virtual_tokens": self.virtual_tokens,
            "start": match &self.start {
                PromptStart::Vocabulary => Value::Null,
                PromptStart::Tokens { ids, .. } => json!(ids),
            },
        })
    }

    /// The rows of a base, and what the adapter's file says of them.
    pub(super) fn weights(&self, base: &dyn AdapterBase, seed: u64) -> Result<(PromptConfig, Parameter)> {
        let shapes = base.module_shapes();
        let modules = base.modules();
        let words = shapes.words().and_then(|(slot, scale)| {
            let table = modules.iter().find(|module| module.slot() == slot)?;
            match table {
                Module::Embedding(table) => Some((*table, scale)),
                _ => None,
            }
        });
        let Some((table, scale)) = words else {
            return Err(Error::NothingTrains {
                what: "a prompt before texts".to_owned(),
                suggestions: vec![
                    "it fits language models (sft, pretrain, dpo); beside an encoder train `Tuning::Lora` or \
                     `Tuning::Bottleneck`"
                        .to_owned(),
                ],
            });
        };
        let (n, v, h) = (self.virtual_tokens, table.num_embeddings(), table.embedding_dim());
        if n == 0 {
            return Err(Error::invalid(
                "virtual_tokens",
                "0; a prompt has 1 or more, 20 are usual",
            ));
        }
        let ids: Vec<u32> = match &self.start {
            PromptStart::Vocabulary => {
                let mut random = Random::of(seed, Purpose::Initialisation, initial::part(table.slot()));
                (0..n)
                    .map(|_| random.below(v))
                    .filter_map(|id| u32::try_from(id).ok())
                    .collect()
            }
            PromptStart::Tokens { ids, .. } if ids.is_empty() => {
                return Err(Error::invalid(
                    "text",
                    "no tokens; a prompt begins as a text of one or more",
                ));
            }
            PromptStart::Tokens { ids, .. } => ids.iter().copied().cycle().take(n).collect(),
        };
        let rows = table.forward(&ids)? * scale; // [n, h]
        let values: Vec<f32> = rows.into_data().iter::<f32>().collect();
        let mut config = PromptConfig::new(n, h);
        if let PromptStart::Tokens { text, .. } = &self.start {
            config.prompt_tuning_init_text = Some(text.clone());
        }
        let count = values.len();
        let parameter = Parameter {
            slot: table.slot().to_owned(),
            part: Part::Prompt,
            dims: vec![n, h],
            values: Tensor::from_data(TensorData::new(values, [count]), base.device()),
            decays: true,
            rate: 1.0,
        };
        Ok((config, parameter))
    }
}
