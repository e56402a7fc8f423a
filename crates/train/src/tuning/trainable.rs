//! The weights that a method makes trainable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use burn::tensor::{Tensor, TensorData};
use ragtune_core::adapters::{
    AdapterBase, AdapterConfig, AdapterSet, Module, ModuleKind, ResolvedTarget, Targets,
};
use ragtune_core::weights::{Precision, nearest};

use super::select::{self, Place, Places};
use super::{Leaves, Lora, Parameter, Part, Tuning, initial};
use crate::error::{Error, Result};

/// Queries and values by family, in the order in which they are looked for (PEFT 0.21, `utils/constants.py`).
const QUERIES_AND_VALUES: [&[&str]; 7] = [
    &["q_proj", "v_proj"],
    &["query", "value"],
    &["c_attn"],
    &["query_key_value"],
    &["qkv_proj"],
    &["q_lin", "v_lin"],
    &["attn.q", "attn.v"],
];
/// Keys, values and second feed-forward layers by family, and which of them have their input rescaled.
const RESCALED: [(&[&str], &[&str]); 6] = [
    (&["k_proj", "v_proj", "down_proj"], &["down_proj"]),
    (&["key", "value", "output.dense"], &["output.dense"]),
    (&["c_attn", "mlp.c_proj"], &["mlp.c_proj"]),
    (&["query_key_value", "dense_4h_to_h"], &["dense_4h_to_h"]),
    (&["qkv_proj", "down_proj"], &["down_proj"]),
    (&["k_lin", "v_lin", "lin2"], &["lin2"]),
];

/// What trains of a model: every trained weight with its name, its shape and its values.
///
/// Printed, it says how many weights of how many train, and what they take.
#[derive(Clone, Debug)]
pub struct Trainable {
    method: &'static str,
    config: AdapterConfig,
    parameters: Vec<Parameter>,
    scalings: BTreeMap<String, f64>,
    /// The first layer that gradients must reach; `None` where they must reach the embeddings.
    first_layer: Option<usize>,
    total: usize,
}

impl Trainable {
    /// The weights of `base` that a method trains, as they are before the first step. The modules in `heads` were added
    /// for the task and train as a whole in every method.
    ///
    /// # Errors
    /// [`Error::NothingTrains`] for names that fit nothing, with what they may have meant; [`Error::EverythingTrains`]
    /// for a selection of all weights; [`Error::InvalidArgument`] for a rank of 0 or one
    /// that no target has room for, an alpha that is not above 0, a dropout outside 0 to 1, and for whole weights of a base that is kept rounded.
    pub fn new(base: &dyn AdapterBase, tuning: &Tuning, heads: &[String], seed: u64) -> Result<Self> {
        let mut trainable = Self {
            method: tuning.name(),
            config: tuning.config(),
            parameters: Vec::new(),
            scalings: BTreeMap::new(),
            first_layer: None,
            total: Self::weights_of(base),
        };
        let whole = match tuning {
            Tuning::Full => select::all(base),
            Tuning::Selective(selection) => selection.weights(base)?,
            Tuning::Head if heads.is_empty() => {
                return Err(Error::invalid(
                    "method",
                    "head trains the head that a task adds, and this task adds none; choose another",
                ));
            }
            Tuning::Head => BTreeSet::new(),
            Tuning::Lora(lora) => {
                trainable.add_updates(base, lora, heads, seed)?;
                BTreeSet::new()
            }
            Tuning::Ia3 { targets } => {
                trainable.add_factors(base, targets.as_ref(), heads)?;
                BTreeSet::new()
            }
            Tuning::Bottleneck(adapter) => {
                let (config, parameters) = adapter.weights(base, seed)?;
                trainable.config.bottleneck = Some(config);
                trainable.parameters = parameters;
                BTreeSet::new()
            }
            Tuning::Prompt(prompt) => {
                let (config, rows) = prompt.weights(base, seed)?;
                trainable.config.prompt = Some(config);
                trainable.parameters.push(rows);
                BTreeSet::new()
            }
        };
        trainable.add_whole(base, whole, heads)?;
        trainable.config.modules_to_save = heads.to_vec();
        // PEFT wraps a classifier on a decoder for this task; those on encoders it loads without one.
        if heads == ["score"] {
            trainable.config.task_type = Some("SEQ_CLS".to_owned());
        }
        trainable.first_layer = trainable.lowest(base);
        Ok(trainable)
    }

    /// Number of weights of a model; a table that serves as output layer too counts once.
    #[must_use]
    pub fn weights_of(base: &dyn AdapterBase) -> usize {
        let all = select::all(base);
        all.iter().map(|(slot, part)| count(base, slot, *part)).sum()
    }

    /// The name of the method.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The trained weights, in the order of the model.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Number of trained weights.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parameters.iter().map(Parameter::count).sum()
    }

    /// Number of weights of the model, without what a method adds.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Bytes that the trained weights take in training: with gradient and two moments, f32 each.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.count() * 4 * size_of::<f32>()
    }

    /// Tokens that the method puts before every text.
    #[must_use]
    pub fn virtual_tokens(&self) -> usize {
        let prompt = self.config.prompt.as_ref();
        prompt.map_or(0, |prompt| prompt.num_virtual_tokens)
    }

    /// What an adapter's file says besides the weights.
    #[must_use]
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// Lets the modules in `heads` learn `ratio` times as fast as the rest: new weights have a longer way to go.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a ratio that is not above 0.
    pub fn with_head_rate(mut self, heads: &[String], ratio: f64) -> Result<Self> {
        if !(ratio.is_finite() && ratio > 0.0) {
            return Err(Error::invalid(
                "head rate",
                format!("{ratio} times the rate; it is above 0"),
            ));
        }
        for parameter in self
            .parameters
            .iter_mut()
            .filter(|parameter| heads.contains(&parameter.slot))
        {
            parameter.rate = ratio;
        }
        Ok(self)
    }

    /// Gives a trained weight other values before the run, such as those of an adapter that is trained further.
    ///
    /// # Errors
    /// [`Error::NothingTrains`] for a name that no trained weight has, and [`Error::InvalidArgument`] for another number
    /// of values.
    pub fn set(&mut self, name: &str, values: Vec<f32>) -> Result<()> {
        let names: Vec<String> = self.parameters.iter().map(Parameter::name).collect();
        let Some(index) = names.iter().position(|other| other == name) else {
            return Err(Error::NothingTrains {
                what: format!("{name:?}"),
                suggestions: nearest(name, names.iter().map(String::as_str), 3),
            });
        };
        let parameter = &mut self.parameters[index];
        if values.len() != parameter.count() {
            return Err(Error::invalid(
                "values",
                format!("{} for {name}, which has {}", values.len(), parameter.count()),
            ));
        }
        parameter.values = like(values, &parameter.values);
        Ok(())
    }

    /// The trained weights as adapters, to compute and to be saved with.
    ///
    /// # Errors
    /// [`ragtune_core::Error::Adapter`] when `base` is not the model that the weights were made for.
    pub fn adapters(&self, base: &dyn AdapterBase) -> Result<AdapterSet> {
        let leaves = Leaves::new(self, base, false)?;
        Ok(std::sync::Arc::unwrap_or_clone(leaves.set().clone()))
    }

    /// The trained weights where operations on them are recorded.
    ///
    /// # Errors
    /// As [`Trainable::adapters`].
    pub fn leaves(&self, base: &dyn AdapterBase) -> Result<Leaves> {
        Ok(Leaves::new(self, base, true)?)
    }

    /// The first layer that gradients must reach; `None` where they must reach the embeddings.
    pub(crate) fn first_layer(&self) -> Option<usize> {
        self.first_layer
    }

    pub(crate) fn parameters_mut(&mut self) -> &mut [Parameter] {
        &mut self.parameters
    }

    pub(super) fn scaling(&self, slot: &str) -> f64 {
        self.scalings.get(slot).copied().unwrap_or(1.0)
    }

    pub(super) fn dropout(&self) -> f64 {
        self.config.lora_dropout
    }

    fn add_whole(
        &mut self,
        base: &dyn AdapterBase,
        weights: BTreeSet<(String, Part)>,
        heads: &[String],
    ) -> Result<()> {
        for module in base.modules() {
            let slot = module.slot();
            let is_head = heads.iter().any(|head| head == slot);
            for part in [Part::Weight, Part::Bias] {
                if !is_head && !weights.contains(&(slot.to_owned(), part)) {
                    continue;
                }
                if let Module::Linear(layer) = module
                    && matches!(layer.precision(), Precision::Int8 | Precision::Int4)
                    && !is_head
                {
                    return Err(Error::invalid(
                        "method",
                        format!(
                            "{} trains whole weights, and {slot} is kept in {}; load the model in f32, or train LoRA \
                             beside it",
                            self.method,
                            layer.precision()
                        ),
                    ));
                }
                self.parameters.extend(initial::whole(module, part));
            }
        }
        Ok(())
    }

    fn add_updates(
        &mut self,
        base: &dyn AdapterBase,
        lora: &Lora,
        heads: &[String],
        seed: u64,
    ) -> Result<()> {
        let config = &lora.config;
        if config.r == 0 || config.rank_pattern.iter().any(|(_, rank)| *rank == 0) {
            return Err(Error::invalid(
                "rank",
                "0; an update has rank 1 or more, 8 is usual",
            ));
        }
        let alphas = config.alpha_pattern.iter().map(|(_, alpha)| *alpha);
        for alpha in alphas.chain([config.lora_alpha]) {
            if !(alpha.is_finite() && alpha > 0.0) {
                return Err(Error::invalid(
                    "alpha",
                    format!(
                        "{alpha}; updates are scaled by alpha over the rank, the rank or twice of it is usual"
                    ),
                ));
            }
        }
        if !(0.0..1.0).contains(&config.lora_dropout) {
            return Err(Error::invalid(
                "dropout",
                format!("{}; it is from 0 to below 1", config.lora_dropout),
            ));
        }
        if !(lora.b_rate.is_finite() && lora.b_rate > 0.0) {
            return Err(Error::invalid(
                "b_rate",
                format!("{}; 1 to 16 are usual", lora.b_rate),
            ));
        }
        let targets = self.resolve(
            base,
            &QUERIES_AND_VALUES.map(|names| (names, &[] as &[&str])),
            heads,
        )?;
        let device = base.device();
        let dora = config.use_dora;
        // An update of a rank above the narrower side has more weights than the weight itself and says no more.
        let excess = |target: &ResolvedTarget| target.rank.saturating_sub(narrower(&target.shape.kind));
        if let Some(target) = targets.iter().min_by_key(|target| excess(target))
            && excess(target) > 0
        {
            return Err(Error::invalid(
                "rank",
                format!(
                    "{}; {} has no update above rank {}; choose at most that, 8 is usual",
                    target.rank,
                    target.slot,
                    narrower(&target.shape.kind)
                ),
            ));
        }
        for ResolvedTarget {
            slot,
            shape,
            rank,
            scaling,
            ..
        } in targets
        {
            let (a, b) = match shape.kind {
                ModuleKind::Linear {
                    in_features,
                    out_features,
                    ..
                } => (
                    initial::first(&slot, [rank, in_features], seed, device),
                    initial::constant(&slot, Part::LoraB, &[out_features, rank], 0.0, device),
                ),
                ModuleKind::Embedding { rows, width } => (
                    initial::constant(&slot, Part::LoraA, &[rank, rows], 0.0, device),
                    initial::normal(&slot, [width, rank], seed, device),
                ),
                _ => continue,
            };
            self.parameters.push(a);
            self.parameters.push(Parameter {
                rate: lora.b_rate,
                ..b
            });
            if dora {
                // As PEFT's LoRA+ has it, whatever is a vector learns as fast as the second matrices.
                self.parameters
                    .extend(magnitude(base, &slot).map(|lengths| Parameter {
                        rate: lora.b_rate,
                        ..lengths
                    }));
            }
            self.scalings.insert(slot, scaling);
        }
        Ok(())
    }

    fn add_factors(
        &mut self,
        base: &dyn AdapterBase,
        targets: Option<&Targets>,
        heads: &[String],
    ) -> Result<()> {
        if let Some(targets) = targets {
            self.config.target_modules = Some(targets.clone());
            let known = RESCALED.iter().flat_map(|(_, feedforward)| feedforward.iter());
            let names = known.map(|name| (*name).to_owned()).collect();
            self.config.feedforward_modules = Some(Targets::Names(names));
        }
        for ResolvedTarget {
            slot,
            shape,
            is_feedforward,
            ..
        } in self.resolve(base, &RESCALED, heads)?
        {
            let ModuleKind::Linear {
                in_features,
                out_features,
                ..
            } = shape.kind
            else {
                continue;
            };
            let (part, width) = match is_feedforward {
                true => (Part::InputFactors, in_features),
                false => (Part::OutputFactors, out_features),
            };
            self.parameters
                .push(initial::constant(&slot, part, &[width], 1.0, base.device()));
        }
        Ok(())
    }

    /// The modules that the configuration names, or else those that are usual for the model's family.
    fn resolve(
        &mut self,
        base: &dyn AdapterBase,
        usual: &[(&[&str], &[&str])],
        heads: &[String],
    ) -> Result<Vec<ResolvedTarget>> {
        let shapes = base.module_shapes();
        let names = |names: &[&str]| Targets::Names(names.iter().map(|name| (*name).to_owned()).collect());
        if self.config.target_modules.is_none() {
            for (targets, feedforward) in usual {
                let mut config = self.config.clone();
                config.target_modules = Some(names(targets));
                config.feedforward_modules = (!feedforward.is_empty()).then(|| names(feedforward));
                if !config.resolve(shapes)?.is_empty() {
                    self.config = config;
                    break;
                }
            }
        }
        let Some(targets) = self.config.target_modules.clone() else {
            return Err(Error::NothingTrains {
                what: "the usual targets of this method".to_owned(),
                suggestions: linear_names(base),
            });
        };
        // Each name must fit something: a misspelt one would silently train less.
        if let Targets::Names(names) = &targets {
            for name in names {
                let alone = AdapterConfig::default().with_target_modules(Targets::Names(vec![name.clone()]));
                let usual = usual.iter().any(|(usual, _)| usual.contains(&name.as_str()));
                if !usual && alone.resolve(shapes)?.is_empty() {
                    return Err(select::unmatched(name, base));
                }
            }
        }
        let mut found = self.config.resolve(shapes)?;
        found.retain(|target| !heads.contains(&target.slot));
        match found.is_empty() {
            true => Err(Error::NothingTrains {
                what: targets.to_string(),
                suggestions: linear_names(base),
            }),
            false => Ok(found),
        }
    }

    /// The lowest layer with a trained weight; `None` where a trained weight stands before the layers.
    fn lowest(&self, base: &dyn AdapterBase) -> Option<usize> {
        let places = Places::of(base);
        let lowest = self
            .parameters
            .iter()
            .map(|parameter| places.get(&parameter.slot))
            .min()?;
        match lowest {
            Place::Before => None,
            Place::Layer(layer) => Some(layer),
            Place::Behind => Some(places.count),
        }
    }
}

/// The narrower side of a weight.
fn narrower(kind: &ModuleKind) -> usize {
    match kind {
        ModuleKind::Linear {
            in_features,
            out_features,
            ..
        } => *in_features.min(out_features),
        ModuleKind::Embedding { rows, width } => *rows.min(width),
        _ => usize::MAX,
    }
}

/// DoRA's lengths as they are in the base.
fn magnitude(base: &dyn AdapterBase, slot: &str) -> Option<Parameter> {
    let module = base.modules().into_iter().find(|module| module.slot() == slot)?;
    let (weight, across) = match module {
        Module::Linear(layer) => (layer.weight(), 1),
        Module::Embedding(table) => (table.weight(), 0),
        _ => return None,
    };
    let squares = weight.clone() * weight;
    let lengths: Tensor<1> = squares.sum_dim(across).sqrt().squeeze_dim(across);
    let values: Vec<f32> = lengths.into_data().iter::<f32>().collect();
    let dims = [values.len()];
    Some(initial::parameter(
        slot,
        Part::Magnitude,
        &dims,
        values,
        base.device(),
    ))
}

fn count(base: &dyn AdapterBase, slot: &str, part: Part) -> usize {
    let kind = base.module_shapes().get(slot).map(|shape| shape.kind);
    match (kind, part) {
        (Some(ModuleKind::Linear { out_features, .. }), Part::Bias) => out_features,
        (Some(ModuleKind::Norm { width, .. }), Part::Bias) => width,
        (Some(kind), _) => kind.dims().iter().product(),
        (None, _) => 0,
    }
}

fn linear_names(base: &dyn AdapterBase) -> Vec<String> {
    let shapes = base.module_shapes();
    let linear = shapes
        .iter()
        .filter(|(_, shape)| matches!(shape.kind, ModuleKind::Linear { .. }));
    let names: BTreeSet<&str> = linear.filter_map(|(slot, _)| slot.rsplit('.').next()).collect();
    names.into_iter().map(str::to_owned).collect()
}

impl fmt::Display for Trainable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss, reason = "a share for people")]
        let share = 100.0 * self.count() as f64 / self.total.max(1) as f64;
        #[allow(clippy::cast_precision_loss, reason = "a size for people")]
        let megabytes = self.bytes() as f64 / 1e6;
        write!(
            f,
            "{}: {} of {} weights train ({share:.2} %) in {} tensors, {megabytes:.1} MB with gradients and moments",
            self.method,
            self.count(),
            self.total,
            self.parameters.len(),
        )
    }
}

/// Row by row onto the device of another tensor.
pub(crate) fn like(values: Vec<f32>, other: &Tensor<1>) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), &other.device())
}
