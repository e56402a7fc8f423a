//! An [`AdapterSet`] into PEFT's files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;

use super::base::{ModuleKind, ModuleShape};
use super::config::{AdapterConfig, AdapterMethod, Targets, TrainedBiases};
use super::experts::{self, Experts, Stacked};
use super::key::{Key, PROMPT, Part};
use super::target::Target;
use super::{AdapterError, AdapterSet, Rescaling};
use crate::error::{Error, Result};
use crate::weights::CheckpointError;

impl AdapterSet {
    /// Writes the folder that PEFT loads: `adapter_config.json` and `adapter_model.safetensors` (f32), each whole or not
    /// at all. A configuration that does not describe the weights is made explicit: every module by its path, with its
    /// rank and alpha.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Adapter`] for a set that PEFT's format cannot hold, such as one with updates and
    /// (IA)³, or with DoRA in some of its modules only.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        if self.bottlenecks().len() > 0 {
            return self.save_bottlenecks(folder);
        }
        if let Some((_, rows)) = self.prompt() {
            return self.save_prompt(folder, rows);
        }
        let of_adapter = |source| Error::Adapter {
            path: folder.to_owned(),
            source,
        };
        let stacked = self.stacked().map_err(of_adapter)?;
        let config = self.described(&stacked).map_err(of_adapter)?;
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let path = folder.join(Self::WEIGHTS);
        let bytes = self.to_safetensors(&path, stacked)?;
        write(&path, &bytes)?;
        let path = folder.join(AdapterConfig::FILE);
        write_json(&path, &config.to_json())
    }

    /// Writes the folder of a tuned prompt.
    fn save_prompt(&self, folder: &Path, rows: &Tensor<2>) -> Result<()> {
        let count = self.parameters();
        let [n, h] = rows.dims();
        if count != n * h {
            return Err(Error::Adapter {
                path: folder.to_owned(),
                source: AdapterError::NotWritable {
                    reason: "PEFT has a tuned prompt alone in a folder; write it and the other weights apart"
                        .to_owned(),
                },
            });
        }
        let mut config = self.config().prompt.clone().unwrap_or_default();
        (config.num_virtual_tokens, config.token_dim) = (n, h);
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let path = folder.join(Self::WEIGHTS);
        let tensors = BTreeMap::from([(PROMPT.to_owned(), stored(rows.clone()))]);
        write(&path, &serialised(&tensors, &path)?)?;
        write_json(&folder.join(AdapterConfig::FILE), &config.to_json(self.config()))
    }

    /// Feeds all tensors, with what scales them, to a hash.
    pub(super) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        for (name, (shape, bytes)) in self.tensors(&BTreeSet::new()) {
            hasher.update(format!("{name}\0{shape:?}\0").as_bytes());
            hasher.update(&bytes);
        }
        for update in self.updates() {
            hasher.update(&update.scaling.to_le_bytes());
        }
        for ((slot, part), (shape, bytes)) in self.bottleneck_tensors() {
            hasher.update(format!("{slot}\0{}\0{shape:?}\0", part.end()).as_bytes());
            hasher.update(&bytes);
        }
        if let Some((_, rows)) = self.prompt() {
            hasher.update(PROMPT.as_bytes());
            hasher.update(&stored(rows.clone()).1);
        }
        for (_, bottleneck) in self.bottlenecks() {
            let (kind, stream) = (bottleneck.activation().name(), bottleneck.reads_stream());
            hasher.update(format!("{kind}\0{stream}\0").as_bytes());
            hasher.update(&bottleneck.scaling().to_le_bytes());
        }
    }

    /// The content of `adapter_model.safetensors`.
    fn to_safetensors(&self, path: &Path, stacked: StackedUpdates) -> Result<Vec<u8>> {
        let mut tensors = self.tensors(&stacked.slots);
        tensors.extend(stacked.tensors);
        serialised(&tensors, path)
    }

    /// The updates that are written as those of stacked parameters: those that the configuration names so, where each is
    /// of a shape that a stacked one can have.
    fn stacked(&self) -> Result<StackedUpdates, AdapterError> {
        let mut stacked = StackedUpdates::default();
        let (Some(base), config) = (&self.base, self.config()) else {
            return Ok(stacked);
        };
        if config.target_parameters.is_empty() {
            return Ok(stacked);
        }
        let target = Target::new(config)?;
        let is_named = |path: &str| {
            let mut entries = config.target_parameters.iter();
            entries.any(|entry| experts::names(entry, path))
        };
        for layer in Experts::of(base) {
            let (path, slot, module) = layer.router();
            if is_named(&path) {
                let Some(pair) = self.linear(&slot).and_then(|change| change.low_rank.as_ref()) else {
                    return Ok(StackedUpdates::default());
                };
                for (part, matrix) in [(Part::A, pair.a()), (Part::B, pair.b())] {
                    stacked
                        .tensors
                        .insert(Key::new(&module, part).to_string(), stored(matrix));
                }
                stacked.slots.insert(slot);
            }
            let both = is_named(&layer.path(Stacked::GateUp)) && is_named(&layer.path(Stacked::Down));
            for which in [Stacked::GateUp, Stacked::Down] {
                let path = layer.path(which);
                if !is_named(&path) {
                    continue;
                }
                let (rank, alpha) = target.rank_and_alpha(&path, false)?;
                let joined = layer.join(which, self).filter(|(_, _, found, scaling)| {
                    *found == rank && near(*scaling, config.scaling(rank, alpha))
                });
                let Some((a, b, ..)) = joined else {
                    return Ok(StackedUpdates::default());
                };
                // PEFT wraps the first parameter, then the second around it.
                let module = match which {
                    Stacked::GateUp if both => format!("{}.base_layer", layer.module()),
                    _ => layer.module(),
                };
                let dims = layer.pair_dims(which, rank);
                for ((part, values), dims) in [(Part::A, a), (Part::B, b)].into_iter().zip(dims) {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                    stacked
                        .tensors
                        .insert(Key::new(&module, part).to_string(), (dims.to_vec(), bytes));
                }
                stacked.slots.extend(layer.slots(which));
            }
        }
        Ok(stacked)
    }

    /// All tensors but those of some slots by PEFT's names, with shapes and little-endian f32.
    pub(super) fn tensors(&self, without: &BTreeSet<String>) -> BTreeMap<String, Stored> {
        let mut tensors = BTreeMap::new();
        let mut vector = |slot: &str, part: Part, tensor: Option<&Tensor<1>>| {
            if let Some(tensor) = tensor {
                tensors.insert(
                    Key::new(self.path(slot), part).to_string(),
                    stored(tensor.clone()),
                );
            }
        };
        let linears = || self.linears().filter(|(slot, _)| !without.contains(*slot));
        for (slot, change) in linears() {
            vector(slot, Part::Bias, change.bias.as_ref());
            let pair = change.low_rank.as_ref();
            vector(slot, Part::BiasOfB, pair.and_then(|pair| pair.bias()));
            vector(slot, Part::Magnitude, pair.and_then(|pair| pair.magnitude()));
        }
        for (slot, change) in self.embeddings() {
            let magnitude = change.low_rank.as_ref().and_then(|pair| pair.magnitude());
            vector(slot, Part::Magnitude, magnitude);
        }
        for (slot, change) in self.norms() {
            vector(slot, Part::Weight, change.weight.as_ref());
            vector(slot, Part::Bias, change.bias.as_ref());
        }
        let mut matrix = |slot: &str, part: Part, tensor: Tensor<2>| {
            tensors.insert(Key::new(self.path(slot), part).to_string(), stored(tensor));
        };
        for (slot, change) in linears() {
            if let Some(weight) = &change.weight {
                let weight = weight.to_tensor();
                let transposed = self.shape(slot).is_some_and(|shape| shape.transposed);
                let weight = if transposed { weight.transpose() } else { weight };
                matrix(slot, Part::Weight, weight);
            }
            if let Some(pair) = &change.low_rank {
                matrix(slot, Part::A, pair.a());
                matrix(slot, Part::B, pair.b());
            }
            match &change.rescaling {
                Some(Rescaling::Input(factor)) => {
                    matrix(slot, Part::Rescaling, factor.clone().unsqueeze_dim(0));
                }
                Some(Rescaling::Output(factor)) => {
                    matrix(slot, Part::Rescaling, factor.clone().unsqueeze_dim(1));
                }
                None => {}
            }
        }
        for (slot, change) in self.embeddings() {
            if let Some(table) = &change.weight {
                matrix(slot, Part::Weight, table.clone());
            }
            if let Some(pair) = &change.low_rank {
                matrix(slot, Part::EmbeddingA, pair.a());
                matrix(slot, Part::EmbeddingB, pair.b());
            }
        }
        // PEFT keeps what the base has under an update in a layer inside its own.
        let wrapped: Vec<String> = self.updates().map(|update| update.slot).collect();
        for slot in wrapped {
            let path = self.path(&slot);
            for part in [Part::Weight, Part::Bias] {
                let key = Key::new(path, part).to_string();
                if let Some(tensor) = tensors.remove(&key) {
                    let inside = Key::new(&format!("{path}.base_layer"), part).to_string();
                    tensors.insert(inside, tensor);
                }
            }
        }
        tensors
    }

    /// The configuration, made explicit where it does not describe the weights.
    fn described(&self, stacked: &StackedUpdates) -> Result<AdapterConfig, AdapterError> {
        let not_writable = |reason: &str| AdapterError::NotWritable {
            reason: reason.to_owned(),
        };
        let updates: Vec<Update> = self
            .updates()
            .filter(|update| !stacked.slots.contains(&update.slot))
            .collect();
        let rescaled: Vec<(&str, bool)> = self
            .linears()
            .filter_map(|(slot, change)| {
                let rescaling = change.rescaling.as_ref()?;
                Some((slot, matches!(rescaling, Rescaling::Input(_))))
            })
            .collect();
        let mut config = self.config().clone();
        let none = updates.is_empty() && stacked.slots.is_empty();
        if stacked.slots.is_empty() {
            config.target_parameters.clear();
        }
        config.peft_type = match (none, rescaled.is_empty()) {
            (false, false) => return Err(not_writable("it has both updates and (IA)³; write them apart")),
            (true, true) => return Err(not_writable("it has neither updates nor (IA)³")),
            (false, true) => AdapterMethod::Lora,
            (true, false) => AdapterMethod::Ia3,
        };
        config.use_dora = same(updates.iter().map(|update| update.dora))
            .ok_or_else(|| not_writable("only some of its modules are DoRA"))?
            .unwrap_or_default();
        let linear = updates.iter().filter(|update| update.linear);
        config.lora_bias = same(linear.map(|update| update.bias))
            .ok_or_else(|| not_writable("only some of its second matrices have biases"))?
            .unwrap_or_default();
        // 1. Modules with updates.
        let slots: Vec<&str> = updates
            .iter()
            .map(|update| update.slot.as_str())
            .chain(rescaled.iter().map(|(slot, _)| *slot))
            .collect();
        if !self.is_described(&config, &updates, &rescaled)? {
            config.target_modules = Some(Targets::Names(self.names_of(&slots)));
            (config.exclude_modules, config.layers_to_transform) = (None, None);
            config.layers_pattern.clear();
            if stacked.slots.is_empty() {
                (config.rank_pattern, config.alpha_pattern) = (Vec::new(), Vec::new());
            }
            let inputs = rescaled.iter().filter(|(_, input)| *input);
            let inputs: Vec<String> = inputs.map(|(slot, _)| self.path(slot).to_owned()).collect();
            config.feedforward_modules =
                (config.peft_type == AdapterMethod::Ia3).then_some(Targets::Names(inputs));
            if let Some(first) = updates.first().filter(|_| stacked.slots.is_empty()) {
                config.r = first.rank;
                config.lora_alpha = config.alpha_of(first.rank, first.scaling);
            }
            for update in &updates {
                let pattern = format!("^{}", escaped(self.path(&update.slot)));
                let alpha = config.alpha_of(update.rank, update.scaling);
                if update.rank != config.r {
                    config.rank_pattern.push((pattern.clone(), update.rank));
                }
                if !near(alpha, config.lora_alpha) {
                    config.alpha_pattern.push((pattern, alpha));
                }
            }
        }
        // 2. Modules as a whole, and biases beside updates.
        let target_has = |slot: &str| slots.contains(&slot);
        let mut saved: Vec<String> = Vec::new();
        let mut biases: Vec<&str> = Vec::new();
        let wholes = self
            .linears()
            .map(|(slot, change)| (slot, change.weight.is_some(), change.bias.is_some()))
            .chain(
                self.embeddings()
                    .map(|(slot, change)| (slot, change.weight.is_some(), false)),
            )
            .chain(
                self.norms()
                    .map(|(slot, change)| (slot, change.weight.is_some(), change.bias.is_some())),
            );
        for (slot, weight, bias) in wholes {
            match (weight && !target_has(slot), bias) {
                (true, _) => saved.push(self.path(slot).to_owned()),
                (false, true) => biases.push(slot),
                (false, false) => {}
            }
        }
        config.bias = match biases.as_slice() {
            [] => TrainedBiases::None,
            biases if biases.iter().all(|slot| target_has(slot)) => TrainedBiases::LoraOnly,
            _ => TrainedBiases::All,
        };
        if self.config().bias == TrainedBiases::All && !biases.is_empty() {
            config.bias = TrainedBiases::All;
        }
        let kept = {
            let target = Target::new(&config)?;
            saved.iter().all(|path| target.saves_path(path))
        };
        if !kept {
            config.modules_to_save = saved;
        }
        config.fan_in_fan_out |= slots
            .iter()
            .any(|slot| self.shape(slot).is_some_and(|shape| shape.transposed));
        Ok(config)
    }

    /// Whether a configuration names exactly the modules with updates, with their ranks and scalings.
    fn is_described(
        &self,
        config: &AdapterConfig,
        updates: &[Update],
        rescaled: &[(&str, bool)],
    ) -> Result<bool, AdapterError> {
        // Without a base to look at, a pattern could name more than the set has.
        let Some(base) = &self.base else {
            return Ok(false);
        };
        if config.target_modules.is_none() {
            return Ok(updates.is_empty() && rescaled.is_empty());
        }
        let target = Target::new(config)?;
        for (slot, shape) in base.iter() {
            // An output layer goes by both of its names; the others have one.
            let path = if shape.is_output { slot } else { base.path(slot) };
            let included = target.includes(path, shape)? == Some(true);
            let update = updates.iter().find(|update| update.slot == slot);
            let input = rescaled
                .iter()
                .find_map(|(rescaled, input)| (*rescaled == slot).then_some(*input));
            let fits = match (update, input) {
                (None, None) => !included,
                (Some(update), _) => {
                    let (rank, alpha) = target.rank_and_alpha(path, shape.is_output)?;
                    included && rank == update.rank && near(config.scaling(rank, alpha), update.scaling)
                }
                (None, Some(input)) => included && target.is_feedforward(path, shape)? == input,
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The names of modules for `target_modules`: the last part of a path where all modules that end so are among them.
    fn names_of(&self, slots: &[&str]) -> Vec<String> {
        let end = |slot: &str| slot.rsplit('.').next().unwrap_or(slot).to_owned();
        let mut names = BTreeSet::new();
        for slot in slots {
            let whole = self.base.as_ref().is_some_and(|base| {
                let mut alike = base.iter().filter(|(other, shape)| {
                    !matches!(shape.kind, ModuleKind::Norm { .. }) && end(other) == end(slot)
                });
                alike.all(|(other, _)| slots.contains(&other))
            });
            names.insert(match whole {
                true => end(self.path(slot)),
                false => self.path(slot).to_owned(),
            });
        }
        names.into_iter().collect()
    }

    fn updates(&self) -> impl Iterator<Item = Update> + '_ {
        let linears = self.linears().filter_map(|(slot, change)| {
            let pair = change.low_rank.as_ref()?;
            Some(Update {
                slot: slot.to_owned(),
                rank: pair.rank(),
                scaling: pair.scaling(),
                dora: pair.magnitude().is_some(),
                bias: pair.bias().is_some(),
                linear: true,
            })
        });
        let embeddings = self.embeddings().filter_map(|(slot, change)| {
            let pair = change.low_rank.as_ref()?;
            Some(Update {
                slot: slot.to_owned(),
                rank: pair.rank(),
                scaling: pair.scaling(),
                dora: pair.magnitude().is_some(),
                bias: false,
                linear: false,
            })
        });
        linears.chain(embeddings)
    }

    /// The path by which PEFT knows a module.
    pub(super) fn path<'s>(&'s self, slot: &'s str) -> &'s str {
        self.base.as_ref().map_or(slot, |base| base.path(slot))
    }

    fn shape(&self, slot: &str) -> Option<ModuleShape> {
        let shape = self.base.as_ref()?.get(slot)?;
        matches!(shape.kind, ModuleKind::Linear { .. }).then_some(shape)
    }
}

/// A tensor's shape and little-endian f32.
pub(super) type Stored = (Vec<usize>, Vec<u8>);

/// Updates that are written as those of stacked parameters.
#[derive(Default)]
struct StackedUpdates {
    slots: BTreeSet<String>,
    tensors: BTreeMap<String, Stored>,
}

/// One low-rank update.
struct Update {
    slot: String,
    rank: usize,
    scaling: f64,
    dora: bool,
    bias: bool,
    linear: bool,
}

/// The one value of all, nothing where there is none; `None` where they differ.
fn same(values: impl Iterator<Item = bool>) -> Option<Option<bool>> {
    let mut first = None;
    for value in values {
        match first {
            None => first = Some(value),
            Some(first) if first != value => return None,
            Some(_) => {}
        }
    }
    Some(first)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// A path as a regular expression that matches it alone.
fn escaped(path: &str) -> String {
    path.replace('.', r"\.")
}

pub(super) fn stored<const D: usize>(tensor: Tensor<D>) -> Stored {
    let shape = tensor.dims().to_vec();
    let data = tensor.into_data();
    let bytes = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
    (shape, bytes)
}

/// The content of a safetensors file.
pub(super) fn serialised(tensors: &BTreeMap<String, Stored>, path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::Checkpoint {
        path: path.to_owned(),
        source: CheckpointError::Write { source },
    };
    let mut views = Vec::with_capacity(tensors.len());
    for (name, (shape, bytes)) in tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(failed)?;
        views.push((name.as_str(), view));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(failed)
}

pub(super) fn write_json(path: &Path, json: &Value) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(json).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })?;
    json.push(b'\n');
    write(path, &json)
}

/// Writes a sibling, then renames it, so that a file is whole or absent.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let io = |source| Error::io(&partial, source);
    let mut file = fs::File::create(&partial).map_err(io)?;
    std::io::Write::write_all(&mut file, bytes).map_err(io)?;
    file.sync_all().map_err(io)?;
    fs::rename(&partial, path).map_err(|source| Error::io(path, source))
}
