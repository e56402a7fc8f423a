//! The side path of a low-rank update (Hu et al. 2021, arXiv:2106.09685, equation 3).
//!
//! Letters: `t` tokens, `i` input width, `o` output width, `r` rank.

use burn::tensor::Tensor;

use super::{LinearWeight, linear};

/// `scaling dropout(x) a^T b^T`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SidePath<'a> {
    /// `[r, i]`.
    pub a: &'a LinearWeight,
    /// `[o, r]`.
    pub b: &'a LinearWeight,
    /// What the product is multiplied by.
    pub scaling: f64,
    /// Probability and key of the [dropout](super::dropout()) on its input.
    pub dropout: Option<(f64, u64)>,
}

impl<'a> SidePath<'a> {
    /// The path through `a`, then `b`.
    ///
    /// # Shapes
    ///
    /// `a [r, i]`, `b [o, r]`.
    #[must_use]
    pub fn new(a: &'a LinearWeight, b: &'a LinearWeight, scaling: f64) -> Self {
        Self {
            a,
            b,
            scaling,
            dropout: None,
        }
    }

    /// Drops components of the input with a probability, by a key that is used once.
    #[must_use]
    pub fn with_dropout(mut self, dropout: Option<(f64, u64)>) -> Self {
        self.dropout = dropout;
        self
    }
}

/// `y + scaling dropout(x) a^T b^T`, or the path alone where there is no `y`.
///
/// Where gradients are recorded it is one step of the graph, which keeps `x` and the narrow rows between the matrices.
///
/// # Shapes
///
/// `x [t, i]`, `y [t, o] -> [t, o]`.
#[must_use]
pub fn low_rank(x: Tensor<2>, y: Option<Tensor<2>>, path: SidePath<'_>) -> Tensor<2> {
    #[cfg(feature = "autodiff")]
    {
        let weights = [path.a, path.b]
            .into_iter()
            .any(|weight| weight.tracked().is_some());
        if weights || x.is_tracked() || y.as_ref().is_some_and(Tensor::is_tracked) {
            return super::low_rank_gradient::low_rank(x, y, path);
        }
    }
    let x = match path.dropout {
        Some((probability, key)) => super::dropout(x, probability, key),
        None => x,
    };
    plain(x, y, path).0
}

/// The output, and the narrow rows `[t, r]`, of an input from which components have been dropped already.
pub(super) fn plain(x: Tensor<2>, y: Option<Tensor<2>>, path: SidePath<'_>) -> (Tensor<2>, Tensor<2>) {
    // The scaling goes to the narrow rows between the matrices.
    let narrow = linear(x, path.a, None, None) * path.scaling;
    let side = linear(narrow.clone(), path.b, None, None);
    let sum = match y {
        Some(y) => super::sum::sum(y, side),
        None => side,
    };
    (sum, narrow)
}
