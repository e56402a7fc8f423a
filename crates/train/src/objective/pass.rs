//! One pass of a batch through the model, and the way back.

use std::sync::Arc;

use burn::tensor::{Gradients, Tensor};
use ragtune_core::adapters::AdapterStack;
use ragtune_core::models::layered::{LayerState, Layered, Tokens};
use ragtune_core::nn::{Context, Segments};

use crate::error::{Error, Result};
use crate::tuning::{Leaves, Trainable};

/// A pass of one batch: it brings the trained weights, and keeps what the way back needs.
pub struct Pass<'a> {
    adapters: AdapterStack,
    /// What gradients are computed for; none in a pass that only computes forward.
    training: Option<Training<'a>>,
    dropout_key: Option<u64>,
    model_dropout: bool,
}

struct Training<'a> {
    leaves: &'a Leaves,
    /// The same weights without a record, where layers are run again on the way back.
    checkpoints: Option<AdapterStack>,
    first_layer: Option<usize>,
    tape: Vec<Recorded>,
}

/// One way through a model's layers whose states between the layers were kept.
struct Recorded {
    model: Arc<dyn Layered>,
    tokens: Tokens,
    context: Context,
    /// What went into each layer from the first that gradients reach.
    inputs: Vec<LayerState>,
    /// What came out of the last, as the leaves at which the loss's own graph ends.
    end: Vec<Tensor<2>>,
}

impl<'a> Pass<'a> {
    /// A pass that only computes forward.
    #[must_use]
    pub fn forward(adapters: &AdapterStack) -> Self {
        Self {
            adapters: adapters.clone(),
            training: None,
            dropout_key: None,
            model_dropout: false,
        }
    }

    /// A pass whose gradients are wanted. With `plain`, the same weights without a record, only the states between layers
    /// are kept, and each layer is computed again on the way back (Chen et al. 2016, arXiv:1604.06174).
    #[must_use]
    pub(crate) fn training(
        leaves: &'a Leaves,
        trainable: &Trainable,
        plain: Option<AdapterStack>,
        dropout_key: u64,
    ) -> Self {
        Self {
            adapters: AdapterStack::base().with(Arc::clone(leaves.set()), 1.0),
            training: Some(Training {
                leaves,
                checkpoints: plain,
                first_layer: trainable.first_layer(),
                tape: Vec::new(),
            }),
            dropout_key: Some(dropout_key),
            model_dropout: false,
        }
    }

    /// Whether the model's own dropout acts where the pass trains.
    #[must_use]
    pub(crate) fn with_model_dropout(mut self, acts: bool) -> Self {
        self.model_dropout = acts;
        self
    }

    /// The model's own dropout does not act in this pass, as an objective may want whose loss compares two passes.
    pub fn without_model_dropout(&mut self) {
        self.model_dropout = false;
    }

    /// The trained weights as they are in this pass.
    #[must_use]
    pub fn adapters(&self) -> &AdapterStack {
        &self.adapters
    }

    /// Whether gradients are wanted.
    #[must_use]
    pub fn is_training(&self) -> bool {
        self.training.is_some()
    }

    /// The circumstances of packed texts: the trained weights for every text, and dropout where the pass trains.
    #[must_use]
    pub fn context(&self, segments: Segments) -> Context {
        self.context_with(segments, &self.adapters)
    }

    fn context_with(&self, segments: Segments, adapters: &AdapterStack) -> Context {
        let stacks = vec![adapters.clone(); segments.len()];
        let context = Context::new(segments).with_adapters(stacks);
        match self.dropout_key {
            Some(key) => context
                .with_dropout_key(key)
                .with_model_dropout(self.model_dropout),
            None => context,
        }
    }

    /// The hidden states of packed texts behind the last layer.
    ///
    /// # Shapes
    /// `tokens.ids [t] -> [t, h]`.
    ///
    /// # Errors
    /// As [`Layered::enter`].
    pub fn hidden<M: Layered + 'static>(
        &mut self,
        model: &Arc<M>,
        tokens: Tokens,
        segments: Segments,
    ) -> Result<Tensor<2>> {
        let context = self.context(segments);
        // Virtual tokens of a tuned prompt go in with the others, and nothing is given of them.
        if let Some(prompted) = model.with_prompts(&tokens, &context) {
            let tokens = Tokens {
                ids: prompted.ids,
                type_ids: Vec::new(),
            };
            let segments = prompted.context.segments().clone();
            let hidden = self.hidden(model, tokens, segments)?;
            return Ok(chosen(hidden, &prompted.real));
        }
        let segments = context.segments().clone();
        let plain = self
            .training
            .as_ref()
            .and_then(|training| training.checkpoints.clone());
        let Some(plain) = plain else {
            let state = model.enter(&tokens, &context)?;
            let state = (0..model.num_layers())
                .try_fold(state, |state, index| model.layer(index, state, &context))?;
            return Ok(model.leave(state, &context)?);
        };
        // Forward without a record; what gradients cannot reach is not even kept.
        let unrecorded = self.context_with(segments, &plain);
        let Some(training) = &mut self.training else {
            return Err(Error::invalid(
                "pass",
                "keeps states of layers only where it trains",
            ));
        };
        let first = training.first_layer.unwrap_or(0).min(model.num_layers());
        let mut inputs = Vec::with_capacity(model.num_layers() - first);
        let mut state = model.enter(&tokens, &unrecorded)?;
        for index in 0..model.num_layers() {
            if index >= first {
                inputs.push(state.clone());
            }
            state = model.layer(index, state, &unrecorded)?;
        }
        let end = leaves(&state);
        let hidden = model.leave(state.with_streams(end.clone()), &context)?;
        training.tape.push(Recorded {
            model: Arc::clone(model) as Arc<dyn Layered>,
            tokens,
            context,
            inputs,
            end,
        });
        Ok(hidden)
    }

    /// The gradients of a loss in the order of the trained weights, row by row.
    pub(crate) fn backward(self, loss: &Tensor<1>) -> Result<Vec<Option<Tensor<1>>>> {
        let Some(training) = self.training else {
            return Err(Error::invalid("pass", "only computes forward"));
        };
        if !loss.is_tracked() {
            return Err(Error::invalid(
                "objective",
                "the loss does not depend on any trained weight; compute it through `Pass`",
            ));
        }
        let mut gradients = loss.backward();
        let mut total = training.leaves.take(&mut gradients);
        for recorded in training.tape.into_iter().rev() {
            recorded.backward(&mut gradients, training.leaves, training.first_layer, &mut total)?;
        }
        Ok(total)
    }
}

impl Recorded {
    /// Runs the layers again from the last to the first, each with a graph of its own.
    fn backward(
        self,
        gradients: &mut Gradients,
        trained: &Leaves,
        first_layer: Option<usize>,
        total: &mut [Option<Tensor<1>>],
    ) -> Result<()> {
        let take = |leaves: &[Tensor<2>], gradients: &mut Gradients| {
            leaves
                .iter()
                .map(|leaf| leaf.grad_remove(gradients))
                .collect::<Vec<_>>()
        };
        let mut arriving = take(&self.end, gradients);
        let last = self.model.num_layers();
        for (index, input) in (0..last).rev().zip(self.inputs.into_iter().rev()) {
            let inputs = leaves(&input);
            let output = self
                .model
                .layer(index, input.with_streams(inputs.clone()), &self.context)?;
            let Some(root) = weighted_sum(output.streams(), arriving) else {
                return Ok(()); // the loss does not depend on these texts
            };
            let mut gradients = root.backward();
            add(total, trained.take(&mut gradients));
            arriving = take(&inputs, &mut gradients);
        }
        if first_layer.is_none() {
            let output = self.model.enter(&self.tokens, &self.context)?;
            if let Some(root) = weighted_sum(output.streams(), arriving)
                && root.is_tracked()
            {
                add(total, trained.take(&mut root.backward()));
            }
        }
        Ok(())
    }
}

/// The streams of a state as the places at which a graph begins.
fn leaves(state: &LayerState) -> Vec<Tensor<2>> {
    let leaf = |stream: &Tensor<2>| stream.clone().inner().autodiff().require_grad();
    state.streams().iter().map(leaf).collect()
}

/// Some rows, named by rising numbers; those that follow each other in one piece.
///
/// # Shapes
/// `[t, h] -> [s, h]`.
fn chosen(hidden: Tensor<2>, rows: &[usize]) -> Tensor<2> {
    let [_, h] = hidden.dims();
    let runs = rows.chunk_by(|a, b| a + 1 == *b);
    let parts = runs.map(|run| hidden.clone().slice([run[0]..run[0] + run.len(), 0..h]));
    Tensor::cat(parts.collect(), 0)
}

/// A number whose gradient by the outputs is what arrived there.
fn weighted_sum(outputs: &[Tensor<2>], arriving: Vec<Option<Tensor<2>>>) -> Option<Tensor<1>> {
    let parts = outputs
        .iter()
        .zip(arriving)
        .filter_map(|(output, gradient)| Some((output.clone() * gradient?).sum()));
    parts.reduce(|sum, part| sum + part)
}

/// Adds gradients, weight by weight.
pub(crate) fn add(total: &mut [Option<Tensor<1>>], more: Vec<Option<Tensor<1>>>) {
    for (total, more) in total.iter_mut().zip(more) {
        *total = match (total.take(), more) {
            (Some(total), Some(more)) => Some(total + more),
            (total, more) => total.or(more),
        };
    }
}
