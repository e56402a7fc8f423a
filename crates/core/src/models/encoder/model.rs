//! The encoder from token ids to hidden states.
//!
//! Letters: `t` tokens of all texts, `h` hidden width.

use burn::tensor::Tensor;

use super::super::config_file::ConfigFile;
use super::EncoderConfig;
use super::embeddings::Embeddings;
use super::families::Family;
use super::layer::Layer;
use super::position_bias::PositionBias;
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
        let names = Family::named(&config.path, &config.model_type)?.names;
        let layers = (0..config.num_hidden_layers).map(|index| Layer::load(config, &names, index, &loader));
        Ok(Self {
            embeddings: Embeddings::load(config, &loader)?,
            position_bias: match config.relative_attention_num_buckets {
                Some(rows) => Some(PositionBias::load(config, rows, &loader)?),
                None => None,
            },
            layers: layers.collect::<Result<_>>()?,
            config: config.clone(),
        })
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
        let (x, position_bias) = self.embed(ids, type_ids, context)?;
        let next = |x, layer: &Layer| layer.forward(x, position_bias.as_ref(), context);
        Ok(self.layers.iter().fold(x, next))
    }

    /// The embeddings and the hidden states of every layer, in order.
    ///
    /// # Shapes
    /// `ids [t]`, `type_ids [t] -> [t, h]` of each of `num_hidden_layers + 1`.
    ///
    /// # Errors
    /// As [`EncoderModel::forward`].
    pub fn hidden_states(&self, ids: &[u32], type_ids: &[u32], context: &Context) -> Result<Vec<Tensor<2>>> {
        let (mut x, position_bias) = self.embed(ids, type_ids, context)?;
        let mut states = vec![x.clone()];
        for layer in &self.layers {
            x = layer.forward(x, position_bias.as_ref(), context);
            states.push(x.clone());
        }
        Ok(states)
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

    fn embed(
        &self,
        ids: &[u32],
        type_ids: &[u32],
        context: &Context,
    ) -> Result<(Tensor<2>, Option<Tensor<3>>)> {
        let x = self.embeddings.forward(ids, type_ids, context)?;
        let position_bias = match &self.position_bias {
            Some(bias) => Some(bias.forward(context.segments().longest())?),
            None => None,
        };
        Ok((x, position_bias))
    }
}
