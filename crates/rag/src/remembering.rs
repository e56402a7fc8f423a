//! An embedder that computes the vector of a text once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ragtune_core::text::{Embedder, Embeddings, Role, TokenCount};

/// Texts that are handed to the embedder at once.
const BATCH: usize = 256;

/// An embedder that keeps every vector, for work that comes back to the same texts.
pub(crate) struct Remembering<E> {
    inner: E,
    known: Mutex<HashMap<(Role, String), Vec<f32>>>,
}

impl<E: Embedder> Remembering<E> {
    /// Nothing is known yet.
    pub fn new(inner: E) -> Self {
        Self {
            inner,
            known: Mutex::default(),
        }
    }
}

impl<E: Embedder> Embedder for Remembering<E> {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn max_tokens(&self) -> usize {
        self.inner.max_tokens()
    }

    /// How many texts were cut is known only of those that are new.
    fn embed(&self, texts: &[&str], role: Role) -> ragtune_core::Result<Embeddings> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<&str> = {
            let known = known();
            let is_new = |text: &&&str| !known.contains_key(&(role, (**text).to_owned()));
            texts.iter().filter(is_new).copied().collect()
        };
        new.sort_unstable();
        new.dedup();
        let mut truncated = 0;
        for batch in new.chunks(BATCH) {
            let vectors = self.inner.embed(batch, role)?;
            vectors.check(self.dim(), batch.len())?;
            truncated += vectors.truncated();
            let rows = batch.iter().zip(vectors.rows());
            known().extend(rows.map(|(text, row)| ((role, (*text).to_owned()), row.to_vec())));
        }
        let known = known();
        let rows = texts
            .iter()
            .filter_map(|text| known.get(&(role, (*text).to_owned())));
        Embeddings::new(self.dim(), rows.flatten().copied().collect(), truncated)
    }

    fn count_tokens(&self, text: &str) -> TokenCount {
        self.inner.count_tokens(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts what it is asked for.
    struct Counting(AtomicUsize);

    impl Embedder for &Counting {
        fn id(&self) -> &str {
            "counting"
        }

        fn dim(&self) -> usize {
            1
        }

        fn max_tokens(&self) -> usize {
            9
        }

        fn embed(&self, texts: &[&str], _: Role) -> ragtune_core::Result<Embeddings> {
            self.0.fetch_add(texts.len(), Ordering::Relaxed);
            Embeddings::from_rows(1, texts.iter().map(|text| vec![text.len() as f32]))
        }
    }

    #[test]
    fn every_text_is_computed_once_for_each_role() {
        let counting = Counting(AtomicUsize::new(0));
        let remembering = Remembering::new(&counting);
        let rows = |texts: &[&str], role| remembering.embed(texts, role).unwrap().as_slice().to_vec();
        assert_eq!(rows(&["b", "aaa", "b"], Role::Query), [1.0, 3.0, 1.0]);
        assert_eq!(rows(&["aaa", "cc"], Role::Query), [3.0, 2.0]);
        assert_eq!(counting.0.load(Ordering::Relaxed), 3);
        assert_eq!(rows(&["aaa"], Role::Document), [3.0]);
        assert_eq!(counting.0.load(Ordering::Relaxed), 4);
        assert!(rows(&[], Role::Query).is_empty());
    }
}
