//! A transformer one layer at a time, so that what runs it can stop between layers: training keeps the states there and
//! computes the layers again on the way back.
//!
//! Letters: `t` tokens of all texts, `h` hidden width.

use std::ops::RangeInclusive;
use std::sync::Arc;

use burn::tensor::Tensor;

pub use super::decoder::Prompted;
use super::decoder::{Angles, indices};
use crate::adapters::AdapterBase;
use crate::error::{Error, Result};
use crate::nn::Context;

/// The tokens of a packed batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Ids in the vocabulary.
    pub ids: Vec<u32>,
    /// The type of each token; empty where the model has none, or where all are of type 0.
    pub type_ids: Vec<u32>,
}

/// What stands between two layers.
#[derive(Clone, Debug)]
pub struct LayerState {
    streams: Vec<Tensor<2>>,
    shared: Arc<Shared>,
}

/// What all layers of a pass read and none changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    /// A decoder's rotations, one for each kind that layers name.
    pub(super) angles: Vec<Angles>,
    /// An encoder's bias on attention scores by distance.
    pub(super) position_bias: Option<Tensor<3>>,
}

/// A transformer whose layers run one by one.
///
/// `leave(layer(n - 1, ... layer(0, enter(tokens))))` is the whole model: [`Layered::hidden`] does just that. A
/// layer depends on nothing but its weights, its state and the context, so it can run again from a kept state.
///
/// ```no_run
/// use ragtune_core::models::layered::{Layered, Tokens};
/// use ragtune_core::nn::{Context, Segments};
///
/// # fn of(model: &dyn Layered) -> ragtune_core::Result<()> {
/// let context = Context::new(Segments::from_lengths([3]));
/// let tokens = Tokens { ids: vec![101, 7592, 102], type_ids: Vec::new() };
/// let mut state = model.enter(&tokens, &context)?;
/// for index in 0..model.num_layers() {
///     state = model.layer(index, state, &context)?;
/// }
/// let hidden = model.leave(state, &context)?;
/// assert_eq!(hidden.dims()[0], 3);
/// # Ok(())
/// # }
/// ```
pub trait Layered: AdapterBase + Send + Sync {
    /// Number of layers.
    fn num_layers(&self) -> usize;

    /// The tokens with the virtual tokens of adapters before the texts, where a text lacks any: what [`enter`](Self::enter)
    /// and all layers take then. `None` for most batches, and for all of a model that has no virtual tokens.
    fn with_prompts(&self, tokens: &Tokens, context: &Context) -> Option<Prompted> {
        let _ = (tokens, context);
        None
    }

    /// The embeddings.
    ///
    /// # Errors
    /// [`Error::UnknownId`] for an id outside the vocabulary, [`Error::Dimension`] for a text that is longer than the
    /// table of positions or when tokens and context differ in length, and [`Error::Adapter`] for adapters of another
    /// base.
    fn enter(&self, tokens: &Tokens, context: &Context) -> Result<LayerState>;

    /// The state behind a layer, counted from 0.
    ///
    /// # Errors
    /// [`Error::Dimension`] for a layer that the model does not have, or a state that is not of this model.
    fn layer(&self, index: usize, state: LayerState, context: &Context) -> Result<LayerState>;

    /// The hidden states behind the last norm.
    ///
    /// # Shapes
    /// `-> [t, h]`.
    ///
    /// # Errors
    /// [`Error::Dimension`] for a state that is not of this model.
    fn leave(&self, state: LayerState, context: &Context) -> Result<Tensor<2>>;

    /// The whole model: the hidden states of tokens behind the last norm.
    ///
    /// # Shapes
    /// `-> [t, h]`.
    ///
    /// # Errors
    /// As [`Layered::enter`].
    fn hidden(&self, tokens: &Tokens, context: &Context) -> Result<Tensor<2>> {
        if let Some(prompted) = self.with_prompts(tokens, context) {
            let tokens = Tokens {
                ids: prompted.ids,
                type_ids: Vec::new(),
            };
            let hidden = self.hidden(&tokens, &prompted.context)?;
            return Ok(hidden.select(0, indices(&prompted.real, self.device())));
        }
        let entered = self.enter(tokens, context)?;
        let state = (0..self.num_layers()).try_fold(entered, |state, i| self.layer(i, state, context))?;
        self.leave(state, context)
    }
}

impl<T: Layered + ?Sized> Layered for Arc<T> {
    fn num_layers(&self) -> usize {
        (**self).num_layers()
    }

    fn with_prompts(&self, tokens: &Tokens, context: &Context) -> Option<Prompted> {
        (**self).with_prompts(tokens, context)
    }

    fn enter(&self, tokens: &Tokens, context: &Context) -> Result<LayerState> {
        (**self).enter(tokens, context)
    }

    fn layer(&self, index: usize, state: LayerState, context: &Context) -> Result<LayerState> {
        (**self).layer(index, state, context)
    }

    fn leave(&self, state: LayerState, context: &Context) -> Result<Tensor<2>> {
        (**self).leave(state, context)
    }
}

/// Makes a model layered through the transformer that it holds in a field.
macro_rules! layered_through {
    ($model:ty, $($field:ident).+) => {
        impl $crate::models::layered::Layered for $model {
            fn num_layers(&self) -> usize {
                self.$($field).+.num_layers()
            }

            fn with_prompts(
                &self,
                tokens: &$crate::models::layered::Tokens,
                context: &$crate::nn::Context,
            ) -> Option<$crate::models::layered::Prompted> {
                self.$($field).+.with_prompts(tokens, context)
            }

            fn enter(
                &self,
                tokens: &$crate::models::layered::Tokens,
                context: &$crate::nn::Context,
            ) -> $crate::Result<$crate::models::layered::LayerState> {
                self.$($field).+.enter(tokens, context)
            }

            fn layer(
                &self,
                index: usize,
                state: $crate::models::layered::LayerState,
                context: &$crate::nn::Context,
            ) -> $crate::Result<$crate::models::layered::LayerState> {
                self.$($field).+.layer(index, state, context)
            }

            fn leave(
                &self,
                state: $crate::models::layered::LayerState,
                context: &$crate::nn::Context,
            ) -> $crate::Result<burn::tensor::Tensor<2>> {
                self.$($field).+.leave(state, context)
            }
        }
    };
}
pub(super) use layered_through;

impl LayerState {
    pub(super) fn new(streams: Vec<Tensor<2>>, shared: Shared) -> Self {
        Self {
            streams,
            shared: Arc::new(shared),
        }
    }

    /// The tensors that flow from layer to layer, the hidden states `[t, h]` first. A gradient of the layers before
    /// flows through these alone.
    #[must_use]
    pub fn streams(&self) -> &[Tensor<2>] {
        &self.streams
    }

    /// The same state with other tensors in place of [`streams`](Self::streams), such as copies cut off from the graph.
    #[must_use]
    pub fn with_streams(&self, streams: Vec<Tensor<2>>) -> Self {
        Self {
            streams,
            shared: Arc::clone(&self.shared),
        }
    }

    /// The hidden states, and what else flows: between `rest` many tensors.
    pub(super) fn into_parts(
        self,
        rest: RangeInclusive<usize>,
    ) -> Result<(Tensor<2>, Vec<Tensor<2>>, Arc<Shared>)> {
        let found = self.streams.len();
        let mut streams = self.streams.into_iter();
        match streams.next() {
            Some(hidden) if rest.contains(&streams.len()) => Ok((hidden, streams.collect(), self.shared)),
            _ => Err(Error::Dimension {
                what: "the state between layers (in tensors)".to_owned(),
                expected: 1 + rest.start(),
                found,
            }),
        }
    }

    /// The state behind a layer.
    pub(super) fn after(streams: Vec<Tensor<2>>, shared: Arc<Shared>) -> Self {
        Self { streams, shared }
    }
}

/// The error of a layer that a model does not have.
pub(super) fn no_layer(index: usize, num_layers: usize) -> Error {
    Error::Dimension {
        what: "the number of a layer".to_owned(),
        expected: num_layers,
        found: index,
    }
}
