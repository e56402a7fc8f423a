//! Multi-head attention between the tokens of each text.
//!
//! Letters: `t` tokens of all texts, `a` heads, `d` width of a head, `m` side of the position bias.

use burn::tensor::Tensor;

use super::Context;
use crate::{
    Error, Result,
    kernels::{self, AttentionOptions},
};

/// Multi-head softmax attention in which every token of a text sees every token of the same text.
///
/// The projections around it are ordinary [`Linear`](super::Linear) layers of the architecture.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use burn::tensor::Tensor;
/// use ragtune_core::{device, nn::{Attention, Context, Segments}};
///
/// let attention = Attention::new(2, 4)?;
/// let context = Context::new(Segments::from_lengths([1, 2]));
/// let x = Tensor::<2>::ones([3, 8], &device::cpu());
/// let y = attention.forward(x.clone(), x.clone(), x, None, &context);
/// assert_eq!(y.dims(), [3, 8]);
/// # }
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    num_attention_heads: usize,
    head_dim: usize,
    scale: f64,
}

impl Attention {
    /// Attention with `num_attention_heads` heads of `head_dim` components, scores scaled by `1 / sqrt(head_dim)`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when there is no head or a head has no component.
    pub fn new(num_attention_heads: usize, head_dim: usize) -> Result<Self> {
        for (argument, value) in [
            ("num_attention_heads", num_attention_heads),
            ("head_dim", head_dim),
        ] {
            if value == 0 {
                return Err(Error::InvalidArgument {
                    argument,
                    reason: "is 0 where at least 1 is needed".to_owned(),
                });
            }
        }
        #[allow(
            clippy::cast_precision_loss,
            reason = "heads have far fewer than 2^52 components"
        )]
        let scale = 1.0 / (head_dim as f64).sqrt();
        Ok(Self {
            num_attention_heads,
            head_dim,
            scale,
        })
    }

    /// Multiplies the scores by `scale` instead of `1 / sqrt(head_dim)`.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// Width `a d` of the rows that [`forward`](Self::forward) takes and gives.
    #[must_use]
    pub fn width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Mixes the values of each text by its attention weights.
    ///
    /// `position_bias` is added to the scaled scores: its entry `[head, i, j]` concerns query token `i` and key token `j`,
    /// counted from the start of a text. Its side must reach the longest text.
    ///
    /// # Shapes
    ///
    /// `query [t, a d]`, `key [t, a d]`, `value [t, a d]`, `position_bias [a, m, m] -> [t, a d]`.
    #[must_use]
    pub fn forward(
        &self,
        query: Tensor<2>,
        key: Tensor<2>,
        value: Tensor<2>,
        position_bias: Option<&Tensor<3>>,
        context: &Context,
    ) -> Tensor<2> {
        let options = AttentionOptions::new(self.num_attention_heads, self.scale);
        let offsets = context.segments().offsets();
        kernels::attention(query, key, value, position_bias, offsets, options)
    }
}
