//! `adapter_config.json` as PEFT 0.21 writes it (`tuners/lora/config.py`, `tuners/ia3/config.py`).

use std::fmt;

use serde_json::{Map, Value, json};

use super::bottleneck_config::{BottleneckConfig, is_bottleneck};
use super::config_fields::{Fields, Patterns, real, shown, whole};
use super::prompt::PromptConfig;
use crate::error::{Error, Result};
use crate::weights::ModelFiles;

/// The largest rank that is read; one beyond a model's width is of no use.
const MAX_RANK: usize = 1 << 16;
/// The largest scale of an update that is read.
const MAX_ALPHA: f64 = 1e9;

/// What an adapter is, besides its weights; the fields carry PEFT's names.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdapterConfig {
    /// The method.
    pub peft_type: AdapterMethod,
    /// The base model that it was trained beside, as the one who trained it called it; kept as information.
    pub base_model_name_or_path: Option<String>,
    /// What the model is for, such as `CAUSAL_LM`.
    pub task_type: Option<String>,
    /// Rank of updates that no pattern names.
    pub r: usize,
    /// Scale of updates that no pattern names.
    pub lora_alpha: f64,
    /// Share of inputs that training drops.
    pub lora_dropout: f64,
    /// Whether updates are scaled by alpha over the square root of the rank (arXiv:2312.03732) instead of the rank.
    pub use_rslora: bool,
    /// Whether updates are DoRA.
    pub use_dora: bool,
    /// Whether second matrices have biases.
    pub lora_bias: bool,
    /// Whether the base stores weights `[in, out]`; follows from the base, kept for other tools.
    pub fan_in_fan_out: bool,
    /// Which biases of the base were trained.
    pub bias: TrainedBiases,
    /// The modules that are changed; without it those that have tensors.
    pub target_modules: Option<Targets>,
    /// Stacked parameters of transformers 5 that are changed: those of experts.
    pub target_parameters: Vec<String>,
    /// Modules that are not changed although `target_modules` names them.
    pub exclude_modules: Option<Targets>,
    /// Those of `target_modules` whose input (IA)³ rescales.
    pub feedforward_modules: Option<Targets>,
    /// Modules that were trained as a whole.
    pub modules_to_save: Vec<String>,
    /// Numbers of the layers that are changed, where not all are.
    pub layers_to_transform: Option<Vec<usize>>,
    /// Names in front of a layer's number.
    pub layers_pattern: Vec<String>,
    /// Ranks of modules by pattern; the first that matches counts.
    pub rank_pattern: Vec<(String, usize)>,
    /// Scales of modules by pattern; the first that matches counts.
    pub alpha_pattern: Vec<(String, f64)>,
    /// Everything of bottleneck adapters, which are not PEFT's.
    pub bottleneck: Option<BottleneckConfig>,
    /// Everything of a tuned prompt.
    pub prompt: Option<PromptConfig>,
}

/// The method of an adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterMethod {
    /// Low-rank updates, with all their kinds.
    #[default]
    Lora,
    /// (IA)³: components are multiplied by learned numbers.
    Ia3,
    /// Bottleneck adapters, in the files of AdapterHub's library.
    Bottleneck,
    /// Prompt tuning: rows before the embeddings of a text.
    Prompt,
}

/// Which biases of the base were trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainedBiases {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// Those of the modules that have updates.
    LoraOnly,
}

/// Modules by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Targets {
    /// Whole paths, or their last parts.
    Names(Vec<String>),
    /// A regular expression of whole paths.
    Pattern(String),
    /// Every linear layer but the one that gives the logits.
    AllLinear,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self {
            peft_type: AdapterMethod::Lora,
            base_model_name_or_path: None,
            task_type: None,
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            use_rslora: false,
            use_dora: false,
            lora_bias: false,
            fan_in_fan_out: false,
            bias: TrainedBiases::None,
            target_modules: None,
            target_parameters: Vec::new(),
            exclude_modules: None,
            feedforward_modules: None,
            modules_to_save: Vec::new(),
            layers_to_transform: None,
            layers_pattern: Vec::new(),
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
            bottleneck: None,
            prompt: None,
        }
    }
}

impl AdapterConfig {
    /// The file's name in an adapter's folder.
    pub const FILE: &'static str = "adapter_config.json";

    /// Reads the `adapter_config.json` of a folder.
    ///
    /// # Errors
    /// [`Error::MissingFile`], [`Error::Json`], [`Error::Config`] for a value of the wrong type or beyond its limits,
    /// and [`Error::Adapter`] for an adapter of another method.
    pub fn read(files: &ModelFiles) -> Result<Self> {
        let path = files.path(Self::FILE);
        let remedy = "an adapter's folder has adapter_config.json and adapter_model.safetensors";
        let bytes = files.require(Self::FILE, remedy)?;
        let broken = |source| Error::Json {
            path: path.clone(),
            source,
        };
        let fields: Map<String, Value> = serde_json::from_slice(&bytes).map_err(broken)?;
        let fields = Fields {
            path: path.clone(),
            fields,
        };
        if is_bottleneck(&fields.fields) {
            return BottleneckConfig::read(&fields);
        }
        let method = fields.method()?;
        if method == AdapterMethod::Prompt {
            return PromptConfig::read(&fields);
        }
        fields.refuse_unsupported()?;
        let ranks = |value: &Value| whole(value, 1..=MAX_RANK);
        let alphas = |value: &Value| real(value, MAX_ALPHA);
        // Patterns count in the order of the file, which a map of the parser does not keep.
        fields.object("rank_pattern")?;
        fields.object("alpha_pattern")?;
        let patterns: Patterns = serde_json::from_slice(&bytes).map_err(broken)?;
        Ok(Self {
            peft_type: method,
            base_model_name_or_path: fields.text("base_model_name_or_path")?,
            task_type: fields.text("task_type")?,
            r: fields.value(
                "r",
                8,
                |value| whole(value, 1..=MAX_RANK),
                "a whole number from 1 to 65536",
            )?,
            lora_alpha: fields.value("lora_alpha", 8.0, alphas, "a finite number")?,
            lora_dropout: fields.value(
                "lora_dropout",
                0.0,
                |value| real(value, 1.0),
                "a number from 0 to 1",
            )?,
            use_rslora: fields.flag("use_rslora")?,
            use_dora: fields.flag("use_dora")?,
            lora_bias: fields.flag("lora_bias")?,
            fan_in_fan_out: fields.flag("fan_in_fan_out")?,
            bias: fields.biases(method)?,
            target_modules: fields.targets("target_modules")?,
            target_parameters: fields.names("target_parameters")?.unwrap_or_default(),
            exclude_modules: fields
                .targets("exclude_modules")?
                .filter(|targets| !targets.is_empty()),
            feedforward_modules: fields.targets("feedforward_modules")?,
            modules_to_save: fields.names("modules_to_save")?.unwrap_or_default(),
            layers_to_transform: fields.layers()?,
            layers_pattern: fields.names("layers_pattern")?.unwrap_or_default(),
            rank_pattern: fields.patterns("rank_pattern", patterns.rank_pattern, ranks)?,
            alpha_pattern: fields.patterns("alpha_pattern", patterns.alpha_pattern, alphas)?,
            bottleneck: None,
            prompt: None,
        })
    }

    /// Updates of rank `r`, scaled by `lora_alpha`.
    #[must_use]
    pub fn with_rank(mut self, r: usize, lora_alpha: f64) -> Self {
        (self.r, self.lora_alpha) = (r, lora_alpha);
        self
    }

    /// The modules that are changed.
    #[must_use]
    pub fn with_target_modules(mut self, targets: Targets) -> Self {
        self.target_modules = Some(targets);
        self
    }

    /// Modules that are trained as a whole.
    #[must_use]
    pub fn with_modules_to_save<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.modules_to_save = names.into_iter().map(Into::into).collect();
        self
    }

    /// What the product of a pair is multiplied by.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "ranks are small")]
    pub fn scaling(&self, rank: usize, alpha: f64) -> f64 {
        match self.use_rslora {
            true => alpha / (rank as f64).sqrt(),
            false => alpha / rank as f64,
        }
    }

    /// The alpha that gives a scaling.
    #[allow(clippy::cast_precision_loss, reason = "ranks are small")]
    pub(super) fn alpha_of(&self, rank: usize, scaling: f64) -> f64 {
        match self.use_rslora {
            true => scaling * (rank as f64).sqrt(),
            false => scaling * rank as f64,
        }
    }

    /// The file's content.
    pub(super) fn to_json(&self) -> Value {
        let targets = |targets: &Option<Targets>| match targets {
            None => Value::Null,
            Some(Targets::Names(names)) => json!(names),
            Some(Targets::Pattern(pattern)) => json!(pattern),
            Some(Targets::AllLinear) => json!("all-linear"),
        };
        let list = |names: &[String]| match names.is_empty() {
            true => Value::Null,
            false => json!(names),
        };
        let mut file = json!({
            "auto_mapping": null,
            "base_model_name_or_path": self.base_model_name_or_path,
            "exclude_modules": targets(&self.exclude_modules),
            "fan_in_fan_out": self.fan_in_fan_out,
            "inference_mode": true,
            "modules_to_save": list(&self.modules_to_save),
            "revision": null,
            "target_modules": targets(&self.target_modules),
            "task_type": self.task_type,
        });
        let more = match self.peft_type {
            AdapterMethod::Ia3 => json!({
                "peft_type": "IA3",
                "feedforward_modules": targets(&self.feedforward_modules),
                "init_ia3_weights": true,
            }),
            // The others are written elsewhere; a configuration in memory may name them.
            AdapterMethod::Lora | AdapterMethod::Bottleneck | AdapterMethod::Prompt => json!({
                "peft_type": "LORA",
                "r": self.r,
                "lora_alpha": number(self.lora_alpha),
                "lora_dropout": self.lora_dropout,
                "use_rslora": self.use_rslora,
                "use_dora": self.use_dora,
                "lora_bias": self.lora_bias,
                "bias": match self.bias {
                    TrainedBiases::None => "none",
                    TrainedBiases::All => "all",
                    TrainedBiases::LoraOnly => "lora_only",
                },
                "init_lora_weights": true,
                "layers_pattern": list(&self.layers_pattern),
                "layers_to_transform": self.layers_to_transform,
                "target_parameters": list(&self.target_parameters),
                "rank_pattern": self.rank_pattern.iter()
                    .map(|(pattern, rank)| (pattern.clone(), json!(rank))).collect::<Map<_, _>>(),
                "alpha_pattern": self.alpha_pattern.iter()
                    .map(|(pattern, alpha)| (pattern.clone(), number(*alpha))).collect::<Map<_, _>>(),
            }),
        };
        if let (Value::Object(file), Value::Object(more)) = (&mut file, more) {
            file.extend(more);
        }
        file
    }
}

impl Targets {
    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Names(names) => names.is_empty(),
            Self::Pattern(pattern) => pattern.is_empty(),
            Self::AllLinear => false,
        }
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(names) => f.write_str(&shown(&json!(names))),
            Self::Pattern(pattern) => f.write_str(&shown(&json!(pattern))),
            Self::AllLinear => f.write_str("\"all-linear\""),
        }
    }
}

/// A number as Python would write it: whole ones without a point.
fn number(value: f64) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "whole and small")]
    match value.fract() == 0.0 && value.abs() <= MAX_ALPHA {
        true => json!(value as i64),
        false => json!(value),
    }
}
