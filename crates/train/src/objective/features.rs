//! What a frozen encoder makes of texts, computed once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use crate::error::Result;

/// The most that is kept, in bytes; what does not fit is computed each time.
const MAX_BYTES: usize = 1 << 30;

/// Vectors of texts by the texts' digests.
#[derive(Clone, Debug, Default)]
pub(super) struct Features {
    kept: Arc<Mutex<HashMap<[u8; 32], Arc<Vec<f32>>>>>,
}

impl Features {
    /// The vectors of texts in their order. `compute` is called for those that are not known, with their numbers, on
    /// several threads; what it gives must depend on nothing but the text.
    pub(super) fn of(
        &self,
        texts: &[(&[u32], &[u32])],
        compute: impl Fn(usize) -> Result<Vec<f32>> + Sync,
    ) -> Result<Vec<Arc<Vec<f32>>>> {
        let keys: Vec<[u8; 32]> = texts.iter().map(|(ids, type_ids)| key(ids, type_ids)).collect();
        let known: Vec<Option<Arc<Vec<f32>>>> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            keys.iter().map(|key| kept.get(key).cloned()).collect()
        };
        let found: Vec<Arc<Vec<f32>>> = known
            .into_par_iter()
            .enumerate()
            .map(|(number, known)| match known {
                Some(known) => Ok(known),
                None => compute(number).map(Arc::new),
            })
            .collect::<Result<_>>()?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, vector) in keys.into_iter().zip(&found) {
            if (kept.len() + 1) * vector.len() * size_of::<f32>() <= MAX_BYTES {
                kept.entry(key).or_insert_with(|| Arc::clone(vector));
            }
        }
        Ok(found)
    }

    /// Number of texts that are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn key(ids: &[u32], type_ids: &[u32]) -> [u8; 32] {
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
        let features = Features::default();
        let calls = AtomicUsize::new(0);
        let texts: [(&[u32], &[u32]); 3] = [(&[1, 2], &[]), (&[1], &[2]), (&[3], &[])];
        for _ in 0..2 {
            let found = features
                .of(&texts, |number| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    Ok(vec![number as f32])
                })
                .unwrap();
            let found: Vec<f32> = found.iter().map(|vector| vector[0]).collect();
            assert_eq!(found, [0.0, 1.0, 2.0]);
        }
        assert_eq!((calls.into_inner(), features.len()), (3, 3));
    }
}
