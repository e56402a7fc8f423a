//! Texts with the virtual tokens of their adapters in front (prompt tuning, Lester et al. 2021, arXiv:2104.08691).
//!
//! A virtual token is an id behind the vocabulary: id `v + i` is row `i` of the text's prompt. So positions, caches and
//! masks need know nothing of them.
//!
//! Letters: `t` tokens of all texts, `h` hidden width, `v` vocabulary.

use std::ops::Range;

use burn::tensor::Tensor;

use super::model::DecoderModel;
use crate::adapters::AdapterStack;
use crate::error::{Error, Result};
use crate::nn::{Context, Segments};

/// A packed batch whose texts begin with virtual tokens.
#[derive(Clone, Debug)]
pub struct Prompted {
    /// Ids with those of the virtual tokens.
    pub ids: Vec<u32>,
    /// The circumstances of the longer texts.
    pub context: Context,
    /// Where the tokens of the texts themselves stand, rising.
    pub real: Vec<usize>,
}

impl DecoderModel {
    /// The ids of the virtual tokens that stand before a text with these adapters.
    #[must_use]
    pub fn virtual_ids(&self, adapters: &AdapterStack) -> Vec<u32> {
        let vocabulary = self.words().num_embeddings();
        let rows = adapters.virtual_tokens(self.words().slot());
        (vocabulary..vocabulary + rows)
            .filter_map(|id| u32::try_from(id).ok())
            .collect()
    }

    /// The batch with virtual tokens before every text whose adapters have some; `None` where no text lacks any. A text that
    /// goes on behind cached tokens has them in its cache, and one that begins with virtual ids has them already.
    pub fn prompted(&self, ids: &[u32], context: &Context) -> Option<Prompted> {
        let vocabulary = self.words().num_embeddings();
        let slot = self.words().slot();
        let needed = |text: usize, range: &Range<usize>| {
            let rows = context
                .adapters()
                .get(text)
                .map_or(0, |stack| stack.virtual_tokens(slot));
            let begins = ids.get(range.start).is_some_and(|id| (*id as usize) < vocabulary);
            match !range.is_empty() && context.start(text) == 0 && begins {
                true => rows,
                false => 0,
            }
        };
        let texts: Vec<(Range<usize>, usize)> = context
            .segments()
            .iter()
            .enumerate()
            .map(|(text, range)| (range.clone(), needed(text, &range)))
            .collect();
        if ids.len() != context.segments().tokens() || texts.iter().all(|(_, rows)| *rows == 0) {
            return None;
        }
        let (mut longer, mut real) = (Vec::new(), Vec::with_capacity(ids.len()));
        for (range, rows) in &texts {
            longer.extend((vocabulary..vocabulary + rows).filter_map(|id| u32::try_from(id).ok()));
            real.extend(longer.len()..longer.len() + range.len());
            longer.extend_from_slice(&ids[range.clone()]);
        }
        let segments = Segments::from_lengths(texts.iter().map(|(range, rows)| range.len() + rows));
        let context = context.with_longer(segments);
        Some(Prompted {
            ids: longer,
            context,
            real,
        })
    }

    /// The embeddings of words of a batch, in which virtual tokens stand at the beginning of texts only.
    ///
    /// # Shapes
    /// `ids [t] -> [t, h]`.
    pub(super) fn words_and_prompts(&self, ids: &[u32], context: &Context) -> Result<Tensor<2>> {
        let (table, scale) = (self.words(), self.shape().embedding_scale);
        let scaled = |x: Tensor<2>| match scale {
            1.0 => x,
            scale => x * scale,
        };
        let vocabulary = table.num_embeddings();
        let is_virtual = |id: &u32| *id as usize >= vocabulary;
        if !ids.iter().any(is_virtual) {
            return Ok(scaled(table.forward_adapted(ids, context)?));
        }
        // 1. The words of all texts.
        let real: Vec<usize> = (0..ids.len()).filter(|at| !is_virtual(&ids[*at])).collect();
        let words: Vec<u32> = real.iter().map(|at| ids[*at]).collect();
        let h = table.embedding_dim();
        let words = match words.is_empty() {
            true => None,
            false => Some(scaled(table.forward_adapted(&words, &context.gathered(&real))?)),
        };
        // 2. Before those of each text its rows. They are not scaled, as they take the place of what embeddings become.
        let (mut parts, mut taken) = (Vec::new(), 0);
        for (text, range) in context.segments().iter().enumerate() {
            let ids = &ids[range];
            let rows = ids.iter().take_while(|id| is_virtual(id)).count();
            if rows > 0 {
                let prompt = context
                    .adapters()
                    .get(text)
                    .and_then(|stack| stack.prompt(table.slot()));
                let first = ids[0] as usize - vocabulary;
                let found = prompt.as_ref().map_or(0, |prompt| prompt.dims()[0]);
                let Some(prompt) = prompt.filter(|_| first + rows <= found) else {
                    return Err(Error::UnknownId {
                        table: table.slot().to_owned(),
                        id: ids[0],
                        rows: vocabulary + found,
                    });
                };
                parts.push(prompt.slice([first..first + rows, 0..h]));
            }
            let count = ids.len() - rows;
            if let (Some(words), true) = (&words, count > 0) {
                if let Some(id) = ids[rows..].iter().find(|id| is_virtual(id)) {
                    return Err(Error::UnknownId {
                        table: table.slot().to_owned(),
                        id: *id,
                        rows: vocabulary,
                    });
                }
                parts.push(words.clone().slice([taken..taken + count, 0..h]));
                taken += count;
            }
        }
        Ok(Tensor::cat(parts, 0))
    }
}
