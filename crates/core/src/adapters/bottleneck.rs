//! Bottleneck adapters (Houlsby et al. 2019, arXiv:1902.00751, section 2.1; Pfeiffer et al. 2020, arXiv:2005.00247,
//! section 3.2.2): a narrow feed-forward network with a residual connection, behind a sublayer.
//!
//! Letters: `t` tokens, `h` hidden width, `r` width of the bottleneck.

use burn::tensor::Tensor;

use crate::kernels::{self, Activation, LinearWeight};

/// `y + scaling up(activation(down(x)))` behind a sublayer that gives `y`; `x` is `y` as well, or the stream of hidden states
/// with `y` in it.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    down: LinearWeight,
    down_bias: Tensor<1>,
    up: LinearWeight,
    up_bias: Tensor<1>,
    activation: Activation,
    scaling: f64,
    dropout: f64,
    reads_stream: bool,
}

impl Bottleneck {
    /// A bottleneck with ReLU that reads what it is added to.
    ///
    /// # Shapes
    ///
    /// `down` is `[r, h]` and `[r]`, `up` is `[h, r]` and `[h]`.
    #[must_use]
    pub fn new(down: (Tensor<2>, Tensor<1>), up: (Tensor<2>, Tensor<1>)) -> Self {
        Self {
            down: LinearWeight::new(down.0),
            down_bias: down.1,
            up: LinearWeight::new(up.0),
            up_bias: up.1,
            activation: Activation::Relu,
            scaling: 1.0,
            dropout: 0.0,
            reads_stream: false,
        }
    }

    /// Another non-linearity.
    #[must_use]
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// What the network's output is multiplied by.
    #[must_use]
    pub fn with_scaling(mut self, scaling: f64) -> Self {
        self.scaling = scaling;
        self
    }

    /// Leaves out a share of the network's output in passes that train, from 0 to below 1, and scales the rest up.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Reads the stream of hidden states with the sublayer's output in it, normalised where the layer does so
    /// (`original_ln_before`), instead of the output alone.
    #[must_use]
    pub fn reading_stream(mut self) -> Self {
        self.reads_stream = true;
        self
    }

    /// Width `r`.
    #[must_use]
    pub fn width(&self) -> usize {
        self.down.dims()[0]
    }

    /// Hidden width `h`.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.down.dims()[1]
    }

    /// Weight and bias of the way down.
    ///
    /// # Shapes
    ///
    /// `-> [r, h], [r]`.
    #[must_use]
    pub fn down(&self) -> (Tensor<2>, Tensor<1>) {
        (self.down.to_tensor(), self.down_bias.clone())
    }

    /// Weight and bias of the way up.
    ///
    /// # Shapes
    ///
    /// `-> [h, r], [h]`.
    #[must_use]
    pub fn up(&self) -> (Tensor<2>, Tensor<1>) {
        (self.up.to_tensor(), self.up_bias.clone())
    }

    /// The non-linearity.
    #[must_use]
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// What the network's output is multiplied by.
    #[must_use]
    pub fn scaling(&self) -> f64 {
        self.scaling
    }

    /// Whether it reads the stream of hidden states.
    #[must_use]
    pub fn reads_stream(&self) -> bool {
        self.reads_stream
    }

    /// Number of weights.
    #[must_use]
    pub fn parameters(&self) -> usize {
        2 * self.width() * self.hidden() + self.width() + self.hidden()
    }

    /// Whether the four parts fit each other.
    pub(super) fn is_whole(&self) -> bool {
        let [r, h] = self.down.dims();
        self.up.dims() == [h, r] && self.down_bias.dims() == [r] && self.up_bias.dims() == [h]
    }

    /// The sublayer's output with the adapter, taken `weight` times. In a pass that trains, a key says what is left out.
    ///
    /// # Shapes
    ///
    /// `x [t, h]`, `y [t, h] -> [t, h]`.
    pub(super) fn apply(
        &self,
        x: Tensor<2>,
        y: Tensor<2>,
        weight: f64,
        dropout_key: Option<u64>,
    ) -> Tensor<2> {
        let narrow = kernels::linear(x, &self.down, Some(&self.down_bias), Some(self.activation)); // [t, r]
        let side = kernels::linear(narrow, &self.up, Some(&self.up_bias), None); // [t, h]
        let side = match dropout_key {
            Some(key) => kernels::dropout(side, self.dropout, key),
            None => side,
        };
        let scaling = self.scaling * weight;
        match super::change::is_one(scaling) {
            true => y + side,
            false => y + side * scaling,
        }
    }
}
