//! DistilBERT (transformers 5.23, `modeling_distilbert.py`): a BERT without token types, under names of its own.

use super::super::super::config_file::ConfigFile;
use super::super::super::dropout::DropoutConfig;
use super::super::EncoderConfig;
use super::super::config::{
    MAX_HEADS, MAX_HIDDEN_SIZE, MAX_INTERMEDIATE_SIZE, MAX_LAYERS, MAX_TABLE_ROWS, activation, num_labels,
};
use super::{Family, HeadNames, LayerNames};
use crate::error::Result;
use crate::nn::Activation;

pub(super) const FAMILY: Family = Family {
    config,
    prefix: "distilbert.",
    names: LayerNames {
        layer: "transformer.layer",
        query: "attention.q_lin",
        key: "attention.k_lin",
        value: "attention.v_lin",
        attention_output: "attention.out_lin",
        attention_norm: "sa_layer_norm",
        intermediate: "ffn.lin1",
        output: "ffn.lin2",
        attention_end: "attention_adapters",
        end: "output_adapters",
        output_norm: "output_layer_norm",
    },
    head: HeadNames {
        dense_in_model: false,
        dense: "pre_classifier",
        activation: Activation::Relu,
        out_proj: "classifier",
        drops_input: false,
    },
};

/// Fixed in the reference, not configured.
const LAYER_NORM_EPS: f64 = 1e-12;

fn config(file: &ConfigFile, model_type: &str) -> Result<EncoderConfig> {
    let hidden = file.dropout("dropout", 0.1)?;
    EncoderConfig {
        path: file.path().to_owned(),
        model_type: model_type.to_owned(),
        vocab_size: file.size("vocab_size", 1..=MAX_TABLE_ROWS)?,
        hidden_size: file.size("dim", 1..=MAX_HIDDEN_SIZE)?,
        num_hidden_layers: file.size("n_layers", 1..=MAX_LAYERS)?,
        num_attention_heads: file.size("n_heads", 1..=MAX_HEADS)?,
        intermediate_size: file.size("hidden_dim", 1..=MAX_INTERMEDIATE_SIZE)?,
        hidden_act: activation(file, "activation")?,
        max_position_embeddings: file.size("max_position_embeddings", 1..=MAX_TABLE_ROWS)?,
        type_vocab_size: 0,
        layer_norm_eps: LAYER_NORM_EPS,
        padding_idx: None,
        relative_attention_num_buckets: None,
        dropout: DropoutConfig {
            embeddings: hidden,
            attention_output: 0.0,
            attention: file.dropout("attention_dropout", 0.1)?,
            feed_forward: hidden,
            sequence_head: file.dropout("seq_classif_dropout", 0.2)?,
            token_head: hidden,
            span_head: file.dropout("qa_dropout", 0.1)?,
        },
        num_labels: num_labels(file)?,
    }
    .checked(file, "n_heads")
}
