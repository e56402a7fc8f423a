//! Multi-head attention between the tokens of each text.
//!
//! Letters: `t` tokens of all texts, `a` heads of queries, `g` heads of keys and values, `d` width of a head, `m` side of the
//! position bias.

use burn::tensor::Tensor;

use super::Context;
use super::context::slot_hash;
use crate::{
    Error, Result,
    kernels::{self, AttentionOptions, LayerCache},
};

/// Multi-head softmax attention between the tokens of each text; without more, every token of a text sees every other.
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
    head_dim: usize,
    options: AttentionOptions,
    /// Probability and slot, hashed, of the dropout of its weights.
    dropout: (f64, u64),
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
            head_dim,
            options: AttentionOptions::new(num_attention_heads, scale),
            dropout: (0.0, 0),
        })
    }

    /// Multiplies the scores by `scale` instead of `1 / sqrt(head_dim)`.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.options.scale = scale;
        self
    }

    /// Drops weights with a probability in passes that train the model with its dropout
    /// ([`Context::with_model_dropout`]); `slot` is its place in the model.
    #[must_use]
    pub fn with_dropout(mut self, slot: &str, probability: f64) -> Self {
        self.dropout = (probability, slot_hash(slot));
        self
    }

    /// Lets query heads share key and value heads.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] unless `num_key_value_heads` divides the number of query heads.
    pub fn with_kv_heads(mut self, num_key_value_heads: usize) -> Result<Self> {
        let heads = self.options.heads;
        if num_key_value_heads == 0 || !heads.is_multiple_of(num_key_value_heads) {
            return Err(Error::InvalidArgument {
                argument: "num_key_value_heads",
                reason: format!("{num_key_value_heads} does not divide the {heads} attention heads"),
            });
        }
        self.options = self.options.with_kv_heads(num_key_value_heads);
        Ok(self)
    }

    /// Lets a token see only itself and what stands before it, of that at most a window, itself included.
    #[must_use]
    pub fn with_causal(mut self, window: Option<usize>) -> Self {
        self.options = self.options.with_causal(window);
        self
    }

    /// Width `a d` of the rows of queries that [`forward`](Self::forward) takes, and of what it gives.
    #[must_use]
    pub fn width(&self) -> usize {
        self.options.heads * self.head_dim
    }

    /// Width `g d` of the rows of keys and of values.
    #[must_use]
    pub fn kv_width(&self) -> usize {
        self.options.kv_heads * self.head_dim
    }

    /// Mixes the values of each text by its attention weights.
    ///
    /// `position_bias` is added to the scaled scores: its entry `[head, i, j]` concerns query token `i` and key token `j`,
    /// counted from the start of a text. Its side must reach the longest text.
    ///
    /// # Shapes
    ///
    /// `query [t, a d]`, `key [t, g d]`, `value [t, g d]`, `position_bias [a, m, m] -> [t, a d]`.
    #[must_use]
    pub fn forward(
        &self,
        query: Tensor<2>,
        key: Tensor<2>,
        value: Tensor<2>,
        position_bias: Option<&Tensor<3>>,
        context: &Context,
    ) -> Tensor<2> {
        let offsets = context.segments().offsets();
        let (probability, slot) = self.dropout;
        let mut options = self.options;
        options.dropout = context
            .model_dropout_key(slot)
            .filter(|_| probability > 0.0)
            .map(|key| (probability, key));
        kernels::attention(query, key, value, position_bias, offsets, options)
    }

    /// Causal attention to the new tokens and to what each text's cache holds; keys and values go into the caches.
    ///
    /// # Shapes
    ///
    /// `query [t, a d]`, `key [t, g d]`, `value [t, g d]`, one cache for each text `-> [t, a d]`.
    #[must_use]
    pub fn forward_cached(
        &self,
        query: Tensor<2>,
        key: Tensor<2>,
        value: Tensor<2>,
        caches: &mut [&mut LayerCache],
        context: &Context,
    ) -> Tensor<2> {
        let offsets = context.segments().offsets();
        kernels::attention_cached(query, key, value, caches, offsets, self.options)
    }
}
