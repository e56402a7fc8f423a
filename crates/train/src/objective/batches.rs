//! Examples in batches where nothing is learned from them.

/// Indices in batches of at most so many tokens (or one example), in their order.
pub(super) fn by_tokens(lengths: &[usize], tokens: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut filled = 0;
    for (index, length) in lengths.iter().enumerate() {
        match batches.last_mut() {
            Some(batch) if filled + length <= tokens => {
                batch.push(index);
                filled += length;
            }
            _ => {
                batches.push(vec![index]);
                filled = *length;
            }
        }
    }
    batches
}
