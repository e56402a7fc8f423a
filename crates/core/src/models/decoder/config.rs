//! What a decoder is made of, as its `config.json` says.

use std::path::PathBuf;

use super::super::dropout::DropoutConfig;
use super::names::{DecoderNames, MlpNames};
use super::rope::Rope;
use crate::kernels::LayerCache;
use crate::nn::Activation;

/// The shape of a decoder. Fields carry the names of Llama's `config.json`, also where a family has its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecoderConfig {
    /// The file that this was read from.
    pub path: PathBuf,
    /// The family, such as `llama`.
    pub model_type: String,
    /// Rows of the table of words.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Width of the feed-forward layer, or of one expert.
    pub intermediate_size: usize,
    /// Heads of the queries.
    pub num_attention_heads: usize,
    /// Heads of keys and values.
    pub num_key_value_heads: usize,
    /// Components of one head.
    pub head_dim: usize,
    /// The longest text that the model was made for, in tokens.
    pub max_position_embeddings: usize,
    /// The feed-forward layer's non-linearity.
    pub hidden_act: Activation,
    /// What the embeddings of words are multiplied by; 1 in most families.
    pub embedding_scale: f64,
    /// How hidden states are normalised.
    pub norm: NormKind,
    /// What is added to the mean square or to the variance in norms.
    pub norm_eps: f64,
    /// Whether attention and feed-forward layer both take the layer's input, instead of one after the other.
    pub parallel_residual: bool,
    /// How tokens know their place.
    pub positions: Positions,
    /// The layers, first to last.
    pub layers: Vec<LayerConfig>,
    /// For a mixture of experts: how many there are.
    pub experts: Option<ExpertsConfig>,
    /// Whether the output layer's weight is the table of words.
    pub tie_word_embeddings: bool,
    /// What logits are bounded by, `cap * tanh(logit / cap)`, in families that do so.
    pub final_logit_softcapping: Option<f64>,
    /// The token that a text begins with, where the family has one.
    pub bos_token_id: Option<u32>,
    /// The tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// What a model that trains drops.
    pub dropout: DropoutConfig,
    /// Module paths and which of them have biases.
    pub(in crate::models) names: DecoderNames,
}

/// How hidden states are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NormKind {
    /// Root mean square, scaled by the weight.
    Rms,
    /// Root mean square, scaled by one plus the weight.
    RmsPlusOne,
    /// Mean and variance, with weight and bias.
    Layer,
}

/// How tokens know their place.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Positions {
    /// Queries and keys are rotated; layers name one of these rotations by its index.
    Rotary(Vec<Rope>),
    /// A table of so many positions is added to the embeddings.
    Learned(usize),
}

/// What distinguishes one layer from another.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayerConfig {
    /// How many tokens a token sees, itself included; all where there is none.
    pub sliding_window: Option<usize>,
    /// Which rotation; none in a layer without.
    pub rope: Option<usize>,
    /// What attention scores are multiplied by.
    pub attention_scale: f64,
}

/// A sparse mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExpertsConfig {
    /// Feed-forward layers side by side.
    pub num_local_experts: usize,
    /// How many of them a token goes through.
    pub num_experts_per_tok: usize,
}

impl DecoderConfig {
    /// Whether the feed-forward layer, or each of its experts, has a gate.
    #[must_use]
    pub fn is_gated(&self) -> bool {
        !matches!(self.names.mlp, MlpNames::Plain { .. })
    }

    /// Number of layers.
    #[must_use]
    pub fn num_hidden_layers(&self) -> usize {
        self.layers.len()
    }

    /// Number of weights, a table that serves as output layer too counted once.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let size = |width: usize| width as u64;
        let (h, f, v) = (
            size(self.hidden_size),
            size(self.intermediate_size),
            size(self.vocab_size),
        );
        let (q, kv) = (
            size(self.num_attention_heads * self.head_dim),
            size(self.kv_width()),
        );
        let (names, biases) = (&self.names, self.names.biases);
        let biased = |bias: bool, width: u64| if bias { width } else { 0 };
        let norm = match self.norm {
            NormKind::Rms | NormKind::RmsPlusOne => 1,
            NormKind::Layer => 2,
        };
        let head_norms = biased(
            names.attention.head_norms.is_some(),
            2 * norm * size(self.head_dim),
        );
        let attention = 2 * h * (q + kv)
            + biased(biases.projections, q + 2 * kv)
            + biased(biases.attention_output, h)
            + head_norms;
        let mlp = match names.mlp {
            MlpNames::Plain { .. } => 2 * h * f + biased(biases.mlp, f + h),
            MlpNames::Gated { .. } | MlpNames::GatedStacked { .. } => {
                3 * h * f + biased(biases.mlp, 2 * f + h)
            }
            MlpNames::Experts { .. } => {
                let experts = self.experts.map_or(0, |experts| size(experts.num_local_experts));
                experts * 3 * h * f + experts * h
            }
        };
        let output_norms = [names.attention_output_norm, names.mlp_output_norm];
        let norms = 2 + output_norms.iter().flatten().count() as u64;
        let positions = match self.positions {
            Positions::Rotary(_) => 0,
            Positions::Learned(rows) => size(rows) * h,
        };
        let head = biased(!self.tie_word_embeddings, v * h) + biased(biases.lm_head, v);
        let layers = size(self.layers.len()) * (attention + mlp + norms * norm * h);
        v * h + positions + layers + norm * h + head
    }

    /// Width of the rows of keys, and of values, that a layer keeps for each token.
    #[must_use]
    pub fn kv_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Bytes of the cache of one sequence of up to `max_tokens` tokens.
    #[must_use]
    pub fn cache_bytes(&self, max_tokens: usize) -> usize {
        let layer =
            |layer: &LayerConfig| LayerCache::bytes_for(self.kv_width(), max_tokens, layer.sliding_window);
        self.layers.iter().map(layer).fold(0, usize::saturating_add)
    }
}
