//! MPNet (transformers 5.23, `modeling_mpnet.py`): no token types, positions from behind the padding id, and a bias on
//! attention scores by relative position.

use super::super::super::config_file::ConfigFile;
use super::super::super::dropout::DropoutConfig;
use super::super::EncoderConfig;
use super::super::config::MAX_TABLE_ROWS;
use super::super::position_bias::NUM_BUCKETS;
use super::{Family, HeadNames, LayerNames};
use crate::error::Result;
use crate::nn::Activation;

pub(super) const FAMILY: Family = Family {
    config,
    prefix: "mpnet.",
    names: LayerNames {
        layer: "encoder.layer",
        query: "attention.attn.q",
        key: "attention.attn.k",
        value: "attention.attn.v",
        attention_output: "attention.attn.o",
        attention_norm: "attention.LayerNorm",
        intermediate: "intermediate.dense",
        output: "output.dense",
        attention_end: "attention_adapters",
        end: "output_adapters",
        output_norm: "output.LayerNorm",
    },
    head: HeadNames {
        dense_in_model: false,
        dense: "classifier.dense",
        activation: Activation::Tanh,
        out_proj: "classifier.out_proj",
        drops_input: true,
    },
};

/// Fixed in the reference, whatever `pad_token_id` says.
const PADDING_IDX: u32 = 1;

fn config(file: &ConfigFile, model_type: &str) -> Result<EncoderConfig> {
    let buckets = file
        .optional_size("relative_attention_num_buckets", NUM_BUCKETS..=MAX_TABLE_ROWS)?
        .unwrap_or(NUM_BUCKETS);
    let read = EncoderConfig::read(file, model_type)?;
    Ok(EncoderConfig {
        padding_idx: Some(PADDING_IDX),
        relative_attention_num_buckets: Some(buckets),
        dropout: DropoutConfig {
            // Its heads know no dropout of their own.
            sequence_head: read.dropout.feed_forward,
            token_head: read.dropout.feed_forward,
            ..read.dropout
        },
        ..read
    })
}
