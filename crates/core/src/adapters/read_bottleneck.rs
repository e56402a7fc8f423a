//! AdapterHub's files of bottleneck adapters into an [`AdapterSet`], every tensor accounted for.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::base::{AdapterBase, ModuleKind, ModuleShape};
use super::bottleneck_config::names_nothing;
use super::key::{Key, Part};
use super::read::Reader;
use super::{AdapterConfig, AdapterSet, Bottleneck, BottleneckConfig};
use crate::error::{Error, Result};
use crate::weights::ModelFiles;

impl AdapterSet {
    /// The file of the weights in a folder of bottleneck adapters.
    pub const BOTTLENECK_WEIGHTS: &'static str = "adapter.safetensors";
    /// The file beside it with what was trained as a whole, such as a head.
    pub const BOTTLENECK_HEAD: &'static str = "model_head.safetensors";

    /// Reads a folder of bottleneck adapters.
    pub(super) fn read_bottlenecks(
        files: &ModelFiles,
        base: &(impl AdapterBase + ?Sized),
        config: AdapterConfig,
        settings: &BottleneckConfig,
    ) -> Result<Self> {
        let remedy = "a folder of bottleneck adapters has adapter_config.json and adapter.safetensors; convert \
            pytorch_adapter.bin by `save_adapter(folder, name, use_safetensors=True)`";
        let checkpoint = files
            .safetensors(Self::BOTTLENECK_WEIGHTS)?
            .ok_or_else(|| Error::MissingFile {
                path: files.path(Self::BOTTLENECK_WEIGHTS),
                remedy,
            })?;
        let mut set = AdapterSet::new();
        let mut reader = Reader::new(files, base, &checkpoint)?;
        let targets = settings.resolve(base.module_shapes());
        if targets.is_empty() {
            return Err(names_nothing(files.root(), settings));
        }
        for target in targets {
            let (r, h) = (target.width, target.hidden);
            let key = |part| Key::new(&target.slot, part);
            let down = reader.tensor(&key(Part::DownWeight), [r, h])?;
            let down_bias = reader.tensor(&key(Part::DownBias), [r])?;
            let up = reader.tensor(&key(Part::UpWeight), [h, r])?;
            let up_bias = reader.tensor(&key(Part::UpBias), [h])?;
            let bottleneck = settings.of((down, down_bias), (up, up_bias));
            set = set.with_bottleneck(target.slot, bottleneck);
        }
        reader.finish()?;
        if let Some(checkpoint) = files.safetensors(Self::BOTTLENECK_HEAD)? {
            let mut reader = Reader::new(files, base, &checkpoint)?;
            for (slot, shape) in base.module_shapes().iter() {
                reader.whole(&mut set, slot, shape, false)?;
                reader.head_bias(&mut set, slot, shape)?;
            }
            reader.finish()?;
        }
        set.base = Some(Arc::clone(base.module_shapes()));
        Ok(set.with_config(config))
    }
}

impl BottleneckConfig {
    /// A bottleneck of these weights.
    ///
    /// # Shapes
    /// `down` is `[r, h]` and `[r]`, `up` is `[h, r]` and `[h]`.
    #[must_use]
    pub fn of(&self, down: (Tensor<2>, Tensor<1>), up: (Tensor<2>, Tensor<1>)) -> Bottleneck {
        let bottleneck = Bottleneck::new(down, up)
            .with_activation(self.non_linearity)
            .with_scaling(self.scaling)
            .with_dropout(self.dropout);
        match self.original_ln_before {
            true => bottleneck.reading_stream(),
            false => bottleneck,
        }
    }
}

impl Reader<'_> {
    /// A bias that was trained as a whole, where the file has one.
    fn head_bias(&mut self, set: &mut AdapterSet, slot: &str, shape: ModuleShape) -> Result<()> {
        let key = Key::new(slot, Part::Bias);
        if self.shape(&key).is_none() {
            return Ok(());
        }
        match shape.kind {
            ModuleKind::Linear {
                out_features,
                bias: true,
                ..
            } => {
                set.linear_mut(slot).bias = Some(self.tensor(&key, [out_features])?);
            }
            ModuleKind::Norm { width, bias: true } => {
                set.norm_mut(slot).bias = Some(self.tensor(&key, [width])?);
            }
            // A module without a bias: the tensor stays unused, which is an error.
            _ => {}
        }
        Ok(())
    }
}
