//! PEFT's files into an [`AdapterSet`], every tensor accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::base::{AdapterBase, Module, ModuleKind, ModuleShape, ModuleShapes};
use super::config::{AdapterConfig, AdapterMethod, TrainedBiases};
use super::experts::{self, Experts, Stacked};
use super::key::{Key, Part};
use super::target::Target;
use super::{AdapterError, AdapterSet, LowRank, LowRankEmbedding, PromptConfig, Rescaling};
use crate::error::{Error, Result};
use crate::kernels::LinearWeight;
use crate::weights::{Checkpoint, ModelFiles, nearest};

/// Suggestions for a name that was not found.
const SUGGESTIONS: usize = 2;

impl AdapterSet {
    /// The file of the weights in an adapter's folder.
    pub const WEIGHTS: &'static str = "adapter_model.safetensors";

    /// Reads an adapter's folder as PEFT saves it, for the base model that it was trained beside.
    ///
    /// # Errors
    /// As [`AdapterSet::from_files`].
    pub fn load(folder: impl Into<PathBuf>, base: &(impl AdapterBase + ?Sized)) -> Result<Self> {
        Self::from_files(&ModelFiles::folder(folder)?, base)
    }

    /// Reads an adapter from a folder or from memory.
    ///
    /// # Errors
    /// As [`AdapterConfig::read`] and [`Checkpoint::open`]; [`Error::Adapter`] when the tensors are not those that
    /// configuration and base call for: one is missing, left over, or of another shape.
    pub fn from_files(files: &ModelFiles, base: &(impl AdapterBase + ?Sized)) -> Result<Self> {
        let config = AdapterConfig::read(files)?;
        if let Some(settings) = config.bottleneck.clone() {
            return Self::read_bottlenecks(files, base, config, &settings);
        }
        let remedy = "an adapter's folder has adapter_config.json and adapter_model.safetensors; convert \
            adapter_model.bin by loading and saving it in PEFT";
        let checkpoint = files
            .safetensors(Self::WEIGHTS)?
            .ok_or_else(|| Error::MissingFile {
                path: files.path(Self::WEIGHTS),
                remedy,
            })?;
        let of_adapter = |source| Error::Adapter {
            path: files.root().to_owned(),
            source,
        };
        let mut reader = Reader::new(files, base, &checkpoint)?;
        let mut set = AdapterSet::new();
        if let Some(prompt) = &config.prompt {
            reader.prompt(&mut set, prompt)?;
        } else {
            let target = Target::new(&config).map_err(of_adapter)?;
            let targeted = reader.targeted(&config, &target).map_err(of_adapter)?;
            reader.stacked(&mut set, &config, &target)?;
            for (slot, shape) in reader.shapes.clone().iter() {
                let is_target = targeted.contains(slot);
                let saved = target.saves(reader.shapes.path_in(slot, reader.prefixed), shape) && !is_target;
                reader.whole(&mut set, slot, shape, saved)?;
                reader.biases(&mut set, slot, shape, &config, is_target)?;
                match (is_target, config.peft_type) {
                    (false, _) => {}
                    (true, AdapterMethod::Lora) => {
                        reader.low_rank(&mut set, slot, shape, &config, &target)?;
                    }
                    (true, AdapterMethod::Ia3) => reader.rescaling(&mut set, slot, shape, &target)?,
                    (true, AdapterMethod::Bottleneck | AdapterMethod::Prompt) => {} // read above
                }
            }
        }
        reader.finish()?;
        tracing::debug!(folder = %files.root().display(), tensors = checkpoint.names().count(), "adapter read");
        set.base = Some(Arc::clone(base.module_shapes()));
        Ok(set.with_config(config))
    }
}

/// The tensors of an adapter on their way into a set.
pub(super) struct Reader<'a> {
    files: &'a ModelFiles,
    shapes: &'a Arc<ModuleShapes>,
    modules: BTreeMap<String, Module<'a>>,
    device: &'a Device,
    checkpoint: &'a Checkpoint,
    /// Whether paths have the prefix of the bare model.
    prefixed: bool,
    /// The name of the tensor of each key.
    tensors: BTreeMap<Key, String>,
    used: BTreeSet<String>,
    /// Names that were asked for.
    wanted: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        files: &'a ModelFiles,
        base: &'a (impl AdapterBase + ?Sized),
        checkpoint: &'a Checkpoint,
    ) -> Result<Self> {
        let shapes = base.module_shapes();
        let tensors = Self::keys(checkpoint, shapes).map_err(|source| Error::Adapter {
            path: files.root().to_owned(),
            source,
        })?;
        let modules = base.modules().into_iter();
        Ok(Self {
            files,
            shapes,
            modules: modules.map(|module| (module.slot().to_owned(), module)).collect(),
            device: base.device(),
            tensors,
            prefixed: Self::prefixed(checkpoint, shapes),
            used: BTreeSet::new(),
            wanted: Vec::new(),
            checkpoint,
        })
    }

    fn prefixed(checkpoint: &Checkpoint, shapes: &ModuleShapes) -> bool {
        let mut keys = checkpoint.names().filter_map(Key::parse);
        keys.any(|key| shapes.has_prefix(&key.slot))
    }

    fn keys(checkpoint: &Checkpoint, shapes: &ModuleShapes) -> Result<BTreeMap<Key, String>, AdapterError> {
        let mut tensors: BTreeMap<Key, String> = BTreeMap::new();
        for name in checkpoint.names() {
            let Some(key) = Key::parse(name) else { continue };
            if key.part == Part::Original {
                continue;
            }
            let key = Key::new(shapes.slot(&key.slot), key.part);
            if let Some(first) = tensors.insert(key, name.to_owned()) {
                let second = name.to_owned();
                return Err(AdapterError::Twice { first, second });
            }
        }
        Ok(tensors)
    }

    /// The modules with updates.
    fn targeted(
        &self,
        config: &AdapterConfig,
        target: &Target<'_>,
    ) -> Result<BTreeSet<String>, AdapterError> {
        let mut targeted = BTreeSet::new();
        let mut saves = false;
        for (slot, shape) in self.shapes.iter() {
            let included = match target.includes(self.shapes.path_in(slot, self.prefixed), shape)? {
                Some(included) => included,
                None => [Part::A, Part::EmbeddingA, Part::Rescaling]
                    .into_iter()
                    .any(|part| self.tensors.contains_key(&Key::new(slot, part))),
            };
            if included {
                targeted.insert(slot.to_owned());
            }
            saves |= target.saves(self.shapes.path_in(slot, self.prefixed), shape);
        }
        let nothing = |field, found: String, names: &[String]| {
            let last = |slot: &'a str| slot.rsplit('.').next().unwrap_or(slot);
            let known: BTreeSet<&str> = self.shapes.iter().map(|(slot, _)| last(slot)).collect();
            let near = |name: &String| nearest(last_of(name), known.iter().copied(), SUGGESTIONS);
            let mut did_you_mean: Vec<String> = names.iter().flat_map(near).collect();
            if did_you_mean.is_empty() {
                did_you_mean = known.iter().take(8).map(|name| (*name).to_owned()).collect();
            }
            did_you_mean.dedup();
            AdapterError::NoTarget {
                field,
                found,
                did_you_mean,
            }
        };
        if !config.modules_to_save.is_empty() && !saves {
            let names = &config.modules_to_save;
            return Err(nothing("modules_to_save", format!("{names:?}"), names));
        }
        match (&config.target_modules, targeted.is_empty()) {
            (_, true) if !config.target_parameters.is_empty() => Ok(targeted),
            (Some(targets), true) => {
                let names = match targets {
                    super::Targets::Names(names) => names.as_slice(),
                    _ => &[],
                };
                Err(nothing("target_modules", targets.to_string(), names))
            }
            (None, true) => Err(self
                .leftover(self.unused())
                .unwrap_or_else(|| nothing("target_modules", "missing".to_owned(), &[]))),
            (_, false) => Ok(targeted),
        }
    }

    /// Updates of stacked parameters, which become those of the layers that they stand for.
    fn stacked(&mut self, set: &mut AdapterSet, config: &AdapterConfig, target: &Target<'_>) -> Result<()> {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        for layer in Experts::of(self.shapes) {
            // 1. The router, which is no linear layer in transformers 5.
            let (path, slot, stacked) = layer.router();
            let entries: Vec<&str> = named(config, &path).collect();
            if !entries.is_empty() {
                known.extend(entries);
                let [o, i] = self.require(&slot)?.kind.dims2();
                let (r, alpha) = self.rank_and_alpha(target, &path)?;
                let a = self.tensor(&Key::new(&stacked, Part::A), [r, i])?;
                let b = self.tensor(&Key::new(&stacked, Part::B), [o, r])?;
                set.linear_mut(slot).low_rank = Some(LowRank::new(a, b, config.scaling(r, alpha)));
            }
            // 2. The experts. Where both parameters have updates, one is inside the other; their shapes tell which.
            let which: Vec<Stacked> = [Stacked::Down, Stacked::GateUp]
                .into_iter()
                .filter(|which| named(config, &layer.path(*which)).next().is_some())
                .collect();
            for which in &which {
                known.extend(named(config, &layer.path(*which)));
                let (r, alpha) = self.rank_and_alpha(target, &layer.path(*which))?;
                let [a_dims, b_dims] = layer.pair_dims(*which, r);
                let inside = format!("{}.base_layer", layer.module());
                let fits = |slot: &String| {
                    let shape = |part| self.shape(&Key::new(slot, part));
                    shape(Part::A) == Some(a_dims.as_slice()) && shape(Part::B) == Some(b_dims.as_slice())
                };
                let slot = [inside, layer.module()]
                    .into_iter()
                    .find(fits)
                    .unwrap_or_else(|| layer.module());
                let a: Tensor<2> = self.tensor(&Key::new(&slot, Part::A), a_dims)?;
                let b: Tensor<2> = self.tensor(&Key::new(&slot, Part::B), b_dims)?;
                let [a, b] = [a, b].map(|part| part.into_data().iter::<f32>().collect::<Vec<f32>>());
                for (slot, pair) in layer.split(*which, r, config.scaling(r, alpha), (&a, &b), self.device) {
                    set.linear_mut(slot).low_rank = Some(pair);
                }
            }
        }
        let unknown = config
            .target_parameters
            .iter()
            .find(|entry| !known.contains(entry.as_str()));
        match unknown {
            None => Ok(()),
            Some(entry) => Err(self.of_adapter(AdapterError::Feature {
                field: "target_parameters",
                found: format!("{entry:?}"),
                remedy: "of the base's parameters only the stacked experts and their router can be targeted so; \
                    train with target_modules instead",
            })),
        }
    }

    /// Weights and biases that take the base's place, and copies of the base's weights.
    pub(super) fn whole(
        &mut self,
        set: &mut AdapterSet,
        slot: &str,
        shape: ModuleShape,
        saved: bool,
    ) -> Result<()> {
        let key = Key::new(slot, Part::Weight);
        if !saved && !self.tensors.contains_key(&key) {
            return Ok(());
        }
        match shape.kind {
            ModuleKind::Linear {
                in_features: i,
                out_features: o,
                bias,
            } => {
                let stored = if shape.transposed { [i, o] } else { [o, i] };
                let weight: Tensor<2> = self.tensor(&key, stored)?;
                let weight = if shape.transposed {
                    weight.transpose()
                } else {
                    weight
                };
                let same = || match self.modules.get(slot) {
                    Some(Module::Linear(layer)) => equal(layer.weight(), weight.clone()),
                    _ => false,
                };
                // PEFT saves targeted and resized tables and output layers as they are, changed or not.
                if saved || !same() {
                    set.linear_mut(slot).weight = Some(LinearWeight::new(weight));
                }
                if saved && bias {
                    set.linear_mut(slot).bias = Some(self.tensor(&Key::new(slot, Part::Bias), [o])?);
                }
            }
            ModuleKind::Embedding { rows, width } => {
                let table: Tensor<2> = self.tensor(&key, [rows, width])?;
                let same = || match self.modules.get(slot) {
                    Some(Module::Embedding(base)) => equal(base.weight(), table.clone()),
                    _ => false,
                };
                if saved || !same() {
                    set.embedding_mut(slot).weight = Some(table);
                }
            }
            ModuleKind::Norm { width, bias } => {
                set.norm_mut(slot).weight = Some(self.tensor(&key, [width])?);
                if saved && bias {
                    set.norm_mut(slot).bias = Some(self.tensor(&Key::new(slot, Part::Bias), [width])?);
                }
            }
        }
        Ok(())
    }

    /// Biases that were trained beside updates.
    fn biases(
        &mut self,
        set: &mut AdapterSet,
        slot: &str,
        shape: ModuleShape,
        config: &AdapterConfig,
        is_target: bool,
    ) -> Result<()> {
        let trained = match config.bias {
            TrainedBiases::None => false,
            TrainedBiases::All => true,
            TrainedBiases::LoraOnly => is_target,
        };
        let key = Key::new(slot, Part::Bias);
        match shape.kind {
            ModuleKind::Linear {
                out_features,
                bias: true,
                ..
            } if trained && set.linear(slot).is_none_or(|change| change.bias.is_none()) => {
                set.linear_mut(slot).bias = Some(self.tensor(&key, [out_features])?);
            }
            ModuleKind::Norm { width, bias: true }
                if trained && set.norm(slot).is_none_or(|change| change.bias.is_none()) =>
            {
                set.norm_mut(slot).bias = Some(self.tensor(&key, [width])?);
            }
            _ => {}
        }
        Ok(())
    }

    /// The rows of virtual tokens.
    fn prompt(&mut self, set: &mut AdapterSet, config: &PromptConfig) -> Result<()> {
        let Some((slot, _)) = self.shapes.words() else {
            let slot = String::new();
            return Err(self.of_adapter(AdapterError::NoWords { slot }));
        };
        let width = self.require(slot)?.kind.dims2()[1];
        if config.token_dim != width {
            return Err(self.of_adapter(AdapterError::Shape {
                tensor: "token_dim".to_owned(),
                expected: vec![width],
                found: vec![config.token_dim],
            }));
        }
        let dims = [config.num_virtual_tokens, width];
        let rows: Tensor<2> = self.tensor(&Key::new("", Part::Prompt), dims)?;
        set.embedding_mut(slot).prompt = Some(rows);
        Ok(())
    }

    fn low_rank(
        &mut self,
        set: &mut AdapterSet,
        slot: &str,
        shape: ModuleShape,
        config: &AdapterConfig,
        target: &Target<'_>,
    ) -> Result<()> {
        let (r, alpha) = target
            .rank_and_alpha(self.shapes.path_in(slot, self.prefixed), shape.is_output)
            .map_err(|source| self.of_adapter(source))?;
        let scaling = config.scaling(r, alpha);
        let [o, i] = shape.kind.dims2();
        if matches!(shape.kind, ModuleKind::Embedding { .. }) {
            let a = self.tensor(&Key::new(slot, Part::EmbeddingA), [r, o])?;
            let b = self.tensor(&Key::new(slot, Part::EmbeddingB), [i, r])?;
            let mut pair = LowRankEmbedding::new(a, b, scaling);
            if config.use_dora {
                let magnitude = self.tensor(&Key::new(slot, Part::Magnitude), [i])?;
                let other = set.embedding(slot).and_then(|change| change.weight.clone());
                let table = match (other, self.modules.get(slot)) {
                    (Some(table), _) => table,
                    (None, Some(Module::Embedding(base))) => base.weight(),
                    _ => return Err(self.no_module(slot)),
                };
                pair = pair.with_magnitude(magnitude, table);
                if !pair.has_lengths() {
                    return Err(self.no_length(slot));
                }
            }
            set.embedding_mut(slot).low_rank = Some(pair);
            return Ok(());
        }
        let a = self.tensor(&Key::new(slot, Part::A), [r, i])?;
        let b = self.tensor(&Key::new(slot, Part::B), [o, r])?;
        let mut pair = LowRank::new(a, b, scaling);
        if config.lora_bias {
            pair = pair.with_bias(self.tensor(&Key::new(slot, Part::BiasOfB), [o])?);
        }
        if config.use_dora {
            let magnitude = self.tensor(&Key::new(slot, Part::Magnitude), [o])?;
            let other = set.linear(slot).and_then(|change| change.weight.clone());
            let weight = match (other, self.modules.get(slot)) {
                (Some(weight), _) => weight.to_tensor(),
                (None, Some(Module::Linear(layer))) => layer.weight(),
                _ => return Err(self.no_module(slot)),
            };
            pair = pair.with_magnitude(magnitude, weight);
            if !pair.has_lengths() {
                return Err(self.no_length(slot));
            }
        }
        set.linear_mut(slot).low_rank = Some(pair);
        Ok(())
    }

    fn rescaling(
        &mut self,
        set: &mut AdapterSet,
        slot: &str,
        shape: ModuleShape,
        target: &Target<'_>,
    ) -> Result<()> {
        let key = Key::new(slot, Part::Rescaling);
        let [o, i] = shape.kind.dims2();
        if !matches!(shape.kind, ModuleKind::Linear { .. }) {
            return Err(self.of_adapter(AdapterError::Feature {
                field: "target_modules",
                found: slot.to_owned(),
                remedy: "(IA)³ is applied to linear layers only",
            }));
        }
        let feedforward = target
            .is_feedforward(self.shapes.path_in(slot, self.prefixed), shape)
            .map_err(|source| self.of_adapter(source))?;
        set.linear_mut(slot).rescaling = Some(if feedforward {
            let factor: Tensor<2> = self.tensor(&key, [1, i])?;
            Rescaling::Input(factor.reshape([i]))
        } else {
            let factor: Tensor<2> = self.tensor(&key, [o, 1])?;
            Rescaling::Output(factor.reshape([o]))
        });
        Ok(())
    }

    /// A tensor that must be there, in this shape.
    pub(super) fn tensor<const D: usize>(&mut self, key: &Key, shape: [usize; D]) -> Result<Tensor<D>> {
        self.wanted.push(key.to_string());
        let Some(name) = self.tensors.get(key).cloned() else {
            let tensor = key.to_string();
            let unused = self.unused();
            let did_you_mean = nearest(&tensor, unused.iter().map(String::as_str), SUGGESTIONS);
            return Err(self.of_adapter(AdapterError::MissingTensor {
                module: key.slot.clone(),
                tensor,
                did_you_mean,
            }));
        };
        let found = self.checkpoint.shape(&name).unwrap_or_default();
        if found != shape {
            let found = found.to_vec();
            return Err(self.of_adapter(AdapterError::Shape {
                tensor: name,
                expected: shape.to_vec(),
                found,
            }));
        }
        let weights = self.checkpoint.read(&name, &shape)?.unwrap_or_default();
        self.used.insert(name);
        Ok(Tensor::from_data(TensorData::new(weights, shape), self.device))
    }

    /// The shape of a tensor, where it is there.
    pub(super) fn shape(&self, key: &Key) -> Option<&[usize]> {
        self.checkpoint.shape(self.tensors.get(key)?)
    }

    fn require(&self, slot: &str) -> Result<ModuleShape> {
        self.shapes
            .require(slot)
            .map_err(|source| self.of_adapter(source))
    }

    fn rank_and_alpha(&self, target: &Target<'_>, path: &str) -> Result<(usize, f64)> {
        target
            .rank_and_alpha(path, false)
            .map_err(|source| self.of_adapter(source))
    }

    /// Nothing may be left over.
    pub(super) fn finish(self) -> Result<()> {
        let leftover = self.leftover(self.unused());
        leftover.map_or(Ok(()), |source| Err(self.of_adapter(source)))
    }

    /// The error of tensors that were not used: the base lacks their module, or they were not asked for.
    fn leftover(&self, unused: Vec<String>) -> Option<AdapterError> {
        let foreign = unused.iter().filter_map(|name| Key::parse(name));
        let stacked: Vec<String> = Experts::of(self.shapes)
            .iter()
            .flat_map(|layer| {
                [
                    layer.module(),
                    format!("{}.base_layer", layer.module()),
                    layer.router().2,
                ]
            })
            .collect();
        for key in foreign.filter(|key| !stacked.contains(&key.slot)) {
            let slot = self.shapes.slot(&key.slot);
            let found = match key.part.is_of_bottleneck() {
                _ if key.part == Part::Prompt => Ok(()),
                true => self.shapes.require_sublayer(slot).map(|_| ()),
                false => self.shapes.require(slot).map(|_| ()),
            };
            if let Err(error) = found {
                return Some(error);
            }
        }
        let first = unused.first()?;
        let free = self.wanted.iter().filter(|name| !self.used.contains(*name));
        Some(AdapterError::Unused {
            did_you_mean: nearest(first, free.map(String::as_str), SUGGESTIONS),
            tensors: unused,
        })
    }

    fn unused(&self) -> Vec<String> {
        let original = |name: &str| Key::parse(name).is_some_and(|key| key.part == Part::Original);
        self.checkpoint
            .names()
            .filter(|name| !self.used.contains(*name) && !original(name))
            .map(str::to_owned)
            .collect()
    }

    fn of_adapter(&self, source: AdapterError) -> Error {
        Error::Adapter {
            path: self.files.root().to_owned(),
            source,
        }
    }

    fn no_module(&self, slot: &str) -> Error {
        self.of_adapter(AdapterError::MissingModule {
            module: slot.to_owned(),
            did_you_mean: Vec::new(),
        })
    }

    fn no_length(&self, slot: &str) -> Error {
        self.of_adapter(AdapterError::NoLength {
            module: slot.to_owned(),
        })
    }
}

/// The entries of `target_parameters` that name a parameter.
fn named<'c>(config: &'c AdapterConfig, path: &str) -> impl Iterator<Item = &'c str> {
    let entries = config.target_parameters.iter().map(String::as_str);
    entries.filter(move |entry| experts::names(entry, path))
}

fn last_of(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Whether two tensors have the same values.
fn equal(a: Tensor<2>, b: Tensor<2>) -> bool {
    a.into_data().iter::<f32>().eq(b.into_data().iter::<f32>())
}
