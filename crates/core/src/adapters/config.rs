//! `adapter_config.json` as PEFT 0.21 writes it (`tuners/lora/config.py`, `tuners/ia3/config.py`).

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::AdapterError;
use crate::error::{Error, Result};
use crate::weights::ModelFiles;

/// The largest rank that is read; one beyond a model's width is of no use.
const MAX_RANK: usize = 1 << 16;
/// The largest scale of an update that is read.
const MAX_ALPHA: f64 = 1e9;
/// Names or patterns of one field.
const MAX_NAMES: usize = 1 << 16;
/// Characters of a value that messages show.
const MAX_SHOWN: usize = 120;
/// The methods that are read.
const METHODS: &[&str] = &["LORA", "IA3"];
/// Initialisations that take something out of the base's weights, so that the adapter belongs to other weights.
const BASE_CHANGING: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

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
        let method = fields.method()?;
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
            AdapterMethod::Lora => json!({
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

/// Fields whose order counts.
#[derive(Deserialize)]
struct Patterns {
    #[serde(default)]
    rank_pattern: Option<Ordered>,
    #[serde(default)]
    alpha_pattern: Option<Ordered>,
}

/// An object with its entries in the order of the file.
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The fields of the file; `null` counts as absent.
struct Fields {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl Fields {
    fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn wrong(&self, field: &str, expected: &str) -> Error {
        wrong(
            &self.path,
            field,
            self.get(field).map_or_else(|| "missing".to_owned(), shown),
            expected,
        )
    }

    fn adapter(&self, source: AdapterError) -> Error {
        let path = self.path.clone();
        Error::Adapter { path, source }
    }

    fn method(&self) -> Result<AdapterMethod> {
        match self.get("peft_type") {
            Some(Value::String(method)) if method == "LORA" => Ok(AdapterMethod::Lora),
            Some(Value::String(method)) if method == "IA3" => Ok(AdapterMethod::Ia3),
            Some(Value::String(method)) => Err(self.adapter(AdapterError::Kind {
                found: method.chars().take(MAX_SHOWN).collect(),
                supported: METHODS,
            })),
            _ => Err(self.wrong("peft_type", "a method of PEFT, such as \"LORA\"")),
        }
    }

    /// Refuses what would make other numbers than these weights alone.
    fn refuse_unsupported(&self) -> Result<()> {
        const PARTS: [(&str, &str); 8] = [
            (
                "trainable_token_indices",
                "train the embedding with LoRA or modules_to_save instead",
            ),
            (
                "layer_replication",
                "write the model with its replicated layers as a checkpoint first",
            ),
            ("alora_invocation_tokens", "train a LoRA that acts on every token"),
            ("use_qalora", "train a plain LoRA"),
            ("use_bdlora", "save the matrices as those of a plain LoRA"),
            ("arrow_config", "stack the adapters with weights instead"),
            ("kasa_config", "train a plain LoRA"),
            ("monteclora_config", "train a plain LoRA"),
        ];
        let empty = |value: &Value| match value {
            Value::Bool(flag) => !flag,
            Value::Array(list) => list.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        for (field, remedy) in PARTS {
            if let Some(value) = self.get(field).filter(|value| !empty(value)) {
                let found = shown(value);
                return Err(self.adapter(AdapterError::Feature { field, found, remedy }));
            }
        }
        if let Some(Value::String(kind)) = self.get("init_lora_weights") {
            let kind = kind.to_lowercase();
            if BASE_CHANGING.iter().any(|changing| kind.starts_with(changing)) {
                return Err(self.adapter(AdapterError::Feature {
                    field: "init_lora_weights",
                    found: shown(&json!(kind)),
                    remedy: "it takes a part out of the base's weights; save the adapter with \
                        `path_initial_model_for_weight_conversion`, which makes it a plain LoRA",
                }));
            }
        }
        Ok(())
    }

    fn text(&self, field: &str) -> Result<Option<String>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(field, "a text")),
        }
    }

    fn flag(&self, field: &str) -> Result<bool> {
        self.value(field, false, Value::as_bool, "true or false")
    }

    fn value<T>(
        &self,
        field: &str,
        default: T,
        read: impl Fn(&Value) -> Option<T>,
        expected: &str,
    ) -> Result<T> {
        match self.get(field) {
            None => Ok(default),
            Some(value) => read(value).ok_or_else(|| self.wrong(field, expected)),
        }
    }

    fn object(&self, field: &str) -> Result<()> {
        match self.get(field) {
            None | Some(Value::Object(_)) => Ok(()),
            Some(_) => Err(self.wrong(field, "an object from patterns to numbers")),
        }
    }

    fn biases(&self, method: AdapterMethod) -> Result<TrainedBiases> {
        match (method, self.text("bias")?.as_deref()) {
            (AdapterMethod::Ia3, _) | (_, None | Some("none")) => Ok(TrainedBiases::None),
            (_, Some("all")) => Ok(TrainedBiases::All),
            (_, Some("lora_only")) => Ok(TrainedBiases::LoraOnly),
            (_, Some(_)) => Err(self.wrong("bias", "\"none\", \"all\" or \"lora_only\"")),
        }
    }

    fn names(&self, field: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let names = match value {
            Value::String(name) => Some(vec![name.clone()]),
            Value::Array(names) if names.len() <= MAX_NAMES => names
                .iter()
                .map(|name| name.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        match names.filter(|names| names.iter().all(|name| !name.is_empty())) {
            Some(names) => Ok(Some(names)),
            None => Err(self.wrong(field, "a list of module names")),
        }
    }

    fn targets(&self, field: &str) -> Result<Option<Targets>> {
        match self.get(field) {
            Some(Value::String(pattern)) if pattern.eq_ignore_ascii_case("all-linear") => {
                Ok(Some(Targets::AllLinear))
            }
            Some(Value::String(pattern)) => Ok(Some(Targets::Pattern(pattern.clone()))),
            _ => Ok(self.names(field)?.map(Targets::Names)),
        }
    }

    fn layers(&self) -> Result<Option<Vec<usize>>> {
        const FIELD: &str = "layers_to_transform";
        let expected = "the number of a layer or a list of them";
        let number = |value: &Value| whole(value, 0..=MAX_NAMES);
        let layers = match self.get(FIELD) {
            None => return Ok(None),
            Some(Value::Array(layers)) => layers.iter().map(number).collect::<Option<Vec<_>>>(),
            Some(value) => number(value).map(|layer| vec![layer]),
        };
        match layers {
            // PEFT takes an empty list for all layers.
            Some(layers) => Ok(Some(layers).filter(|layers| !layers.is_empty())),
            None => Err(self.wrong(FIELD, expected)),
        }
    }

    fn patterns<T>(
        &self,
        field: &str,
        entries: Option<Ordered>,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<(String, T)>> {
        let entries = entries.map(|Ordered(entries)| entries).unwrap_or_default();
        if entries.len() > MAX_NAMES {
            return Err(self.wrong(field, "an object of at most 65536 patterns"));
        }
        let entry = |(pattern, value): (String, Value)| match read(&value) {
            Some(value) => Ok((pattern, value)),
            None => Err(wrong(
                &self.path,
                &format!("{field}.{pattern}"),
                shown(&value),
                "a rank from 1 to 65536, or a finite alpha",
            )),
        };
        entries.into_iter().map(entry).collect()
    }
}

fn wrong(path: &Path, field: &str, found: String, expected: &str) -> Error {
    Error::Config {
        path: path.to_owned(),
        field: field.to_owned(),
        found,
        expected: expected.to_owned(),
    }
}

fn whole(value: &Value, limits: std::ops::RangeInclusive<usize>) -> Option<usize> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok())?;
    limits.contains(&number).then_some(number)
}

fn real(value: &Value, limit: f64) -> Option<f64> {
    value.as_f64().filter(|number| number.abs() <= limit)
}

/// A number as Python would write it: whole ones without a point.
fn number(value: f64) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "whole and small")]
    match value.fract() == 0.0 && value.abs() <= MAX_ALPHA {
        true => json!(value as i64),
        false => json!(value),
    }
}

/// The start of a value, so that a message stays readable.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
