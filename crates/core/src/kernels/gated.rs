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
    #[cfg(feature = "autodiff")]
    if gate.is_tracked() || up.is_tracked() {
        return super::pointwise_gradient::gated(gate, up, activation);
    }
    #[cfg(feature = "cpu")]
    let (gate, up) = {
        use super::cpu::{self, from_flex, into_flex};
        let fits = gate.dims() == up.dims();
        match (into_flex(gate), into_flex(up)) {
            (Ok(gate), Ok(up)) if fits => return from_flex(cpu::gated(gate, up, activation)),
            (gate, up) => {
                let tensor = |side: Result<_, _>| side.map_or_else(|tensor| tensor, from_flex);
                (tensor(gate), tensor(up))
            }
        }
    };
    composed(gate, up, activation)
}

pub(super) fn composed(gate: Tensor<2>, up: Tensor<2>, kind: Activation) -> Tensor<2> {
    activation::composed(gate, kind) * up
}
