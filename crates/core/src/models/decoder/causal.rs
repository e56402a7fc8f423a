//! The decoder with its output layer: from token ids to logits.
//!
//! Letters: `t` tokens of all texts, `h` hidden width, `v` vocabulary, `s` chosen tokens.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::super::layered::layered_through;
use super::config::DecoderConfig;
use super::model::{DecoderModel, Parts, indices};
use super::prompt::Prompted;
use crate::adapters::{AdapterBase, AdapterStack, Module, ModuleMut, ModuleShapes};
use crate::error::Result;
use crate::kernels::LinearWeight;
use crate::nn::{Context, Embedding, KvCache, Linear};
use crate::weights::{Loader, ModelFiles};

/// A pre-norm transformer decoder with its output layer.
#[derive(Clone, Debug)]
pub struct Decoder {
    model: DecoderModel,
    lm_head: Linear,
    shapes: Arc<ModuleShapes>,
}

impl Decoder {
    /// Reads the `config.json` of a model's folder.
    ///
    /// # Errors
    /// As [`DecoderModel::config`].
    pub fn config(files: &ModelFiles) -> Result<DecoderConfig> {
        DecoderModel::config(files)
    }

    /// Takes the decoder's tensors.
    ///
    /// # Errors
    /// As [`Loader::tensor`].
    pub fn load(config: &DecoderConfig, loader: &Loader<'_>) -> Result<Self> {
        let (names, h, v) = (&config.names, config.hidden_size, config.vocab_size);
        let parts = Parts::new(config, loader);
        let (words_slot, words) = (parts.words_slot(), parts.words()?);
        // 1. The output layer, which may be the table of words as well.
        let (embed_tokens, lm_head) = if config.tie_word_embeddings {
            let embed = Embedding::tied(words_slot, words.clone());
            (embed, Linear::with_weight(names.lm_head, words, None)?)
        } else {
            let bias = match names.biases.lm_head {
                true => Some(loader.tensor(&format!("{}.bias", names.lm_head), [v])?),
                false => None,
            };
            let weight = parts.matrix(names.lm_head, h, v)?;
            (
                Embedding::of_weight(words_slot, words),
                Linear::with_weight(names.lm_head, weight, bias)?,
            )
        };
        // 2. What is in front of it.
        let model = DecoderModel::around(embed_tokens, &parts)?;
        let head = names.lm_head;
        let transposed = |slot: &str| names.transposed && slot != head;
        let mut modules = model.modules();
        modules.push(Module::Linear(&lm_head));
        let shapes = ModuleShapes::new(&modules, transposed, Some(head))
            .with_words(model.words().slot(), config.embedding_scale)
            .with_sublayers(model.sublayers());
        let shapes = Arc::new(shapes);
        Ok(Self {
            model: model.under(&shapes),
            lm_head,
            shapes,
        })
    }

    /// The shape of the model.
    #[must_use]
    pub fn shape(&self) -> &DecoderConfig {
        self.model.shape()
    }

    /// The device that the weights are on.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.model.device()
    }

    /// The decoder without its output layer.
    #[must_use]
    pub fn model(&self) -> &DecoderModel {
        &self.model
    }

    /// An empty cache for one sequence of up to `max_tokens` tokens.
    #[must_use]
    pub fn cache(&self, max_tokens: usize) -> KvCache {
        self.model.cache(max_tokens)
    }

    /// The hidden states of whole texts; see [`DecoderModel::forward`].
    ///
    /// # Shapes
    /// `ids [t] -> [t, h]`.
    ///
    /// # Errors
    /// As [`DecoderModel::forward`].
    pub fn forward(&self, ids: &[u32], context: &Context) -> Result<Tensor<2>> {
        self.model.forward(ids, context)
    }

    /// The hidden states of new tokens behind those in the caches; see [`DecoderModel::forward_cached`].
    ///
    /// # Shapes
    /// `ids [t]`, one cache for each text `-> [t, h]`.
    ///
    /// # Errors
    /// As [`DecoderModel::forward_cached`].
    pub fn forward_cached(
        &self,
        ids: &[u32],
        caches: &mut [&mut KvCache],
        context: &Context,
    ) -> Result<Tensor<2>> {
        self.model.forward_cached(ids, caches, context)
    }

    /// The embeddings, and the hidden states behind every layer and behind the last norm.
    ///
    /// # Shapes
    /// `ids [t] -> [t, h]` of each of `num_hidden_layers + 2`.
    ///
    /// # Errors
    /// As [`DecoderModel::forward`].
    pub fn hidden_states(&self, ids: &[u32], context: &Context) -> Result<Vec<Tensor<2>>> {
        self.model.hidden_states(ids, context)
    }

    /// The ids of the virtual tokens that stand before a text with these adapters.
    #[must_use]
    pub fn virtual_ids(&self, adapters: &AdapterStack) -> Vec<u32> {
        self.model.virtual_ids(adapters)
    }

    /// The batch with virtual tokens before every text; see [`DecoderModel::prompted`].
    #[must_use]
    pub fn prompted(&self, ids: &[u32], context: &Context) -> Option<Prompted> {
        self.model.prompted(ids, context)
    }

    /// What the output layer says of hidden states behind the last norm.
    ///
    /// # Shapes
    /// `[t, h] -> [t, v]`.
    #[must_use]
    pub fn logits(&self, hidden: Tensor<2>, context: &Context) -> Tensor<2> {
        let logits = self.lm_head.forward(hidden, context);
        match self.shape().final_logit_softcapping {
            Some(cap) => (logits / cap).tanh() * cap,
            None => logits,
        }
    }

    /// The weight and bias of the output layer as a text of the pass sees them, its adapters folded in; all texts of the pass
    /// have the adapters of the first. With them a loss is computed without all logits at once
    /// ([`cross_entropy`](crate::kernels::cross_entropy)).
    ///
    /// # Shapes
    /// `-> [v, h], [v]`.
    #[must_use]
    pub fn output(&self, context: &Context) -> (LinearWeight, Option<Tensor<1>>) {
        match context.adapters().first() {
            Some(stack) if stack.touches(self.lm_head.slot()) => stack.folded(&self.lm_head),
            _ => (self.lm_head.linear_weight().clone(), self.lm_head.bias().cloned()),
        }
    }

    /// The logits of some tokens only, named by rising packed indices; usually the last of each text.
    ///
    /// # Shapes
    /// `hidden [t, h]`, `tokens [s] -> [s, v]`.
    #[must_use]
    pub fn logits_of(&self, hidden: Tensor<2>, tokens: &[usize], context: &Context) -> Tensor<2> {
        if tokens.len() == hidden.dims()[0] {
            return self.logits(hidden, context);
        }
        let chosen = hidden.select(0, indices(tokens, self.device()));
        self.logits(chosen, &context.gathered(tokens))
    }

    /// The modules that a merge changes, in the order of [`AdapterBase::modules`].
    pub(crate) fn modules_mut(&mut self) -> Vec<ModuleMut<'_>> {
        let mut modules = self.model.modules_mut();
        modules.push(ModuleMut::Linear(&mut self.lm_head));
        modules
    }

    /// Notes whether the output layer's weight is still the table of words.
    pub(crate) fn set_tied(&mut self, tied: bool) {
        self.model.set_tied(tied);
    }

    /// Whether the output layer's weight equals the table of words.
    pub(crate) fn has_one_table(&self) -> bool {
        let (table, head) = (self.model.words().weight(), self.lm_head.weight());
        table.dims() == head.dims() && table.into_data() == head.into_data()
    }
}

layered_through!(Decoder, model);

impl AdapterBase for Decoder {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        &self.shapes
    }

    fn modules(&self) -> Vec<Module<'_>> {
        let mut modules = self.model.modules();
        modules.push(Module::Linear(&self.lm_head));
        modules
    }

    fn device(&self) -> &Device {
        self.model.device()
    }

    fn tied(&self) -> Option<(&str, &str)> {
        let tied = self.shape().tie_word_embeddings;
        tied.then(|| (self.model.words().slot(), self.lm_head.slot()))
    }
}
