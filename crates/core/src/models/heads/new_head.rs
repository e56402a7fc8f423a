//! A head that nobody trained yet.
//!
//! Letters: `i` input width, `o` output width.

use burn::tensor::{Device, Tensor, TensorData};

use super::classification::HeadPooling;
use super::{Labels, ProblemType};
use crate::error::Result;
use crate::generation::Random;
use crate::nn::Linear;

/// What a new classification head is like: weights are drawn from N(0, `initializer_range`), biases are 0 (and a decoder's
/// head has none), as in transformers.
///
/// ```
/// use ragtune_core::models::{HeadPooling, Labels, NewHead};
/// let head = NewHead::new(Labels::new(["ham", "spam"])?).with_seed(7).with_pooling(HeadPooling::FirstToken);
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NewHead {
    pub(super) labels: Labels,
    pub(super) problem_type: ProblemType,
    pub(super) pooling: Option<HeadPooling>,
    pub(super) seed: u64,
}

impl NewHead {
    /// A head for these classes, one of which a text has.
    #[must_use]
    pub fn new(labels: Labels) -> Self {
        Self {
            labels,
            problem_type: ProblemType::default(),
            pooling: None,
            seed: 0,
        }
    }

    /// What the head's numbers are; [`ProblemType::SingleLabel`] by default.
    #[must_use]
    pub fn with_problem_type(mut self, problem_type: ProblemType) -> Self {
        self.problem_type = problem_type;
        self
    }

    /// What the head reads; by default the last token of a decoder, the pooled vectors of a sentence-transformers folder, and the
    /// first token of any other encoder.
    #[must_use]
    pub fn with_pooling(mut self, pooling: HeadPooling) -> Self {
        self.pooling = Some(pooling);
        self
    }

    /// The seed of the weights; 0 by default.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// A layer with weights from N(0, `deviation`) and a bias of zeros.
pub(super) fn new_linear(
    slot: &str,
    (i, o): (usize, usize),
    deviation: f64,
    random: &mut Random,
    device: &Device,
) -> Result<Linear> {
    Linear::new(
        slot,
        new_weight((i, o), deviation, random, device),
        Some(Tensor::zeros([o], device)),
    )
}

/// A layer with weights from N(0, `deviation`) and no bias.
pub(super) fn new_projection(
    slot: &str,
    dims: (usize, usize),
    deviation: f64,
    random: &mut Random,
    device: &Device,
) -> Result<Linear> {
    Linear::new(slot, new_weight(dims, deviation, random, device), None)
}

fn new_weight((i, o): (usize, usize), deviation: f64, random: &mut Random, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(normal(i * o, deviation, random), [o, i]), device)
}

/// Numbers from N(0, `deviation`) (Box and Muller 1958, doi:10.1214/aoms/1177706645).
fn normal(count: usize, deviation: f64, random: &mut Random) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(count + 1);
    while numbers.len() < count {
        // 1 - u is never 0.
        let radius = (-2.0 * (1.0 - random.next_f64()).ln()).sqrt() * deviation;
        let angle = std::f64::consts::TAU * random.next_f64();
        numbers.extend([(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]);
    }
    numbers.truncate(count);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_normal() {
        let numbers = normal(20_001, 0.02, &mut Random::new(3));
        let mean = numbers.iter().sum::<f32>() / 20_001.0;
        let variance = numbers.iter().map(|x| x * x).sum::<f32>() / 20_001.0;
        assert!(
            mean.abs() < 1e-3 && (variance.sqrt() - 0.02).abs() < 1e-3,
            "{mean} {variance}"
        );
        assert_eq!(numbers, normal(20_001, 0.02, &mut Random::new(3)));
    }
}
