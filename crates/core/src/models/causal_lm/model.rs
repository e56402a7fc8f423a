//! Loading a language model, and its numbers.
//!
//! Letters: `t` tokens of all texts, `v` vocabulary.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::super::decoder::{Decoder, DecoderConfig};
use super::super::layered::{LayerState, Layered, Prompted, Tokens};
use super::super::tokenizer::TextTokenizer;
use super::{LoadOptions, generation_config};
use crate::adapters::{AdapterBase, Module, ModuleShapes};
use crate::chat::ChatTemplate;
use crate::device::is_cpu;
use crate::error::{Error, Result};
use crate::kernels::on_threads;
use crate::nn::{Context, KvCache};
use crate::weights::{LoadReport, ModelFiles, Precision};

/// A causal language model from a folder in the Hugging Face layout.
///
/// ```no_run
/// use ragtune_core::device::Device;
/// use ragtune_core::models::CausalLm;
/// use ragtune_core::nn::{Context, Segments};
///
/// # fn on(device: &Device) -> ragtune_core::Result<()> {
/// let lm = CausalLm::load("models/smollm2-135m", device)?;
/// let context = Context::new(Segments::from_lengths([3]));
/// let logits = lm.logits(&[1, 403, 407], &context)?;
/// assert_eq!(logits.dims(), [3, lm.config().vocab_size]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CausalLm {
    decoder: Decoder,
    tokenizer: Arc<TextTokenizer>,
    chat_template: Option<Arc<ChatTemplate>>,
    end_tokens: Vec<u32>,
    report: LoadReport,
}

impl CausalLm {
    /// Loads a folder.
    ///
    /// # Errors
    /// As [`CausalLm::from_files`].
    pub fn load(folder: impl Into<PathBuf>, device: &Device) -> Result<Self> {
        Self::load_with(folder, device, &LoadOptions::default())
    }

    /// Loads a folder in a way of the caller's choice, such as in int8.
    ///
    /// ```no_run
    /// use ragtune_core::models::{CausalLm, LoadOptions};
    /// use ragtune_core::weights::Precision;
    ///
    /// # fn on(device: &ragtune_core::device::Device) -> ragtune_core::Result<()> {
    /// let options = LoadOptions::default().with_precision(Precision::Int8);
    /// let lm = CausalLm::load_with("models/smollm2-135m", device, &options)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`CausalLm::from_files_with`].
    pub fn load_with(folder: impl Into<PathBuf>, device: &Device, options: &LoadOptions) -> Result<Self> {
        Self::from_files_with(&ModelFiles::folder(folder)?, device, options)
    }

    /// Loads files from a folder or from memory.
    ///
    /// # Errors
    /// As [`Decoder::config`], [`TextTokenizer::load`], [`ChatTemplate::load`] and [`crate::weights::Checkpoint::load`];
    /// [`crate::Error::UnknownId`] when the tokenizer has ids that the table of words lacks.
    pub fn from_files(files: &ModelFiles, device: &Device) -> Result<Self> {
        Self::from_files_with(files, device, &LoadOptions::default())
    }

    /// Loads files from a folder or from memory in a way of the caller's choice.
    ///
    /// # Errors
    /// As [`CausalLm::from_files`]; [`Error::InvalidArgument`] when a precision is asked for that the device does not
    /// have, that a weight is beyond, or of weights that are int8 or int4 already.
    pub fn from_files_with(files: &ModelFiles, device: &Device, options: &LoadOptions) -> Result<Self> {
        if let Some(precision) = options.precision
            && precision != Precision::F32
            && !is_cpu(device)
        {
            return Err(Error::InvalidArgument {
                argument: "precision",
                reason: format!("weights are kept in {precision} on the cpu only; other devices have f32"),
            });
        }
        let config = Decoder::config(files)?;
        let tokenizer = TextTokenizer::load(files)?;
        let chat_template = ChatTemplate::load(files)?.map(|template| {
            let control = tokenizer.control_tokens(template.source());
            Arc::new(template.with_control_tokens(control))
        });
        let end_tokens = generation_config::end_tokens(files, &tokenizer)?;
        let (decoder, report) = files.checkpoint()?.load(device, |loader| {
            Decoder::load(&config, &loader.with_precision(options.precision))
        })?;
        // Behind the loading, which checks that the table has the rows that config.json says.
        tokenizer.check_ids(config.names.embed_tokens, config.vocab_size)?;
        Ok(Self {
            decoder,
            tokenizer: Arc::new(tokenizer),
            chat_template,
            end_tokens,
            report,
        })
    }

    /// What became of the checkpoint's tensors.
    #[must_use]
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// The shape of the model.
    #[must_use]
    pub fn config(&self) -> &DecoderConfig {
        self.decoder.shape()
    }

    /// The transformer.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The transformer, whose weights a merge changes.
    pub(crate) fn decoder_mut(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Arc<TextTokenizer> {
        &self.tokenizer
    }

    /// The template by which conversations become text; `None` where the folder has none.
    #[must_use]
    pub fn chat_template(&self) -> Option<&Arc<ChatTemplate>> {
        self.chat_template.as_ref()
    }

    /// The tokens with which the model ends an answer.
    #[must_use]
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// An empty cache for one sequence of up to `max_tokens` tokens.
    #[must_use]
    pub fn cache(&self, max_tokens: usize) -> KvCache {
        self.decoder.cache(max_tokens)
    }

    /// The logits of the next token behind every token of whole texts.
    ///
    /// # Shapes
    /// `ids [t] -> [t, v]`.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn logits(&self, ids: &[u32], context: &Context) -> Result<Tensor<2>> {
        on_threads(self.decoder.device(), || {
            let hidden = self.decoder.forward(ids, context)?;
            Ok(self.decoder.logits(hidden, context))
        })
    }

    /// Reads tokens of each text into its cache, without asking what follows.
    ///
    /// # Shapes
    /// `ids [t]`, one cache for each text.
    ///
    /// # Errors
    /// As [`Decoder::forward_cached`].
    pub fn read(&self, ids: &[u32], caches: &mut [&mut KvCache], context: &Context) -> Result<()> {
        on_threads(self.decoder.device(), || {
            self.decoder.forward_cached(ids, caches, context).map(drop)
        })
    }

    /// The logits of the token behind the last one of each text, whose earlier tokens its cache holds; see
    /// [`Decoder::forward_cached`]. Every text needs at least one new token.
    ///
    /// # Shapes
    /// `ids [t]`, one cache for each of `b` texts `-> [b, v]`.
    ///
    /// # Errors
    /// As [`Decoder::forward_cached`].
    pub fn next_logits(
        &self,
        ids: &[u32],
        caches: &mut [&mut KvCache],
        context: &Context,
    ) -> Result<Tensor<2>> {
        let last = context.segments().iter();
        let last: Vec<usize> = last.filter_map(|range| range.end.checked_sub(1)).collect();
        on_threads(self.decoder.device(), || {
            let hidden = self.decoder.forward_cached(ids, caches, context)?;
            Ok(self.decoder.logits_of(hidden, &last, context))
        })
    }
}

impl Layered for CausalLm {
    fn num_layers(&self) -> usize {
        self.decoder.num_layers()
    }

    fn with_prompts(&self, tokens: &Tokens, context: &Context) -> Option<Prompted> {
        self.decoder.with_prompts(tokens, context)
    }

    fn enter(&self, tokens: &Tokens, context: &Context) -> Result<LayerState> {
        self.decoder.enter(tokens, context)
    }

    fn layer(&self, index: usize, state: LayerState, context: &Context) -> Result<LayerState> {
        self.decoder.layer(index, state, context)
    }

    fn leave(&self, state: LayerState, context: &Context) -> Result<Tensor<2>> {
        self.decoder.leave(state, context)
    }
}

impl AdapterBase for CausalLm {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        self.decoder.module_shapes()
    }

    fn modules(&self) -> Vec<Module<'_>> {
        self.decoder.modules()
    }

    fn device(&self) -> &Device {
        AdapterBase::device(&self.decoder)
    }

    fn tied(&self) -> Option<(&str, &str)> {
        self.decoder.tied()
    }
}
