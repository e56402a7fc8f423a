//! The gate of a gated feed-forward layer (Shazeer 2020, arXiv:2002.05202, section 2).
//!
//! Letters: `t` tokens, `f` width of the feed-forward layer.

use burn::tensor::Tensor;

use super::{Activation, activation};

/// `activation(gate) * up`, component by component.
///
/// # Shapes
///
/// `gate [t, f]`, `up [t, f] -> [t, f]`.
#[must_use]
pub fn gated(gate: Tensor<2>, up: Tensor<2>, activation: Activation) -> Tensor<2> {
    composed(gate, up, activation)
}

pub(super) fn composed(gate: Tensor<2>, up: Tensor<2>, kind: Activation) -> Tensor<2> {
    activation::composed(gate, kind) * up
}
