//! The decoder from token ids to hidden states.
//!
//! Letters: `t` tokens of all texts, `h` hidden width.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::super::config_file::ConfigFile;
use super::super::layered::{LayerState, Layered, Shared, Tokens, no_layer};
use super::attention::Angles;
use super::config::{DecoderConfig, Positions};
use super::families;
use super::layer::{Layer, Stream};
use super::norm::Norm;
use super::prompt::Prompted;
use super::rope::Rope;
use crate::adapters::{AdapterBase, Module, ModuleMut, ModuleShapes, SublayerShape};
use crate::error::{Error, Result};
use crate::kernels::{LayerCache, LinearWeight};
use crate::nn::{Context, Dropout, Embedding, KvCache, Linear, Segments};
use crate::weights::{Loader, ModelFiles};

/// A pre-norm transformer decoder without a head.
///
/// [`super::Decoder`] is one with its output layer.
#[derive(Clone, Debug)]
pub struct DecoderModel {
    config: DecoderConfig,
    embed_tokens: Embedding,
    embed_positions: Option<Embedding>,
    dropout: Dropout,
    layers: Vec<Layer>,
    norm: Norm,
    device: Device,
    shapes: Arc<ModuleShapes>,
    /// The modules that adapters of a pass may change: the shapes of the model with its head, where there is one.
    adaptable: Arc<ModuleShapes>,
}

impl DecoderModel {
    /// Reads the `config.json` of a model's folder.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Json`], [`Error::Unsupported`] for an unknown `model_type`, and
    /// [`Error::Config`].
    pub fn config(files: &ModelFiles) -> Result<DecoderConfig> {
        let remedy = "it says what model the weights are of; download it with the weights";
        families::read(&ConfigFile::require(files, "config.json", remedy)?)
    }

    /// Takes the decoder's tensors, whether they stand under the prefix of its family or not.
    ///
    /// # Errors
    /// As [`Loader::tensor`].
    pub fn load(config: &DecoderConfig, loader: &Loader<'_>) -> Result<Self> {
        let parts = Parts::new(config, loader);
        let words = parts.words()?;
        Self::around(Embedding::of_weight(parts.words_slot(), words), &parts)
    }

    /// Takes all tensors but the table of words.
    pub(super) fn around(embed_tokens: Embedding, parts: &Parts<'_, '_>) -> Result<Self> {
        let (config, loader) = (parts.config, parts.loader);
        let (names, h) = (&config.names, config.hidden_size);
        let embed_positions = match config.positions {
            Positions::Learned(rows) => {
                let slot = format!("{}{}", names.model, names.embed_positions);
                let table = loader.tensor(&format!("{}.weight", parts.path(&slot)), [rows, h])?;
                Some(Embedding::new(slot, table))
            }
            Positions::Rotary(_) => None,
        };
        let layers = (0..config.layers.len()).map(|index| Layer::load(config, index, parts));
        let mut decoder = Self {
            embed_tokens,
            embed_positions,
            dropout: Dropout::new("embeddings.dropout", config.dropout.embeddings),
            layers: layers.collect::<Result<_>>()?,
            norm: parts.norm(names.norm, h)?,
            device: loader.device().clone(),
            config: config.clone(),
            shapes: Arc::default(),
            adaptable: Arc::default(),
        };
        let shapes = ModuleShapes::new(&decoder.modules(), |_| names.transposed, None)
            .with_words(decoder.embed_tokens.slot(), config.embedding_scale)
            .with_sublayers(decoder.sublayers());
        decoder.shapes = Arc::new(shapes);
        decoder.adaptable = Arc::clone(&decoder.shapes);
        Ok(decoder)
    }

    /// A layer without a bias behind the decoder, of so many rows.
    pub(in crate::models) fn head(
        config: &DecoderConfig,
        loader: &Loader<'_>,
        slot: &str,
        o: usize,
    ) -> Result<Linear> {
        let weight = Parts::new(config, loader).matrix(slot, config.hidden_size, o)?;
        Linear::with_weight(slot, weight, None)
    }

    /// Lets adapters of a model with a head pass, of which this is the base.
    pub(in crate::models) fn under(mut self, shapes: &Arc<ModuleShapes>) -> Self {
        self.adaptable = Arc::clone(shapes);
        self
    }

    /// The shape of the model.
    #[must_use]
    pub fn shape(&self) -> &DecoderConfig {
        &self.config
    }

    /// The device that the weights are on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// An empty cache for one sequence of up to `max_tokens` tokens.
    #[must_use]
    pub fn cache(&self, max_tokens: usize) -> KvCache {
        let windows: Vec<_> = self
            .config
            .layers
            .iter()
            .map(|layer| layer.sliding_window)
            .collect();
        KvCache::new(self.config.kv_width(), &windows, max_tokens, &self.device)
    }

    /// The hidden states of whole texts behind the last norm. Virtual tokens of adapters stand before the texts, and nothing
    /// is given of them.
    ///
    /// # Shapes
    /// `ids [t] -> [t, h]`.
    ///
    /// # Errors
    /// [`Error::UnknownId`] for an id outside the vocabulary, and [`Error::Dimension`] for a text that is longer than a
    /// learned table of positions, or when ids and context differ in length.
    pub fn forward(&self, ids: &[u32], context: &Context) -> Result<Tensor<2>> {
        if let Some(prompted) = self.prompted(ids, context) {
            let hidden = self.forward(&prompted.ids, &prompted.context)?;
            return Ok(hidden.select(0, indices(&prompted.real, &self.device)));
        }
        let entered = self.begin(ids, context)?;
        let next = |state, index| self.layer(index, state, context);
        let state = (0..self.layers.len()).try_fold(entered, next)?;
        self.leave(state, context)
    }

    /// The hidden states of new tokens behind the last norm; each text goes on where its cache ends, and its keys and
    /// values go into the cache.
    ///
    /// Virtual tokens of adapters go into the caches before the texts, and take room there
    /// ([`DecoderModel::virtual_ids`]).
    ///
    /// The adapters of `context` must be those that the caches were filled with; where texts start follows from the
    /// caches.
    ///
    /// # Shapes
    /// `ids [t]`, one cache for each text `-> [t, h]`.
    ///
    /// # Errors
    /// As [`DecoderModel::forward`].
    pub fn forward_cached(
        &self,
        ids: &[u32],
        caches: &mut [&mut KvCache],
        context: &Context,
    ) -> Result<Tensor<2>> {
        if caches.len() != context.segments().len() {
            return Err(Error::Dimension {
                what: "the list of caches".to_owned(),
                expected: context.segments().len(),
                found: caches.len(),
            });
        }
        let starts: Vec<usize> = caches.iter().map(|cache| cache.len()).collect();
        if let Some(prompted) = self.prompted(ids, &context.clone().with_starts(starts)) {
            let hidden = self.forward_cached(&prompted.ids, caches, &prompted.context)?;
            return Ok(hidden.select(0, indices(&prompted.real, &self.device)));
        }
        let whole = |(cache, range): (&&mut KvCache, std::ops::Range<usize>)| {
            self.outgrown(cache.rotated_for(), cache.len() + range.len())
        };
        if caches.iter().zip(context.segments().iter()).any(whole) {
            return self.forward_anew(ids, caches, context);
        }
        let starts = caches.iter().map(|cache| cache.len()).collect();
        let context = &context.clone().with_starts(starts);
        let mut stream = self.embed(ids, context)?;
        let angles = self.angles(context);
        let mut layers: Vec<_> = caches
            .iter_mut()
            .map(|cache| cache.layers_mut().iter_mut())
            .collect();
        for layer in &self.layers {
            let mut caches: Vec<&mut LayerCache> = layers.iter_mut().filter_map(Iterator::next).collect();
            stream = layer.forward(stream, &angles, Some(&mut caches), context)?;
        }
        for (cache, range) in caches.iter_mut().zip(context.segments().iter()) {
            cache.extend(&ids[range]);
        }
        Ok(self.norm.forward_residual(stream.x, stream.added, context).0)
    }

    /// The embeddings, the hidden states behind every layer, and those behind the last norm.
    ///
    /// # Shapes
    /// `ids [t] -> [t, h]` of each of `num_hidden_layers + 2`.
    ///
    /// # Errors
    /// As [`DecoderModel::forward`].
    pub fn hidden_states(&self, ids: &[u32], context: &Context) -> Result<Vec<Tensor<2>>> {
        if let Some(prompted) = self.prompted(ids, context) {
            let states = self.hidden_states(&prompted.ids, &prompted.context)?;
            let real = indices(&prompted.real, &self.device);
            return Ok(states
                .into_iter()
                .map(|state| state.select(0, real.clone()))
                .collect());
        }
        let sum = |state: &LayerState| stream(state.clone()).map(|(stream, _)| stream.sum());
        let mut state = self.begin(ids, context)?;
        let mut states = vec![sum(&state)?];
        for index in 0..self.layers.len() {
            state = self.layer(index, state, context)?;
            states.push(sum(&state)?);
        }
        states.push(self.leave(state, context)?);
        Ok(states)
    }

    /// The modules that a merge changes, in the order of [`AdapterBase::modules`].
    pub(crate) fn modules_mut(&mut self) -> Vec<ModuleMut<'_>> {
        let mut modules = vec![ModuleMut::Embedding(&mut self.embed_tokens)];
        modules.extend(self.embed_positions.as_mut().map(ModuleMut::Embedding));
        self.layers
            .iter_mut()
            .for_each(|layer| layer.modules_mut(&mut modules));
        modules.push(self.norm.module_mut());
        modules
    }

    /// Notes whether the output layer's weight is still the table of words.
    pub(super) fn set_tied(&mut self, tied: bool) {
        self.config.tie_word_embeddings = tied;
    }

    /// As [`DecoderModel::forward_cached`] where a text has grown beyond the rotation of its cached keys: all texts of the
    /// pass are computed from their first token on.
    fn forward_anew(&self, ids: &[u32], caches: &mut [&mut KvCache], context: &Context) -> Result<Tensor<2>> {
        let (mut whole, mut lengths, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for (cache, range) in caches.iter_mut().zip(context.segments().iter()) {
            whole.extend_from_slice(cache.tokens());
            new.extend(whole.len()..whole.len() + range.len());
            lengths.push(cache.len() + range.len());
            whole.extend_from_slice(&ids[range]);
            cache.truncate(0);
        }
        let context = context.with_segments(Segments::from_lengths(lengths));
        let hidden = self.forward_cached(&whole, caches, &context)?; // [t of whole texts, h]
        Ok(hidden.select(0, indices(&new, &self.device)))
    }

    fn begin(&self, ids: &[u32], context: &Context) -> Result<LayerState> {
        let stream = self.embed(ids, context)?;
        let shared = Shared {
            angles: self.angles(context),
            position_bias: None,
        };
        Ok(LayerState::new(stream.into_tensors(), shared))
    }

    fn embed(&self, ids: &[u32], context: &Context) -> Result<Stream> {
        self.check_adapters(context)?;
        if ids.len() != context.segments().tokens() {
            return Err(Error::Dimension {
                what: "the list of token ids".to_owned(),
                expected: context.segments().tokens(),
                found: ids.len(),
            });
        }
        let x = self.words_and_prompts(ids, context)?;
        let x = match &self.embed_positions {
            Some(table) => x + table.forward_adapted(&context.positions(), context)?,
            None => x,
        };
        Ok(Stream {
            x: self.dropout.forward(x, context),
            added: None,
        })
    }

    /// The table of words.
    pub(super) fn words(&self) -> &Embedding {
        &self.embed_tokens
    }

    /// The ends of sublayers, by slot.
    pub(in crate::models) fn sublayers(&self) -> Vec<(String, SublayerShape)> {
        let width = self.config.hidden_size;
        let of = |(layer, ends): (usize, &Layer)| {
            ends.ends()
                .map(|(end, kind)| (end.slot().to_owned(), SublayerShape { layer, kind, width }))
        };
        self.layers.iter().enumerate().flat_map(of).collect()
    }

    /// Refuses adapters that change modules which this model does not have, or has in another shape.
    fn check_adapters(&self, context: &Context) -> Result<()> {
        context
            .adapter_runs()
            .iter()
            .try_for_each(|(_, stack)| stack.check(&self.adaptable))
    }

    /// The rotations of this pass, one for each kind that layers name.
    fn angles(&self, context: &Context) -> Vec<Angles> {
        let Positions::Rotary(ropes) = &self.config.positions else {
            return Vec::new();
        };
        let positions = context.positions();
        let angles = |rope: &Rope| {
            let (mut cos, mut sin) = (Vec::new(), Vec::new());
            for (text, range) in context.segments().iter().enumerate() {
                // The whole text, its cached part included, says which set of angles it has.
                let regime = rope.regime(context.start(text) + range.len());
                let (text_cos, text_sin) = rope.tables(&positions[range], regime);
                cos.extend(text_cos);
                sin.extend(text_sin);
            }
            let shape = [positions.len(), rope.rotary_dim() / 2]; // [t, r/2]
            let tensor = |values| Tensor::from_data(TensorData::new(values, shape), &self.device);
            Angles {
                cos: tensor(cos),
                sin: tensor(sin),
            }
        };
        ropes.iter().map(angles).collect()
    }

    /// Whether keys that were rotated for a text of `cached` tokens are rotated otherwise in a text of `tokens`.
    fn outgrown(&self, cached: usize, tokens: usize) -> bool {
        match &self.config.positions {
            Positions::Rotary(ropes) if cached > 0 => ropes
                .iter()
                .any(|rope| rope.regime(cached) != rope.regime(tokens)),
            _ => false,
        }
    }
}

impl Layered for DecoderModel {
    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn with_prompts(&self, tokens: &Tokens, context: &Context) -> Option<Prompted> {
        self.prompted(&tokens.ids, context)
    }

    fn enter(&self, tokens: &Tokens, context: &Context) -> Result<LayerState> {
        if self.prompted(&tokens.ids, context).is_some() {
            return Err(Error::InvalidArgument {
                argument: "tokens",
                reason:
                    "adapters have virtual tokens that do not stand before the texts; put them there with \
                    `Layered::with_prompts`"
                        .to_owned(),
            });
        }
        self.begin(&tokens.ids, context)
    }

    fn layer(&self, index: usize, state: LayerState, context: &Context) -> Result<LayerState> {
        let layer = self
            .layers
            .get(index)
            .ok_or_else(|| no_layer(index, self.layers.len()))?;
        let (stream, shared) = stream(state)?;
        let stream = layer.forward(stream, &shared.angles, None, context)?;
        Ok(LayerState::after(stream.into_tensors(), shared))
    }

    fn leave(&self, state: LayerState, context: &Context) -> Result<Tensor<2>> {
        let (stream, _) = stream(state)?;
        Ok(self.norm.forward_residual(stream.x, stream.added, context).0)
    }
}

impl AdapterBase for DecoderModel {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        &self.shapes
    }

    fn modules(&self) -> Vec<Module<'_>> {
        let mut modules = vec![Module::Embedding(&self.embed_tokens)];
        modules.extend(self.embed_positions.as_ref().map(Module::Embedding));
        self.layers.iter().for_each(|layer| layer.modules(&mut modules));
        modules.push(self.norm.module());
        modules
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

/// What layers hand on, out of a state.
fn stream(state: LayerState) -> Result<(Stream, Arc<Shared>)> {
    let (x, mut rest, shared) = state.into_parts(0..=1)?;
    let added = rest.pop();
    Ok((Stream { x, added }, shared))
}

/// Row numbers as a tensor.
pub(in crate::models) fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    #[allow(
        clippy::cast_possible_wrap,
        clippy::cast_possible_truncation,
        reason = "a batch has far fewer tokens than 2^31"
    )]
    let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
    Tensor::from_data(TensorData::from(rows.as_slice()), device)
}

/// Takes linear layers and norms out of a checkpoint in the way of one family.
pub(super) struct Parts<'a, 'b> {
    config: &'a DecoderConfig,
    loader: &'a Loader<'b>,
    /// Whether the file holds the bare model, without the prefix of the model with its head.
    bare: bool,
}

impl<'a, 'b> Parts<'a, 'b> {
    pub(super) fn new(config: &'a DecoderConfig, loader: &'a Loader<'b>) -> Self {
        let anchor = format!("{}.weight", config.names.embed_tokens);
        let bare = !loader.contains(&format!("{}{anchor}", config.names.model)) && loader.contains(&anchor);
        Self { config, loader, bare }
    }

    /// The slot of the table of words.
    pub(super) fn words_slot(&self) -> String {
        format!("{}{}", self.config.names.model, self.config.names.embed_tokens)
    }

    /// The table of words.
    pub(super) fn words(&self) -> Result<LinearWeight> {
        let config = self.config;
        self.matrix(
            &self.path(&self.words_slot()),
            config.hidden_size,
            config.vocab_size,
        )
    }

    /// A matrix that is stored `[o, i]` in every family.
    pub(super) fn matrix(&self, path: &str, i: usize, o: usize) -> Result<LinearWeight> {
        self.linear_weight(path, i, o, false)
    }

    /// The path in the file of a slot.
    pub(super) fn path(&self, slot: &str) -> String {
        match slot.strip_prefix(self.config.names.model) {
            Some(inside) if self.bare => inside.to_owned(),
            _ => slot.to_owned(),
        }
    }

    /// The norm at a path inside the bare model.
    pub(super) fn norm(&self, name: &str, width: usize) -> Result<Norm> {
        let slot = format!("{}{name}", self.config.names.model);
        let config = self.config;
        Norm::load(
            config.norm,
            config.norm_eps,
            width,
            &slot,
            &self.path(&slot),
            self.loader,
        )
    }

    /// The linear layer at a path inside the bare model.
    pub(super) fn linear(&self, name: &str, i: usize, o: usize, bias: bool) -> Result<Linear> {
        let slot = format!("{}{name}", self.config.names.model);
        let path = self.path(&slot);
        let weight = self.linear_weight(&path, i, o, self.config.names.transposed)?;
        let bias = match bias {
            true => Some(self.loader.tensor(&format!("{path}.bias"), [o])?),
            false => None,
        };
        Linear::with_weight(slot, weight, bias)
    }

    fn linear_weight(&self, path: &str, i: usize, o: usize, transposed: bool) -> Result<LinearWeight> {
        let name = format!("{path}.weight");
        let stored = match transposed {
            false => self.loader.matrix(&name, [o, i])?,
            true => self.loader.transposed_matrix(&name, [i, o])?,
        };
        Ok(LinearWeight::from_stored(&stored, self.loader.device()))
    }
}
