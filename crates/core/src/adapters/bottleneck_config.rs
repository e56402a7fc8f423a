//! `adapter_config.json` of bottleneck adapters, as AdapterHub's library writes it (adapters 1.3,
//! `configuration/adapter_config.py`, `BnConfig`).

use std::path::Path;

use serde_json::{Map, Value, json};

use super::base::{ModuleShapes, SublayerKind};
use super::config_fields::{Fields, real, shown, whole};
use super::{AdapterConfig, AdapterError, AdapterMethod};
use crate::error::{Error, Result};
use crate::kernels::Activation;

/// The library and the version whose files these are.
const VERSION: &str = "adapters.1.3.0";
/// Layers that are named at most.
const MAX_LAYERS: usize = 1 << 16;
/// The largest reduction that is read.
const MAX_REDUCTION: f64 = 1e9;

/// What bottleneck adapters are, besides their weights; the fields carry the names of AdapterHub's library.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BottleneckConfig {
    /// The adapter's name, which the names of its tensors contain.
    pub name: String,
    /// Whether there is one behind attention.
    pub mh_adapter: bool,
    /// Whether there is one behind the feed-forward layer.
    pub output_adapter: bool,
    /// Hidden width over width of the bottleneck.
    pub reduction_factor: f64,
    /// The same for single layers.
    pub reduction_factors: Vec<(usize, f64)>,
    /// The non-linearity between the two ways.
    pub non_linearity: Activation,
    /// Whether they read the stream of hidden states behind the layer's own norm, instead of the sublayer's output.
    pub original_ln_before: bool,
    /// What their output is multiplied by.
    pub scaling: f64,
    /// Share of their output that training drops.
    pub dropout: f64,
    /// Layers without adapters.
    pub leave_out: Vec<usize>,
}

/// A sublayer that gets a bottleneck.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BottleneckTarget {
    /// The path by which adapters find it.
    pub slot: String,
    /// Hidden width.
    pub hidden: usize,
    /// Width of the bottleneck.
    pub width: usize,
}

impl Default for BottleneckConfig {
    /// Behind the feed-forward layer, a sixteenth of the hidden width, ReLU.
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            mh_adapter: false,
            output_adapter: true,
            reduction_factor: 16.0,
            reduction_factors: Vec::new(),
            non_linearity: Activation::Relu,
            original_ln_before: false,
            scaling: 1.0,
            dropout: 0.0,
            leave_out: Vec::new(),
        }
    }
}

impl BottleneckConfig {
    /// The sublayers of a base that get a bottleneck, sorted by slot.
    ///
    /// ```no_run
    /// # fn of(lm: &ragtune_core::models::CausalLm) {
    /// use ragtune_core::adapters::{AdapterBase, BottleneckConfig};
    ///
    /// for target in BottleneckConfig::default().resolve(lm.module_shapes()) {
    ///     println!("{}: {} wide", target.slot, target.width);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn resolve(&self, shapes: &ModuleShapes) -> Vec<BottleneckTarget> {
        let targets = shapes.sublayers().filter(|(_, shape)| {
            let wanted = match shape.kind {
                SublayerKind::Attention => self.mh_adapter,
                SublayerKind::FeedForward => self.output_adapter,
            };
            wanted && !self.leave_out.contains(&shape.layer)
        });
        let target = |(slot, shape): (&str, super::SublayerShape)| BottleneckTarget {
            slot: slot.to_owned(),
            hidden: shape.width,
            width: self.width(shape.layer, shape.width),
        };
        targets.map(target).collect()
    }

    /// Width of the bottleneck in a layer: the hidden width over the reduction, rounded down, at least 1.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "widths are far below 2^52"
    )]
    fn width(&self, layer: usize, hidden: usize) -> usize {
        let of_layer = self.reduction_factors.iter().find(|(index, _)| *index == layer);
        let reduction = of_layer.map_or(self.reduction_factor, |(_, reduction)| *reduction);
        ((hidden as f64 / reduction).floor() as usize).max(1)
    }

    /// The reduction that makes a hidden width this width.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "widths are far below 2^52")]
    pub fn reduction_to(hidden: usize, width: usize) -> f64 {
        match width > 0 && hidden.is_multiple_of(width) {
            true => (hidden / width) as f64,
            // Half a component off the border, so that no rounding reaches it.
            false => hidden as f64 / (width as f64 + 0.5),
        }
    }

    /// Reads the file's fields.
    pub(super) fn read(fields: &Fields) -> Result<AdapterConfig> {
        let name = fields.text("name")?.unwrap_or_else(|| Self::default().name);
        let Some(Value::Object(inner)) = fields.fields.get("config") else {
            return Err(fields.wrong("config", "an object"));
        };
        let inner = Fields {
            path: fields.path.clone(),
            fields: inner.clone(),
        };
        inner.refuse_other_bottlenecks()?;
        let defaults = Self::default();
        let (reduction_factor, reduction_factors) = reductions(&inner)?;
        let activation = inner.text("non_linearity")?;
        let non_linearity = match activation.as_deref().map(str::to_lowercase) {
            None => defaults.non_linearity,
            Some(name) => name
                .parse()
                .map_err(|_| inner.wrong("non_linearity", &Activation::names().join(", ")))?,
        };
        let settings = Self {
            name,
            mh_adapter: inner.flag("mh_adapter")?,
            output_adapter: inner.value("output_adapter", true, Value::as_bool, "true or false")?,
            reduction_factor,
            reduction_factors,
            non_linearity,
            original_ln_before: inner.flag("original_ln_before")?,
            scaling: inner.value(
                "scaling",
                1.0,
                |value| real(value, MAX_REDUCTION),
                "a finite number",
            )?,
            dropout: inner.value("dropout", 0.0, |value| real(value, 1.0), "a number from 0 to 1")?,
            leave_out: match inner.fields.get("leave_out") {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(layers)) => {
                    let layers = layers.iter().map(|layer| whole(layer, 0..=MAX_LAYERS));
                    layers
                        .collect::<Option<Vec<_>>>()
                        .ok_or_else(|| inner.wrong("leave_out", "a list of layers"))?
                }
                Some(_) => return Err(inner.wrong("leave_out", "a list of layers")),
            },
        };
        Ok(AdapterConfig {
            peft_type: AdapterMethod::Bottleneck,
            base_model_name_or_path: fields.text("model_name")?.filter(|name| !name.is_empty()),
            bottleneck: Some(settings),
            ..AdapterConfig::default()
        })
    }

    /// The file's content.
    pub(super) fn to_json(&self, model_name: Option<&str>, hidden: usize) -> Value {
        let reduction = match self.reduction_factors.is_empty() {
            true => number(self.reduction_factor),
            false => {
                let layers = self.reduction_factors.iter();
                let mut map: Map<String, Value> = layers
                    .map(|(layer, reduction)| (layer.to_string(), number(*reduction)))
                    .collect();
                map.insert("default".to_owned(), number(self.reduction_factor));
                Value::Object(map)
            }
        };
        json!({
            "config": {
                "adapter_residual_before_ln": false,
                "cross_adapter": false,
                "dropout": self.dropout,
                "init_weights": "mam_adapter",
                "inv_adapter": null,
                "inv_adapter_reduction_factor": null,
                "is_parallel": false,
                "leave_out": self.leave_out,
                "ln_after": false,
                "ln_before": false,
                "mh_adapter": self.mh_adapter,
                "non_linearity": self.non_linearity.name(),
                "original_ln_after": true,
                "original_ln_before": self.original_ln_before,
                "output_adapter": self.output_adapter,
                "phm_layer": false,
                "reduction_factor": reduction,
                "residual_before_ln": true,
                // The library takes a whole number for a name.
                "scaling": self.scaling,
                "use_gating": false,
            },
            "hidden_size": hidden,
            "model_name": model_name.unwrap_or_default(),
            "name": self.name,
            "version": VERSION,
        })
    }
}

impl Fields {
    /// Refuses what makes something else of a bottleneck than two affine maps with a residual connection.
    fn refuse_other_bottlenecks(&self) -> Result<()> {
        const REMEDY: &str =
            "train a bottleneck of the `BnConfig` family without it (`seq_bn`, `double_seq_bn`)";
        const TRUE: [&str; 5] = ["is_parallel", "ln_before", "ln_after", "phm_layer", "use_gating"];
        let set = |field: &str| self.fields.get(field).filter(|value| !value.is_null());
        let refuse = |field: &'static str, value: &Value| {
            let (found, remedy) = (shown(value), REMEDY);
            Err(self.adapter(AdapterError::Feature { field, found, remedy }))
        };
        if let Some(architecture) = set("architecture") {
            let supported = &["bottleneck adapters (no architecture)"];
            let found = shown(architecture);
            return Err(self.adapter(AdapterError::Kind { found, supported }));
        }
        for field in TRUE {
            if self.flag(field)? {
                return refuse(field, &json!(true));
            }
        }
        if let Some(value) = set("inv_adapter") {
            return refuse("inv_adapter", value);
        }
        if let Some(value) = set("scaling").filter(|value| value.is_string()) {
            return refuse("scaling", value);
        }
        for field in ["original_ln_after", "residual_before_ln"] {
            if let Some(value) = set(field).filter(|value| **value != json!(true)) {
                return refuse(field, value);
            }
        }
        Ok(())
    }
}

/// The reduction of most layers, and of single ones.
fn reductions(fields: &Fields) -> Result<(f64, Vec<(usize, f64)>)> {
    const FIELD: &str = "reduction_factor";
    const EXPECTED: &str = "a number above 0, or an object from layers to such numbers with a \"default\"";
    let above_0 = |value: &Value| real(value, MAX_REDUCTION).filter(|value| *value > 0.0);
    match fields.fields.get(FIELD) {
        None | Some(Value::Null) => Ok((BottleneckConfig::default().reduction_factor, Vec::new())),
        Some(Value::Object(map)) => {
            let mut layers = Vec::new();
            let mut default = None;
            for (layer, value) in map {
                let value = above_0(value).ok_or_else(|| fields.wrong(FIELD, EXPECTED))?;
                match layer.parse::<usize>() {
                    Ok(layer) if layer <= MAX_LAYERS => layers.push((layer, value)),
                    _ if layer == "default" => default = Some(value),
                    _ => return Err(fields.wrong(FIELD, EXPECTED)),
                }
            }
            layers.sort_by_key(|(layer, _)| *layer);
            let default = default.ok_or_else(|| fields.wrong(FIELD, EXPECTED))?;
            Ok((default, layers))
        }
        Some(value) => match above_0(value) {
            Some(value) => Ok((value, Vec::new())),
            None => Err(fields.wrong(FIELD, EXPECTED)),
        },
    }
}

/// A number as Python would write it: whole ones without a point.
fn number(value: f64) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "whole and small")]
    match value.fract() == 0.0 && value.abs() <= MAX_REDUCTION {
        true => json!(value as i64),
        false => json!(value),
    }
}

/// Whether the files of a folder are AdapterHub's and not PEFT's.
pub(super) fn is_bottleneck(fields: &Map<String, Value>) -> bool {
    !fields.contains_key("peft_type") && fields.get("config").is_some_and(Value::is_object)
}

/// The error of a set without a single bottleneck.
pub(super) fn names_nothing(path: &Path, config: &BottleneckConfig) -> Error {
    Error::Adapter {
        path: path.to_owned(),
        source: AdapterError::NoTarget {
            field: "leave_out",
            found: format!(
                "{:?} with mh_adapter {} and output_adapter {}",
                config.leave_out, config.mh_adapter, config.output_adapter
            ),
            did_you_mean: Vec::new(),
        },
    }
}
