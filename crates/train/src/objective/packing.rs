//! Texts of a batch one behind another, and how likely their classes are.
//!
//! Letters: `b` rows, `c` classes.

use burn::tensor::{Int, Tensor, TensorData, activation};
use ragtune_core::models::layered::Tokens;
use ragtune_core::nn::Segments;

/// Texts as ids and types of their tokens; a text without types has the type 0 throughout.
pub(super) fn joined<'t>(texts: impl Iterator<Item = (&'t [u32], &'t [u32])>) -> (Tokens, Segments) {
    let (mut tokens, mut lengths) = (Tokens::default(), Vec::new());
    for (ids, type_ids) in texts {
        lengths.push(ids.len());
        tokens.ids.extend(ids);
        tokens.type_ids.extend(type_ids);
        tokens.type_ids.resize(tokens.ids.len(), 0);
    }
    (tokens, Segments::from_lengths(lengths))
}

/// The logarithm of the probability of one class in each row.
///
/// # Shapes
/// `logits [b, c]`, `classes [b] -> [b]`.
pub(super) fn log_likelihoods(logits: Tensor<2>, classes: &[usize]) -> Tensor<1> {
    let b = classes.len();
    let numbers: Vec<i32> = classes
        .iter()
        .map(|class| i32::try_from(*class).unwrap_or(i32::MAX))
        .collect();
    let numbers = Tensor::<1, Int>::from_data(TensorData::from(numbers.as_slice()), &logits.device().inner());
    let likely = activation::log_softmax(logits, 1).gather(1, numbers.reshape([b, 1])); // [b, 1]
    likely.squeeze_dim(1)
}

/// The sum of the cross entropies of independent decisions: `-(weight target log p + (1 - target) log (1 - p))` with the
/// probability `p` by the sigmoid.
///
/// # Shapes
/// All `[b, c]`; `-> [1]`.
pub(super) fn binary_cross_entropy(logits: Tensor<2>, targets: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    let not = targets.clone().neg() + 1.0;
    let likely = activation::log_sigmoid(logits.clone()) * (targets * weights);
    let unlikely = activation::log_sigmoid(logits.neg()) * not;
    (likely + unlikely).sum().neg()
}

/// The place of the largest number, the first of equals.
pub(super) fn argmax(row: &[f32]) -> usize {
    let best = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (1..row.len()).fold(0, best)
}
