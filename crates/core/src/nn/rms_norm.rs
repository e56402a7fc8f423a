//! Root mean square normalisation with checkpoint names.
//!
//! Letters: `t` tokens, `h` hidden width.

use burn::tensor::Tensor;

use crate::kernels;

/// Brings each row to root mean square 1, then scales its components.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, nn::RmsNorm};
///
/// let device = device::cpu();
/// let norm = RmsNorm::new("model.norm", Tensor::ones([2], &device), 0.0);
/// let y = norm.forward(Tensor::from_floats([[1.0, 7.0]], &device)); // root mean square 5
/// assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [0.2, 1.4]);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RmsNorm {
    slot: String,
    weight: Tensor<1>,
    /// What is added to the stored weight: 1 in the Gemma family.
    offset: f64,
    eps: f64,
}

impl RmsNorm {
    /// A norm with the checkpoint's weight; `eps` is `rms_norm_eps` of `config.json`, added to the mean square.
    ///
    /// # Shapes
    ///
    /// `weight [h]`.
    #[must_use]
    pub fn new(slot: impl Into<String>, weight: Tensor<1>, eps: f64) -> Self {
        Self {
            slot: slot.into(),
            weight,
            offset: 0.0,
            eps,
        }
    }

    /// Scales by `offset + weight` instead of the stored weight.
    #[must_use]
    pub fn with_offset(mut self, offset: f64) -> Self {
        self.offset = offset;
        self
    }

    /// The module path in the checkpoint.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// The weight as the checkpoint stores it.
    ///
    /// # Shapes
    ///
    /// `-> [h]`.
    #[must_use]
    pub fn weight(&self) -> &Tensor<1> {
        &self.weight
    }

    /// The same norm with another stored weight.
    pub(crate) fn with_weight(&self, weight: Tensor<1>) -> Self {
        Self {
            weight,
            ..self.clone()
        }
    }

    /// Normalises each row.
    ///
    /// # Shapes
    ///
    /// `[t, h] -> [t, h]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::rms_norm(x, None, &self.scale(), self.eps).0
    }

    /// Normalises each row of `x + residual`, and gives that sum as well.
    ///
    /// # Shapes
    ///
    /// `x [t, h]`, `residual [t, h] -> ([t, h], [t, h])`.
    #[must_use]
    pub fn forward_residual(&self, x: Tensor<2>, residual: Option<Tensor<2>>) -> (Tensor<2>, Tensor<2>) {
        kernels::rms_norm(x, residual, &self.scale(), self.eps)
    }

    fn scale(&self) -> Tensor<1> {
        match self.offset {
            0.0 => self.weight.clone(),
            offset => self.weight.clone() + offset,
        }
    }
}
