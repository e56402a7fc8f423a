//! Arrays as bytes, least significant first.

use rayon::prelude::*;

use super::format::{Sum, sum};
use crate::index::codes::Line;

/// What arrays are of.
pub(super) trait Word: Copy + Send + Sync {
    const BYTES: usize;
    const ZERO: Self;

    fn put(self, bytes: &mut [u8]);

    fn get(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($type:ty, $zero:expr) => {
        impl Word for $type {
            const BYTES: usize = size_of::<Self>();
            const ZERO: Self = $zero;

            #[inline(always)]
            fn put(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }

            #[inline(always)]
            fn get(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }
        }
    };
}

number!(u8, 0);
number!(u32, 0);
number!(i64, 0);
number!(f32, 0.0);

impl Word for Line {
    const BYTES: usize = 64;
    const ZERO: Self = Self::ZERO;

    #[inline(always)]
    fn put(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn get(bytes: &[u8]) -> Self {
        let mut own = [0; 64];
        own.copy_from_slice(bytes);
        Self(own)
    }
}

/// The bytes of some words.
pub(super) fn to_bytes<T: Word>(words: &[T], into: &mut Vec<u8>) {
    into.clear();
    into.resize(words.len() * T::BYTES, 0);
    for (bytes, word) in into.chunks_exact_mut(T::BYTES).zip(words) {
        word.put(bytes);
    }
}

/// Reads words whose bytes have these checksums, block by block; `None` where a block is not as it was written. What is
/// verified is the copy and not what it was made from, which is a file that others can reach.
pub(super) fn read<T: Word>(bytes: &[u8], block_bytes: usize, sums: &[Sum]) -> Option<Vec<T>> {
    let mut words = vec![T::ZERO; bytes.len() / T::BYTES];
    let is_whole = words
        .par_chunks_mut(block_bytes / T::BYTES)
        .zip(bytes.par_chunks(block_bytes))
        .zip(sums)
        .map_init(Vec::new, |copy, ((words, bytes), wanted)| {
            copy.clear();
            copy.extend_from_slice(bytes);
            if sum(copy) != *wanted {
                return false;
            }
            for (word, bytes) in words.iter_mut().zip(copy.chunks_exact(T::BYTES)) {
                *word = T::get(bytes);
            }
            true
        })
        .all(|is_whole| is_whole);
    is_whole.then_some(words)
}
