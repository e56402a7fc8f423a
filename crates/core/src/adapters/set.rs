//! The weights of one adapter, by slot.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::LowRank;
use crate::nn::Linear;

/// What was trained beside one base model.
#[derive(Clone, Debug, Default)]
pub struct AdapterSet {
    low_rank: BTreeMap<String, LowRank>,
}

impl AdapterSet {
    /// A set without weights.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the pair of a linear layer.
    #[must_use]
    pub fn with_low_rank(mut self, slot: impl Into<String>, pair: LowRank) -> Self {
        self.low_rank.insert(slot.into(), pair);
        self
    }

    /// Whether the set has weights for a slot.
    #[must_use]
    pub fn touches(&self, slot: &str) -> bool {
        self.low_rank.contains_key(slot)
    }

    /// The layer's output `y` of the rows `x`, changed by this set with a weight.
    ///
    /// # Shapes
    ///
    /// `x [t, i]`, `y [t, o] -> [t, o]`.
    pub(crate) fn apply(&self, layer: &Linear, x: &Tensor<2>, y: Tensor<2>, weight: f64) -> Tensor<2> {
        match self.low_rank.get(layer.slot()) {
            Some(pair) => y + pair.side_path(x.clone()) * weight,
            None => y,
        }
    }
}
