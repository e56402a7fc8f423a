//! Low-rank adaptation of a linear layer (Hu et al. 2021, arXiv:2106.09685, equation 3).
//!
//! Letters: `t` tokens, `i` input width, `o` output width, `r` rank.

use burn::tensor::Tensor;

/// The pair of matrices whose product, scaled, is added to a weight.
#[derive(Clone, Debug)]
pub struct LowRank {
    a: Tensor<2>,
    b: Tensor<2>,
    scaling: f64,
}

impl LowRank {
    /// The update `scaling b a` of a weight `[o, i]`.
    ///
    /// # Shapes
    ///
    /// `a [r, i]`, `b [o, r]`.
    #[must_use]
    pub fn new(a: Tensor<2>, b: Tensor<2>, scaling: f64) -> Self {
        Self { a, b, scaling }
    }

    /// What is added to the layer's output, `scaling x a^T b^T`.
    ///
    /// # Shapes
    ///
    /// `[t, i] -> [t, o]`.
    #[must_use]
    pub fn side_path(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.a.clone().transpose())
            .matmul(self.b.clone().transpose())
            * self.scaling
    }
}
