//! Token ids to the first hidden states.
//!
//! Letters: `t` tokens of all texts, `h` hidden width.

use burn::tensor::Tensor;

use super::EncoderConfig;
use crate::adapters::Module;
use crate::error::{Error, Result};
use crate::nn::{Context, Dropout, Embedding, LayerNorm};
use crate::weights::Loader;

/// Words, positions and token types, added and normalised.
#[derive(Debug)]
pub(super) struct Embeddings {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Option<Embedding>,
    layer_norm: LayerNorm,
    dropout: Dropout,
    padding_idx: Option<u32>,
    max_tokens: usize,
}

impl Embeddings {
    pub(super) fn load(config: &EncoderConfig, loader: &Loader<'_>) -> Result<Self> {
        let h = config.hidden_size;
        let table = |name: &str, rows: usize| -> Result<Embedding> {
            let slot = format!("embeddings.{name}");
            let weight = loader.tensor(&format!("{slot}.weight"), [rows, h])?;
            Ok(Embedding::new(slot, weight))
        };
        Ok(Self {
            word_embeddings: table("word_embeddings", config.vocab_size)?,
            position_embeddings: table("position_embeddings", config.max_position_embeddings)?,
            token_type_embeddings: match config.type_vocab_size {
                0 => None,
                rows => Some(table("token_type_embeddings", rows)?),
            },
            layer_norm: layer_norm(config, loader, "embeddings.LayerNorm")?,
            dropout: Dropout::new("embeddings.dropout", config.dropout.embeddings),
            padding_idx: config.padding_idx,
            max_tokens: config.max_tokens(),
        })
    }

    /// # Shapes
    /// `ids [t]`, `type_ids [t] -> [t, h]`.
    pub(super) fn forward(&self, ids: &[u32], type_ids: &[u32], context: &Context) -> Result<Tensor<2>> {
        // 1. Lengths that the tables do not have are caught here, by their right name.
        let (tokens, longest) = (context.segments().tokens(), context.segments().longest());
        // Without any type, all are of type 0.
        let no_types = vec![0; if type_ids.is_empty() { tokens } else { 0 }];
        let type_ids = if type_ids.is_empty() { &no_types } else { type_ids };
        for (what, found) in [
            ("the list of token ids", ids.len()),
            ("the list of token types", type_ids.len()),
        ] {
            if tokens != found {
                return Err(Error::Dimension {
                    what: what.to_owned(),
                    expected: tokens,
                    found,
                });
            }
        }
        if longest > self.max_tokens {
            return Err(Error::Dimension {
                what: "a text (in tokens, special tokens included; the model takes no more)".to_owned(),
                expected: self.max_tokens,
                found: longest,
            });
        }
        // 2. Words, positions and types.
        let x = self.word_embeddings.forward_adapted(ids, context)?; // [t, h]
        let x = x + self
            .position_embeddings
            .forward_adapted(&self.positions(ids, context), context)?;
        let x = match &self.token_type_embeddings {
            Some(types) if types.num_embeddings() > 1 => x + types.forward_adapted(type_ids, context)?,
            // A single type is everybody's: tokenizers number pairs 0 and 1 all the same.
            Some(types) => x + types.forward_adapted(&vec![0; ids.len()], context)?,
            None => x,
        };
        // 3. Norm, and what a pass that trains drops.
        let x = self.layer_norm.forward_adapted(x, None, context);
        Ok(self.dropout.forward(x, context))
    }

    /// The modules that adapters can change, in the order of the data flow.
    pub(super) fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>) {
        into.push(Module::Embedding(&self.word_embeddings));
        into.push(Module::Embedding(&self.position_embeddings));
        into.extend(self.token_type_embeddings.as_ref().map(Module::Embedding));
        into.push(Module::LayerNorm(&self.layer_norm));
    }

    /// Positions within each text. With a padding id, as RoBERTa's `create_position_ids_from_input_ids`: they count
    /// from behind that id, and tokens of that id keep it and are not counted.
    fn positions(&self, ids: &[u32], context: &Context) -> Vec<u32> {
        let Some(padding_idx) = self.padding_idx else {
            return context.segments().positions();
        };
        let mut positions = Vec::with_capacity(ids.len());
        for range in context.segments().iter() {
            let mut position = padding_idx;
            positions.extend(ids[range].iter().map(|&id| {
                if id == padding_idx {
                    padding_idx
                } else {
                    position += 1;
                    position
                }
            }));
        }
        positions
    }
}

/// A layer norm of the hidden width.
pub(super) fn layer_norm(config: &EncoderConfig, loader: &Loader<'_>, slot: &str) -> Result<LayerNorm> {
    let weight = loader.tensor(&format!("{slot}.weight"), [config.hidden_size])?;
    let bias = loader.tensor(&format!("{slot}.bias"), [config.hidden_size])?;
    LayerNorm::new(slot, weight, bias, config.layer_norm_eps)
}
