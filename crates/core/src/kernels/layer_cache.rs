//! The keys and values that one layer keeps of one sequence.
//!
//! Letters: `t` new tokens, `n` tokens that are held, `g` heads of keys and values, `d` width of a head.

use burn::tensor::{Device, Tensor};

/// Rows that a windowed cache has room for beyond its window, so that rows are moved to the front only once in so many.
const SLACK_ROWS: usize = 512;
/// Rows that are allocated at first at most; a longer sequence doubles the memory as it grows, so that a generous limit
/// on the length of an answer costs nothing until it is used.
const FIRST_ROWS: usize = 4096;

/// Keys and values of one layer, in memory that is allocated before it is needed.
///
/// A layer with a sliding window keeps only what its window can still see.
#[derive(Clone, Debug)]
pub struct LayerCache {
    width: usize,
    window: Option<usize>,
    /// Rows that are allocated at most, unless one pass brings more.
    max_rows: usize,
    /// Position of the first row that is held.
    first: usize,
    /// Rows that are held.
    held: usize,
    keys: Tensor<2>,
    values: Tensor<2>,
}

impl LayerCache {
    /// A cache for up to `max_tokens` tokens of rows of `width = g d` components.
    #[must_use]
    pub fn new(width: usize, max_tokens: usize, window: Option<usize>, device: &Device) -> Self {
        let max_rows = Self::rows_for(max_tokens, window);
        let rows = max_rows.min(FIRST_ROWS);
        Self {
            width,
            window,
            max_rows,
            first: 0,
            held: 0,
            keys: Tensor::zeros([rows, width], device),
            values: Tensor::zeros([rows, width], device),
        }
    }

    /// Bytes that a cache of this shape takes when it is full.
    #[must_use]
    pub fn bytes_for(width: usize, max_tokens: usize, window: Option<usize>) -> usize {
        let rows = Self::rows_for(max_tokens, window);
        rows.saturating_mul(width).saturating_mul(2 * size_of::<f32>())
    }

    fn rows_for(max_tokens: usize, window: Option<usize>) -> usize {
        match window {
            Some(window) => max_tokens.min(window.saturating_add(SLACK_ROWS)),
            None => max_tokens,
        }
    }

    /// Tokens that went in, whether they are still held or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first + self.held
    }

    /// Whether nothing went in yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Position of the first token that is held.
    #[must_use]
    pub fn first(&self) -> usize {
        self.first
    }

    /// Bytes that are allocated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        2 * self.keys.dims()[0] * self.width * size_of::<f32>()
    }

    /// Forgets all but the first `tokens`. `false`, and nothing changed, where the window has already dropped keys that
    /// the next token would look at.
    pub fn truncate(&mut self, tokens: usize) -> bool {
        if tokens >= self.len() {
            return true;
        }
        let needed = self
            .window
            .map_or(0, |window| (tokens + 1).saturating_sub(window));
        if self.first > needed {
            return false;
        }
        self.held = tokens - self.first;
        true
    }

    /// Forgets everything; the memory is kept.
    pub fn clear(&mut self) {
        (self.first, self.held) = (0, 0);
    }

    /// Adds rows at the end, in place where nobody else holds the memory.
    ///
    /// # Shapes
    ///
    /// `keys [t, g d]`, `values [t, g d]`.
    pub(super) fn append(&mut self, keys: Tensor<2>, values: Tensor<2>) {
        let [t, _] = keys.dims();
        let rows = self.keys.dims()[0];
        if self.held + t > rows {
            // The memory grows to its limit; from there on, what no coming query can see goes.
            let kept = match self.window {
                Some(window) if self.held + t > self.max_rows => self.held.min(window.saturating_sub(1)),
                _ => self.held,
            };
            let dropped = self.held - kept;
            let grown = match kept + t > rows {
                true => (kept + t).max(self.max_rows.min(2 * rows)),
                false => rows,
            };
            for store in [&mut self.keys, &mut self.values] {
                let mut fresh = Tensor::zeros([grown, self.width], &store.device());
                if kept > 0 {
                    let old = store.clone().slice([dropped..self.held, 0..self.width]);
                    fresh = fresh.slice_assign([0..kept, 0..self.width], old);
                }
                *store = fresh;
            }
            self.first += dropped;
            self.held = kept;
        }
        for (store, new) in [(&mut self.keys, keys), (&mut self.values, values)] {
            // Taken out, so that the memory has one holder and is written in place.
            let empty = Tensor::zeros([0, self.width], &new.device());
            let taken = std::mem::replace(store, empty);
            *store = write_rows(taken, self.held, new);
        }
        self.held += t;
    }

    /// Components of a row.
    #[cfg(feature = "cpu")]
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The memory of keys and of values, of which the first `len - first` rows are held.
    #[cfg(feature = "cpu")]
    pub(super) fn stores(&self) -> (Tensor<2>, Tensor<2>) {
        (self.keys.clone(), self.values.clone())
    }

    /// The rows that are held, oldest first.
    ///
    /// # Shapes
    ///
    /// `-> [n, g d]` of keys and of values.
    pub(super) fn rows(&self) -> (Tensor<2>, Tensor<2>) {
        let held = [0..self.held, 0..self.width];
        (
            self.keys.clone().slice(held.clone()),
            self.values.clone().slice(held),
        )
    }
}

/// `store` with the rows of `new` from row `at` on.
fn write_rows(store: Tensor<2>, at: usize, new: Tensor<2>) -> Tensor<2> {
    let [t, width] = new.dims();
    #[cfg(feature = "cpu")]
    let (store, new) = {
        use super::cpu::{self, from_flex, into_flex};
        match (into_flex(store), into_flex(new)) {
            (Ok(store), Ok(new)) => return from_flex(cpu::write_rows(store, at, new)),
            (store, new) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(store), tensor(new))
            }
        }
    };
    store.slice_assign([at..at + t, 0..width], new)
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use super::*;
    use crate::device;
    use burn::tensor::TensorData;

    /// Rows of two components that say their position.
    fn numbered(from: usize, rows: usize) -> Tensor<2> {
        let values: Vec<f32> = (from..from + rows)
            .flat_map(|at| [at as f32, -(at as f32)])
            .collect();
        Tensor::from_data(TensorData::new(values, [rows, 2]), &device::cpu())
    }

    fn firsts(rows: Tensor<2>) -> Vec<f32> {
        rows.into_data().iter::<f32>().step_by(2).collect()
    }

    #[test]
    fn memory_grows_with_the_sequence_and_windows_drop_only_what_is_past() {
        let limit = 3 * FIRST_ROWS;
        for window in [None, Some(FIRST_ROWS + 100)] {
            let mut cache = LayerCache::new(2, limit, window, &device::cpu());
            assert_eq!(cache.bytes(), 2 * FIRST_ROWS * 2 * size_of::<f32>());
            for from in (0..limit).step_by(SLACK_ROWS) {
                cache.append(numbered(from, SLACK_ROWS), numbered(from, SLACK_ROWS));
                assert_eq!(cache.len(), from + SLACK_ROWS);
                let (keys, values) = cache.rows();
                let seen: Vec<f32> = (cache.first()..cache.len()).map(|at| at as f32).collect();
                assert_eq!(firsts(keys), seen);
                assert_eq!(firsts(values), seen);
                let visible = window.map_or(0, |window| (cache.len() + 1).saturating_sub(window));
                assert!(cache.first() <= visible);
            }
            assert!(cache.bytes() <= LayerCache::bytes_for(2, limit, window));
        }
    }

    #[test]
    fn a_limit_beyond_all_memory_costs_nothing() {
        let cache = LayerCache::new(64, usize::MAX, None, &device::cpu());
        assert_eq!(cache.bytes(), 2 * FIRST_ROWS * 64 * size_of::<f32>());
    }
}
