//! An [`AdapterSet`] of bottlenecks into the files of AdapterHub's library.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::key::{Key, Part};
use super::write::{Stored, serialised, stored, write, write_json};
use super::{AdapterConfig, AdapterError, AdapterSet, Bottleneck, BottleneckConfig};
use crate::error::{Error, Result};

impl AdapterSet {
    /// Writes the folder that `load_adapter` of AdapterHub's library loads: `adapter_config.json`, `adapter.safetensors`
    /// and, for what was trained as a whole, `model_head.safetensors`.
    pub(super) fn save_bottlenecks(&self, folder: &Path) -> Result<()> {
        let config = self.described_bottlenecks().map_err(|source| Error::Adapter {
            path: folder.to_owned(),
            source,
        })?;
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let path = folder.join(Self::BOTTLENECK_WEIGHTS);
        let tensors = self.bottleneck_tensors();
        let named = tensors.into_iter().map(|((slot, part), tensor)| {
            let name = format!("{slot}.adapters.{}.{}", config.name, part.end());
            (name, tensor)
        });
        write(&path, &serialised(&named.collect(), &path)?)?;
        let whole = self.tensors(&BTreeSet::new());
        if !whole.is_empty() {
            let path = folder.join(Self::BOTTLENECK_HEAD);
            let named = whole
                .into_iter()
                .map(|(name, tensor)| (Key::bare(&name).to_owned(), tensor));
            write(&path, &serialised(&named.collect(), &path)?)?;
        }
        let hidden = self.bottlenecks().next().map_or(0, |(_, first)| first.hidden());
        let name = self.config().base_model_name_or_path.as_deref();
        write_json(&folder.join(AdapterConfig::FILE), &config.to_json(name, hidden))
    }

    /// All tensors of bottlenecks, by path and part.
    pub(super) fn bottleneck_tensors(&self) -> BTreeMap<(String, Part), Stored> {
        let mut tensors = BTreeMap::new();
        for (slot, bottleneck) in self.bottlenecks() {
            let path = self.path(slot);
            let ((down, down_bias), (up, up_bias)) = (bottleneck.down(), bottleneck.up());
            for (part, matrix) in [(Part::DownWeight, down), (Part::UpWeight, up)] {
                tensors.insert((path.to_owned(), part), stored(matrix));
            }
            for (part, vector) in [(Part::DownBias, down_bias), (Part::UpBias, up_bias)] {
                tensors.insert((path.to_owned(), part), stored(vector));
            }
        }
        tensors
    }

    /// The configuration, after a check that it describes the weights.
    fn described_bottlenecks(&self) -> Result<BottleneckConfig, AdapterError> {
        let not_writable = |reason: &str| AdapterError::NotWritable {
            reason: reason.to_owned(),
        };
        let updates = self
            .linears()
            .any(|(_, change)| change.low_rank.is_some() || change.rescaling.is_some());
        if self.prompt().is_some()
            || updates
            || self.embeddings().any(|(_, change)| change.low_rank.is_some())
        {
            return Err(not_writable(
                "it has bottlenecks and updates, (IA)³ or a prompt; write them apart",
            ));
        }
        let Some(base) = &self.base else {
            return Err(not_writable(
                "bottlenecks are written by what their base is; note it with `AdapterSet::beside`",
            ));
        };
        let config = self.config().bottleneck.clone().unwrap_or_default();
        let targets = config.resolve(base);
        let fits = |bottleneck: &Bottleneck, width: usize| {
            bottleneck.width() == width
                && bottleneck.activation() == config.non_linearity
                && bottleneck.scaling().to_bits() == config.scaling.to_bits()
                && bottleneck.reads_stream() == config.original_ln_before
        };
        let described = targets.len() == self.bottlenecks().len()
            && targets.iter().all(|target| {
                let found = self.bottleneck(&target.slot);
                found.is_some_and(|found| fits(found, target.width))
            });
        match described {
            true => Ok(config),
            false => Err(not_writable(
                "its `BottleneckConfig` does not describe its bottlenecks: place, width, non-linearity and scaling of all",
            )),
        }
    }
}
