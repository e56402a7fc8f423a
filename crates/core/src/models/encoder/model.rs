//! The encoder from token ids to hidden states.
//!
//! Letters: `t` tokens of all texts, `h` hidden width.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::super::config_file::ConfigFile;
use super::super::layered::{LayerState, Layered, Shared, Tokens, no_layer};
use super::EncoderConfig;
use super::embeddings::Embeddings;
use super::families::Family;
use super::layer::{Layer, LayerBias};
use super::position_bias::PositionBias;
use crate::adapters::{AdapterBase, Module, ModuleShapes, SublayerShape};
use crate::error::Result;
use crate::nn::Context;
use crate::weights::{Loader, ModelFiles};

/// A tensor that every family has, by which the prefix of the bare model is found.
const ANCHOR: &str = "embeddings.word_embeddings.weight";

/// A post-norm transformer encoder without a head.
///
/// ```no_run
/// use ragtune_core::device::Device;
/// use ragtune_core::models::EncoderModel;
/// use ragtune_core::nn::{Context, Segments};
/// use ragtune_core::weights::ModelFiles;
///
/// # fn on(device: &Device) -> ragtune_core::Result<()> {
/// let files = ModelFiles::folder("models/all-minilm-l6-v2")?;
/// let config = EncoderModel::config(&files)?;
/// let (model, report) = files.checkpoint()?.load(device, |loader| EncoderModel::load(&config, loader))?;
/// println!("{} tensors, {} left over", report.applied.len(), report.unused.len());
/// let context = Context::new(Segments::from_lengths([3]));
/// let hidden = model.forward(&[101, 7592, 102], &[0, 0, 0], &context)?;
/// assert_eq!(hidden.dims(), [3, 384]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EncoderModel {
    config: EncoderConfig,
    embeddings: Embeddings,
    position_bias: Option<PositionBias>,
    layers: Vec<Layer>,
    device: Device,
    shapes: Arc<ModuleShapes>,
    /// The modules that adapters of a pass may change: the shapes of the model with its head, where there is one.
    adaptable: Arc<ModuleShapes>,
}

impl EncoderModel {
    /// Reads the `config.json` of a model's folder.
    ///
    /// # Errors
    /// [`crate::Error::MissingFile`], [`crate::Error::Json`], [`crate::Error::Unsupported`] for an unknown
    /// `model_type`, and [`crate::Error::Config`].
    pub fn config(files: &ModelFiles) -> Result<EncoderConfig> {
        Ok(Self::family(files)?.1)
    }

    /// Takes the encoder's tensors, whatever prefix of its family they stand under.
    ///
    /// # Errors
    /// As [`Loader::tensor`].
    pub fn load(config: &EncoderConfig, loader: &Loader<'_>) -> Result<Self> {
        let loader = Self::loader(loader);
        let family = Family::named(&config.path, &config.model_type)?;
        let names = family.names;
        let layers = (0..config.num_hidden_layers).map(|index| Layer::load(config, &names, index, &loader));
        let mut model = Self {
            embeddings: Embeddings::load(config, &loader)?,
            position_bias: match config.relative_attention_num_buckets {
                Some(rows) => Some(PositionBias::load(config, rows, &loader)?),
                None => None,
            },
            layers: layers.collect::<Result<_>>()?,
            config: config.clone(),
            device: loader.device().clone(),
            shapes: Arc::default(),
            adaptable: Arc::default(),
        };
        let shapes = ModuleShapes::new(&model.modules(), |_| false, None)
            .with_sublayers(model.sublayers())
            .with_optional_prefix(family.prefix, |_| true);
        model.shapes = Arc::new(shapes);
        model.adaptable = Arc::clone(&model.shapes);
        Ok(model)
    }

    /// Lets adapters of a model with a head pass, of which this is the base.
    pub(in crate::models) fn under(mut self, shapes: &Arc<ModuleShapes>) -> Self {
        self.adaptable = Arc::clone(shapes);
        self
    }

    /// The shape of the model.
    pub fn shape(&self) -> &EncoderConfig {
        &self.config
    }

    /// The hidden states of the last layer.
    ///
    /// # Shapes
    /// `ids [t]`, `type_ids [t] -> [t, h]`.
    ///
    /// # Errors
    /// [`crate::Error::UnknownId`] for an id outside the vocabulary, and [`crate::Error::Dimension`] for a text that
    /// is longer than the table of positions.
    pub fn forward(&self, ids: &[u32], type_ids: &[u32], context: &Context) -> Result<Tensor<2>> {
        let entered = self.begin(ids, type_ids, context)?;
        let next = |state, index| self.layer(index, state, context);
        let state = (0..self.layers.len()).try_fold(entered, next)?;
        self.leave(state, context)
    }

    /// The embeddings and the hidden states of every layer, in order.
    ///
    /// # Shapes
    /// `ids [t]`, `type_ids [t] -> [t, h]` of each of `num_hidden_layers + 1`.
    ///
    /// # Errors
    /// As [`EncoderModel::forward`].
    pub fn hidden_states(&self, ids: &[u32], type_ids: &[u32], context: &Context) -> Result<Vec<Tensor<2>>> {
        let mut state = self.begin(ids, type_ids, context)?;
        let mut states = vec![state.streams()[0].clone()];
        for index in 0..self.layers.len() {
            state = self.layer(index, state, context)?;
            states.push(state.streams()[0].clone());
        }
        Ok(states)
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

    /// The loader for names of the bare model.
    pub(in crate::models) fn loader<'a>(loader: &Loader<'a>) -> Loader<'a> {
        loader.under_prefix_of(ANCHOR)
    }

    /// The family and the configuration of a model's folder.
    pub(in crate::models) fn family(files: &ModelFiles) -> Result<(Family, EncoderConfig)> {
        let remedy = "it says what model the weights are of; download it with the weights";
        let file = ConfigFile::require(files, "config.json", remedy)?;
        let Some(model_type) = file.text("model_type")? else {
            return Err(file.wrong("model_type", format!("one of {}", super::FAMILIES.join(", "))));
        };
        let family = Family::named(file.path(), model_type)?;
        let config = (family.config)(&file, model_type)?;
        Ok((family, config))
    }

    fn begin(&self, ids: &[u32], type_ids: &[u32], context: &Context) -> Result<LayerState> {
        // 1. Adapters of another base are refused by name.
        for (_, stack) in context.adapter_runs() {
            stack.check(&self.adaptable)?;
        }
        // 2. Embeddings, and the bias that all layers share. What adapters change of it flows from layer to layer.
        let mut streams = vec![self.embeddings.forward(ids, type_ids, context)?];
        let mut shared = Shared::default();
        if let Some(bias) = &self.position_bias {
            match bias.forward_adapted(context)? {
                Some(biases) => streams.extend(biases),
                None => shared.position_bias = Some(bias.forward(context.segments().longest())?),
            }
        }
        Ok(LayerState::new(streams, shared))
    }
}

impl Layered for EncoderModel {
    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn enter(&self, tokens: &Tokens, context: &Context) -> Result<LayerState> {
        self.begin(&tokens.ids, &tokens.type_ids, context)
    }

    fn layer(&self, index: usize, state: LayerState, context: &Context) -> Result<LayerState> {
        let layer = self
            .layers
            .get(index)
            .ok_or_else(|| no_layer(index, self.layers.len()))?;
        let (x, biases, shared) = state.into_parts(0..=context.adapter_runs().len())?;
        let position_bias = match (&shared.position_bias, &self.position_bias) {
            (Some(bias), _) => LayerBias::Shared(bias),
            (None, Some(bias)) => {
                LayerBias::OfRuns(biases.iter().map(|rows| bias.unfold(rows.clone())).collect())
            }
            (None, None) => LayerBias::None,
        };
        let x = layer.forward(x, &position_bias, context);
        let streams = std::iter::once(x).chain(biases).collect();
        Ok(LayerState::after(streams, shared))
    }

    fn leave(&self, state: LayerState, context: &Context) -> Result<Tensor<2>> {
        Ok(state.into_parts(0..=context.adapter_runs().len())?.0)
    }
}

impl AdapterBase for EncoderModel {
    fn module_shapes(&self) -> &Arc<ModuleShapes> {
        &self.shapes
    }

    fn modules(&self) -> Vec<Module<'_>> {
        let mut modules = Vec::new();
        self.embeddings.modules(&mut modules);
        modules.extend(self.position_bias.as_ref().map(PositionBias::module));
        self.layers.iter().for_each(|layer| layer.modules(&mut modules));
        modules
    }

    fn device(&self) -> &Device {
        &self.device
    }
}
