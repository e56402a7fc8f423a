//! A causal language model: its shape, and the memory for weights and cache.

use std::collections::BTreeMap;

use crate::table;
use ragtune::core::models::{Decoder, DecoderConfig, Positions};
use ragtune::core::weights::{ModelFiles, Precision};
use serde_json::json;

use super::folder::Found;
use super::tensors::{Tensors, size, thousands};

/// Names of tables of words and output layers, in any family.
const TABLES: [&str; 5] = ["embed_tokens", "embed_in", "embed_out", "wte", "lm_head"];
/// Context lengths that are shown when none is asked for, as far as the model goes.
const CONTEXTS: [usize; 5] = [2_048, 8_192, 32_768, 131_072, 1_048_576];

pub fn find(files: &ModelFiles, contexts: &[usize]) -> Result<Found, Box<dyn std::error::Error>> {
    let config = Decoder::config(files)?;
    let checkpoint = files.checkpoint()?;
    let is_table = |name: &str| TABLES.iter().any(|table| name.contains(table));
    let is_copy = |name: &str| config.tie_word_embeddings && name.contains("lm_head");
    let tensors = Tensors::count(&checkpoint, is_table, is_copy);

    let contexts = contexts_of(&config, contexts);
    let weights = Precision::ALL.map(|precision| {
        // Tables of words are never below int8.
        let of_tables = precision.bits().max(Precision::Int8.bits());
        let bits = tensors.matrices as f64 * precision.bits() + tensors.tables as f64 * of_tables;
        (precision.to_string(), (bits / 8.0) as u64 + tensors.rest * 4)
    });
    let memory: Vec<_> = contexts
        .iter()
        .map(|&context| {
            let cache = config.cache_bytes(context) as u64;
            let totals: BTreeMap<&str, u64> = weights
                .iter()
                .map(|(name, bytes)| (name.as_str(), bytes.saturating_add(cache)))
                .collect();
            json!({"context": context, "cache": cache, "total": totals})
        })
        .collect();
    let by_precision = BTreeMap::from(weights.clone());
    let windows: Vec<Option<usize>> = config.layers.iter().map(|layer| layer.sliding_window).collect();
    let json = json!({
        "kind": "language model",
        "architecture": {
            "model_type": config.model_type,
            "layers": config.num_hidden_layers(),
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "attention_heads": config.num_attention_heads,
            "key_value_heads": config.num_key_value_heads,
            "head_dim": config.head_dim,
            "vocab_size": config.vocab_size,
            "context": config.max_position_embeddings,
            "sliding_windows": windows,
            "positions": positions(&config),
            "experts": config.experts.map(|experts| experts.num_local_experts),
            "experts_per_token": config.experts.map(|experts| experts.num_experts_per_tok),
            "tied_embeddings": config.tie_word_embeddings,
        },
        "weights": tensors.json(),
        "weight_memory": by_precision,
        "memory": memory,
    });
    Ok(Found {
        json,
        text: text(&config, &tensors, &weights, &contexts),
    })
}

/// The context lengths to show: those asked for, or the usual ones up to the model's own and that.
fn contexts_of(config: &DecoderConfig, asked: &[usize]) -> Vec<usize> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    let most = config.max_position_embeddings;
    let mut contexts: Vec<usize> = CONTEXTS.into_iter().filter(|context| *context < most).collect();
    contexts.push(most);
    contexts
}

fn positions(config: &DecoderConfig) -> &'static str {
    match config.positions {
        Positions::Learned(_) => "learned",
        _ => "rotary",
    }
}

fn text(config: &DecoderConfig, tensors: &Tensors, weights: &[(String, u64)], contexts: &[usize]) -> String {
    let mut text = format!(
        "architecture  {}, {} layers, hidden width {}, feed-forward width {}, {} heads of {}, {} of keys and values, \
         vocabulary {}\n",
        config.model_type,
        config.num_hidden_layers(),
        config.hidden_size,
        config.intermediate_size,
        config.num_attention_heads,
        config.head_dim,
        config.num_key_value_heads,
        thousands(config.vocab_size as u64)
    );
    if let Some(experts) = config.experts {
        text += &format!(
            "experts       {}, of which a token uses {}\n",
            experts.num_local_experts, experts.num_experts_per_tok
        );
    }
    text += &format!(
        "context       {} tokens, {} positions{}\n",
        thousands(config.max_position_embeddings as u64),
        positions(config),
        windows(config)
    );
    text += &tensors.text();
    if config.tie_word_embeddings {
        text += "              the output layer is the table of words\n";
    }
    text += &format!(
        "cache         {} for each token{}\n",
        size((2 * config.kv_width() * size_of::<f32>() * config.num_hidden_layers()) as u64),
        match config.layers.iter().any(|layer| layer.sliding_window.is_some()) {
            true => " until the windows are full",
            false => "",
        }
    );
    text += "\nmemory for weights and the cache of one text; matrices in the precision of the column, with it tables of \
             words in int8 beside int4, the rest in f32\n";
    let mut header = vec!["context", "cache"];
    header.extend(weights.iter().map(|(name, _)| name.as_str()));
    let row = |context: usize| {
        let cache = match context {
            0 => 0,
            context => config.cache_bytes(context) as u64,
        };
        let label = match context {
            0 => "weights alone".to_owned(),
            context => thousands(context as u64),
        };
        let totals = weights.iter().map(|(_, bytes)| size(bytes.saturating_add(cache)));
        [label, size(cache)].into_iter().chain(totals).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = [0].iter().chain(contexts).map(|context| row(*context)).collect();
    text + &table::render(&header, &rows)
}

fn windows(config: &DecoderConfig) -> String {
    let windowed: Vec<usize> = config
        .layers
        .iter()
        .filter_map(|layer| layer.sliding_window)
        .collect();
    match windowed.first() {
        None => String::new(),
        Some(window) => format!(
            "; {} of {} layers see the last {} tokens only",
            windowed.len(),
            config.num_hidden_layers(),
            thousands(*window as u64)
        ),
    }
}
