//! What a frozen encoder makes of texts, computed once.
//!
//! Letters: `t` tokens of all texts, `h` hidden width, `b` texts, `c` classes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Tensor, TensorData};
use ragtune_core::adapters::AdapterBase;
use ragtune_core::models::SequenceClassifier;
use ragtune_core::models::layered::Layered;
use ragtune_core::nn::Context;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use super::Pass;
use super::packing::joined;
use crate::error::Result;

/// The most that is kept, in bytes; what does not fit is computed each time.
const MAX_BYTES: usize = 1 << 30;

/// Ids and types of a text's tokens.
pub(super) type Text<'t> = (&'t [u32], &'t [u32]);

/// The part of a model in front of its head, and what it makes of texts while nothing of it trains.
#[derive(Clone, Debug)]
pub(super) struct Features {
    /// The slots of its modules.
    body: Arc<[String]>,
    kept: Arc<Mutex<Kept>>,
}

/// Numbers of texts by the texts' digests.
#[derive(Debug, Default)]
struct Kept {
    texts: HashMap<[u8; 32], Arc<Vec<f32>>>,
    bytes: usize,
}

impl Features {
    /// Of a model, whose head has the modules at the slots `heads`.
    pub(super) fn new(model: &dyn AdapterBase, heads: &[&str]) -> Self {
        let modules = model.modules();
        let slots = modules.iter().map(|module| module.slot());
        let body = slots.filter(|slot| !heads.contains(slot));
        let ends = model.module_shapes().sublayers().map(|(slot, _)| slot);
        let body = body.chain(ends).map(str::to_owned);
        Self {
            body: body.collect(),
            kept: Arc::default(),
        }
    }

    /// The hidden states of texts.
    ///
    /// # Shapes
    /// `-> [t, h]`.
    pub(super) fn hidden<M: Layered + 'static>(
        &self,
        model: &Arc<M>,
        texts: &[Text<'_>],
        pass: &mut Pass<'_>,
    ) -> Result<Tensor<2>> {
        let (tokens, segments) = joined(texts.iter().copied());
        let t = tokens.ids.len();
        if t == 0 || !self.is_frozen(pass) {
            return pass.hidden(model, tokens, segments);
        }
        let rows = self.rows(texts, |text| {
            let (tokens, segments) = joined(std::iter::once(text));
            let hidden = model.hidden(&tokens, &Context::new(segments))?;
            Ok(hidden.into_data().iter::<f32>().collect())
        })?;
        let width = rows.len() / t;
        Ok(Tensor::from_data(
            TensorData::new(rows, [t, width]),
            model.device(),
        ))
    }

    /// The logits of a model's head over each text.
    ///
    /// # Shapes
    /// `-> [b, c]`.
    pub(super) fn logits<M: Layered + 'static>(
        &self,
        (model, head): (&Arc<M>, &SequenceClassifier),
        texts: &[Text<'_>],
        pass: &mut Pass<'_>,
    ) -> Result<Tensor<2>> {
        let (tokens, segments) = joined(texts.iter().copied());
        let context = pass.context(segments.clone());
        if texts.is_empty() || !self.is_frozen(pass) {
            let hidden = pass.hidden(model, tokens, segments)?; // [t, h]
            return Ok(head.logits(&hidden, &context));
        }
        let rows = self.rows(texts, |text| {
            let (tokens, segments) = joined(std::iter::once(text));
            let context = Context::new(segments);
            let pooled = head.pool(&model.hidden(&tokens, &context)?, &context); // [1, p]
            Ok(pooled.into_data().iter::<f32>().collect())
        })?;
        let width = rows.len() / texts.len();
        let pooled = TensorData::new(rows, [texts.len(), width]);
        Ok(head.logits_of_pooled(Tensor::from_data(pooled, model.device()), &context))
    }

    fn is_frozen(&self, pass: &Pass<'_>) -> bool {
        !self.body.iter().any(|slot| pass.adapters().touches(slot))
    }

    /// The numbers of all texts one behind another. `compute` gives those of one text alone, so that they do not depend on
    /// the batch that the text is first met in; it runs on several threads.
    fn rows(
        &self,
        texts: &[Text<'_>],
        compute: impl Fn(Text<'_>) -> Result<Vec<f32>> + Sync,
    ) -> Result<Vec<f32>> {
        let keys: Vec<[u8; 32]> = texts.iter().map(|text| key(*text)).collect();
        let known: Vec<Option<Arc<Vec<f32>>>> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            keys.iter().map(|key| kept.texts.get(key).cloned()).collect()
        };
        let found: Vec<Arc<Vec<f32>>> = known
            .into_par_iter()
            .zip(texts)
            .map(|(known, text)| match known {
                Some(known) => Ok(known),
                None => compute(*text).map(Arc::new),
            })
            .collect::<Result<_>>()?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, numbers) in keys.into_iter().zip(&found) {
            let bytes = kept.bytes + numbers.len() * size_of::<f32>();
            if bytes <= MAX_BYTES && !kept.texts.contains_key(&key) {
                kept.texts.insert(key, Arc::clone(numbers));
                kept.bytes = bytes;
            }
        }
        Ok(found.iter().flat_map(|numbers| numbers.iter().copied()).collect())
    }
}

fn key((ids, type_ids): Text<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&ids.len().to_le_bytes());
    for id in ids.iter().chain(type_ids) {
        hasher.update(&id.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_text_is_computed_once() {
        let features = Features {
            body: Arc::new([]),
            kept: Arc::default(),
        };
        let calls = AtomicUsize::new(0);
        let texts: [Text<'_>; 3] = [(&[1, 2], &[]), (&[1], &[2]), (&[3], &[])];
        for _ in 0..2 {
            let found = features.rows(&texts, |(ids, type_ids)| {
                calls.fetch_add(1, Ordering::Relaxed);
                Ok(vec![(ids[0] as usize * 10 + type_ids.len()) as f32; ids.len()])
            });
            assert_eq!(found.unwrap(), [10.0, 10.0, 11.0, 30.0]);
        }
        assert_eq!(calls.into_inner(), 3);
        assert_eq!(features.kept.lock().unwrap().bytes, 16);
    }
}
