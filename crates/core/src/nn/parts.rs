//! Splitting a packed batch so that each thread computes its own texts.

use std::ops::Range;

use rayon::prelude::*;

use super::{Context, Segments};
use crate::Result;

/// Tokens of a part, unless one text alone has more: the activations of a part stay in the second-level cache.
const PART_TOKENS: usize = 256;

/// Runs a forward pass on consecutive parts of a batch, in parallel, and returns the results in order.
///
/// Texts do not see each other, so a part yields what the whole batch would; but a thread that carries a few texts through
/// all layers needs no synchronisation between layers, and its activations stay in its cache. `forward` gets the token
/// range of its part and a context with the part's segments.
///
/// # Example
///
/// ```
/// use ragtune_core::nn::{Segments, in_parts};
///
/// let texts = Segments::from_lengths([200, 200, 30]);
/// let parts = in_parts(&texts, |tokens, context| Ok((tokens, context.segments().len())))?;
/// assert_eq!(parts, [(0..200, 1), (200..430, 2)]);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
///
/// # Errors
///
/// The first error of `forward`.
pub fn in_parts<T: Send>(
    segments: &Segments,
    forward: impl Fn(Range<usize>, &Context) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    parts(segments)
        .into_par_iter()
        .map(|(tokens, segments)| forward(tokens, &Context::new(segments)))
        .collect()
}

fn parts(segments: &Segments) -> Vec<(Range<usize>, Segments)> {
    let mut parts = Vec::new();
    let (mut start, mut end, mut lengths) = (0, 0, Vec::new());
    for text in segments.iter() {
        if !lengths.is_empty() && text.end - start > PART_TOKENS {
            parts.push((start..end, Segments::from_lengths(std::mem::take(&mut lengths))));
            start = end;
        }
        lengths.push(text.len());
        end = text.end;
    }
    if !lengths.is_empty() {
        parts.push((start..end, Segments::from_lengths(lengths)));
    }
    parts
}
