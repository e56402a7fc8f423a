//! The transformer under a head that both kinds can have.
//!
//! Letters: `t` tokens of all texts, `h` hidden width.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::decoder::DecoderModel;
use super::encoder::EncoderModel;
use super::layered::{LayerState, Layered, Prompted, Tokens};
use crate::adapters::{AdapterBase, Module, ModuleShapes};
use crate::error::Result;
use crate::nn::Context;

/// An encoder or a decoder, without a head.
///
/// ```no_run
/// # fn of(classifier: &ragtune_core::models::SequenceClassifier) {
/// use ragtune_core::models::Transformer;
///
/// match classifier.transformer() {
///     Transformer::Encoder(model) => println!("{} layers", model.shape().num_hidden_layers),
///     Transformer::Decoder(model) => println!("{} layers", model.shape().num_hidden_layers()),
///     _ => println!("of another kind"),
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Transformer {
    /// Every token sees all others.
    Encoder(Arc<EncoderModel>),
    /// Every token sees those before it.
    Decoder(Arc<DecoderModel>),
}

impl Transformer {
    /// The family, such as `bert`.
    #[must_use]
    pub fn model_type(&self) -> &str {
        match self {
            Self::Encoder(model) => &model.shape().model_type,
            Self::Decoder(model) => &model.shape().model_type,
        }
    }

    /// Width of a hidden state.
    #[must_use]
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Encoder(model) => model.shape().hidden_size,
            Self::Decoder(model) => model.shape().hidden_size,
        }
    }

    /// The hidden states that a head reads.
    ///
    /// # Shapes
    /// `ids [t]`, `type_ids [t] -> [t, h]`; a decoder has no types.
    ///
    /// # Errors
    /// As [`EncoderModel::forward`] and [`DecoderModel::forward`].
    pub fn forward(&self, ids: &[u32], type_ids: &[u32], context: &Context) -> Result<Tensor<2>> {
        match self {
            Self::Encoder(model) => model.forward(ids, type_ids, context),
            Self::Decoder(model) => model.forward(ids, context),
        }
    }

    fn layered(&self) -> &dyn Layered {
        match self {
            Self::Encoder(model) => &**model,
            Self::Decoder(model) => &**model,
        }
    }
}

impl Layered for Transformer {
    fn num_layers(&self) -> usize {
        self.layered().num_layers()
    }

    fn with_prompts(&self, tokens: &Tokens, context: &Context) -> Option<Prompted> {
        self.layered().with_prompts(tokens, context)
    }

    fn enter(&self, tokens: &Tokens, context: &Context) -> Result<LayerState> {
        self.layered().enter(tokens, context)
    }

    fn layer(&self, index: usize, state: LayerState, context: &Context) -> Result<LayerState> {
        self.layered().layer(index, state, context)
    }

    fn leave(&self, state: LayerState, context: &Context) -> Result<Tensor<2>> {
        self.layered().leave(state, context)
    }
}

impl AdapterBase for Transformer {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        self.layered().module_shapes()
    }

    fn modules(&self) -> Vec<Module<'_>> {
        self.layered().modules()
    }

    fn device(&self) -> &Device {
        self.layered().device()
    }
}
