//! What an encoder is made of, as its `config.json` says.

use std::path::PathBuf;

use super::super::config_file::ConfigFile;
use super::super::dropout::DropoutConfig;
use crate::error::{Error, Result};
use crate::nn::Activation;

/// The widest hidden state that is believed.
pub(super) const MAX_HIDDEN_SIZE: usize = 1 << 16;
/// The widest feed-forward layer that is believed.
pub(super) const MAX_INTERMEDIATE_SIZE: usize = 1 << 20;
/// The most layers that are believed.
pub(super) const MAX_LAYERS: usize = 1 << 10;
/// The most attention heads that are believed.
pub(super) const MAX_HEADS: usize = 1 << 12;
/// The largest vocabulary, and the longest table of positions, that are believed.
pub(super) const MAX_TABLE_ROWS: usize = 1 << 24;
/// The most classes that are believed.
const MAX_LABELS: usize = 1 << 16;

/// The shape of an encoder. Fields carry the names of BERT's `config.json`, also where a family has its own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EncoderConfig {
    /// The file that this was read from.
    pub path: PathBuf,
    /// The family, such as `bert`.
    pub model_type: String,
    /// Rows of the table of words.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads of the attention; they share the hidden width equally.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// The feed-forward layer's non-linearity.
    pub hidden_act: Activation,
    /// Rows of the table of positions.
    pub max_position_embeddings: usize,
    /// Rows of the table of token types; 0 for a family without one.
    pub type_vocab_size: usize,
    /// What is added to the variance in layer norms.
    pub layer_norm_eps: f64,
    /// For families whose positions count from behind the padding id: that id. Its own tokens keep it as position.
    pub padding_idx: Option<u32>,
    /// Rows of the table of relative position biases, for a family with one.
    pub relative_attention_num_buckets: Option<usize>,
    /// What a model that trains drops.
    pub dropout: DropoutConfig,
    /// Classes of the classification head, where the checkpoint has one.
    pub num_labels: usize,
}

impl EncoderConfig {
    /// Tokens of the longest text that the table of positions takes.
    pub fn max_tokens(&self) -> usize {
        let offset = self.padding_idx.map_or(0, |padding_idx| padding_idx as usize + 1);
        self.max_position_embeddings.saturating_sub(offset)
    }

    /// Components of one head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads.max(1)
    }

    /// Everything that vectors depend on, in words.
    pub(in crate::models) fn description(&self) -> String {
        let anywhere = Self {
            path: PathBuf::new(),
            num_labels: 0,
            dropout: DropoutConfig::default(),
            ..self.clone()
        };
        // Vectors do not depend on dropout, and were described without it before it was read.
        format!("{anywhere:?}").replace(&format!(" dropout: {:?},", anywhere.dropout), "")
    }

    /// Reads the fields that all families have under BERT's names.
    pub(super) fn read(file: &ConfigFile, model_type: &str) -> Result<Self> {
        Self {
            path: file.path().to_owned(),
            model_type: model_type.to_owned(),
            vocab_size: file.size("vocab_size", 1..=MAX_TABLE_ROWS)?,
            hidden_size: file.size("hidden_size", 1..=MAX_HIDDEN_SIZE)?,
            num_hidden_layers: file.size("num_hidden_layers", 1..=MAX_LAYERS)?,
            num_attention_heads: file.size("num_attention_heads", 1..=MAX_HEADS)?,
            intermediate_size: file.size("intermediate_size", 1..=MAX_INTERMEDIATE_SIZE)?,
            hidden_act: activation(file, "hidden_act")?,
            max_position_embeddings: file.size("max_position_embeddings", 1..=MAX_TABLE_ROWS)?,
            type_vocab_size: 0,
            layer_norm_eps: file.epsilon("layer_norm_eps", 1e-12)?,
            padding_idx: None,
            relative_attention_num_buckets: None,
            dropout: dropout(file)?,
            num_labels: num_labels(file)?,
        }
        .checked(file, "num_attention_heads")
    }

    /// Checks what two fields must agree on.
    pub(super) fn checked(self, file: &ConfigFile, heads_field: &str) -> Result<Self> {
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format!("a divisor of the hidden width {}", self.hidden_size);
            return Err(file.wrong(heads_field, expected));
        }
        if file.flag("is_decoder", false)? {
            return Err(file.wrong("is_decoder", "false"));
        }
        match file.text("position_embedding_type")? {
            None | Some("absolute") => Ok(self),
            Some(other) => Err(Error::Unsupported {
                path: file.path().to_owned(),
                field: "position_embedding_type".to_owned(),
                found: other.to_owned(),
                supported: &["absolute"],
            }),
        }
    }

    /// Reads `pad_token_id` as the id behind which positions count.
    pub(super) fn with_padding_idx(mut self, file: &ConfigFile, default: usize) -> Result<Self> {
        let last = self
            .vocab_size
            .min(self.max_position_embeddings.saturating_sub(1));
        let padding_idx = file
            .optional_size("pad_token_id", 0..=last.saturating_sub(1))?
            .unwrap_or(default);
        self.padding_idx = u32::try_from(padding_idx).ok();
        Ok(self)
    }
}

/// BERT's fields, with transformers' defaults. A head's own defaults to that of the layers.
fn dropout(file: &ConfigFile) -> Result<DropoutConfig> {
    let hidden = file.dropout("hidden_dropout_prob", 0.1)?;
    let head = file.dropout("classifier_dropout", hidden)?;
    Ok(DropoutConfig {
        embeddings: hidden,
        attention_output: hidden,
        attention: file.dropout("attention_probs_dropout_prob", 0.1)?,
        feed_forward: hidden,
        sequence_head: head,
        token_head: head,
        span_head: 0.0,
    })
}

/// The non-linearity that a field names; the exact GELU where it is absent, as in transformers.
pub(super) fn activation(file: &ConfigFile, field: &str) -> Result<Activation> {
    let name = file.text(field)?.unwrap_or("gelu");
    name.parse()
        .map_err(|_| file.wrong(field, format!("one of {}", Activation::names().join(", "))))
}

/// Classes of the head: `num_labels`, else the entries of `id2label`, else 2, as in transformers.
pub(super) fn num_labels(file: &ConfigFile) -> Result<usize> {
    if let Some(labels) = file.optional_size("num_labels", 1..=MAX_LABELS)? {
        return Ok(labels);
    }
    match file.get("id2label") {
        None => Ok(2),
        Some(serde_json::Value::Object(labels)) if (1..=MAX_LABELS).contains(&labels.len()) => {
            Ok(labels.len())
        }
        Some(_) => Err(file.wrong("id2label", "an object from class number to name")),
    }
}
