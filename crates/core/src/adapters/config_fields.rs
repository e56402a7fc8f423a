//! The fields of an `adapter_config.json`, each checked for its type, its limits and what is supported.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::AdapterError;
use super::config::{AdapterMethod, Targets, TrainedBiases};
use crate::error::{Error, Result};

/// Names or patterns of one field.
const MAX_NAMES: usize = 1 << 16;
/// Characters of a value that messages show.
const MAX_SHOWN: usize = 120;
/// The methods that are read.
const METHODS: &[&str] = &["LORA", "IA3", "PROMPT_TUNING"];
/// Initialisations that take something out of the base's weights, so that the adapter belongs to other weights.
const BASE_CHANGING: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// Fields whose order counts.
#[derive(Deserialize)]
pub(super) struct Patterns {
    #[serde(default)]
    pub rank_pattern: Option<Ordered>,
    #[serde(default)]
    pub alpha_pattern: Option<Ordered>,
}

/// An object with its entries in the order of the file.
pub(super) struct Ordered(Vec<(String, Value)>);

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
pub(super) struct Fields {
    pub path: PathBuf,
    pub fields: Map<String, Value>,
}

impl Fields {
    fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn wrong(&self, field: &str, expected: &str) -> Error {
        wrong(
            &self.path,
            field,
            self.get(field).map_or_else(|| "missing".to_owned(), shown),
            expected,
        )
    }

    pub(super) fn adapter(&self, source: AdapterError) -> Error {
        let path = self.path.clone();
        Error::Adapter { path, source }
    }

    pub(super) fn method(&self) -> Result<AdapterMethod> {
        match self.get("peft_type") {
            Some(Value::String(method)) if method == "LORA" => Ok(AdapterMethod::Lora),
            Some(Value::String(method)) if method == "IA3" => Ok(AdapterMethod::Ia3),
            Some(Value::String(method)) if method == "PROMPT_TUNING" => Ok(AdapterMethod::Prompt),
            Some(Value::String(method)) => Err(self.adapter(AdapterError::Kind {
                found: method.chars().take(MAX_SHOWN).collect(),
                supported: METHODS,
            })),
            _ => Err(self.wrong("peft_type", "a method of PEFT, such as \"LORA\"")),
        }
    }

    /// Refuses what would make other numbers than these weights alone.
    pub(super) fn refuse_unsupported(&self) -> Result<()> {
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

    pub(super) fn text(&self, field: &str) -> Result<Option<String>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(field, "a text")),
        }
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool> {
        self.value(field, false, Value::as_bool, "true or false")
    }

    pub(super) fn value<T>(
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

    pub(super) fn object(&self, field: &str) -> Result<()> {
        match self.get(field) {
            None | Some(Value::Object(_)) => Ok(()),
            Some(_) => Err(self.wrong(field, "an object from patterns to numbers")),
        }
    }

    pub(super) fn biases(&self, method: AdapterMethod) -> Result<TrainedBiases> {
        match (method, self.text("bias")?.as_deref()) {
            (AdapterMethod::Ia3, _) | (_, None | Some("none")) => Ok(TrainedBiases::None),
            (_, Some("all")) => Ok(TrainedBiases::All),
            (_, Some("lora_only")) => Ok(TrainedBiases::LoraOnly),
            (_, Some(_)) => Err(self.wrong("bias", "\"none\", \"all\" or \"lora_only\"")),
        }
    }

    pub(super) fn names(&self, field: &str) -> Result<Option<Vec<String>>> {
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

    pub(super) fn targets(&self, field: &str) -> Result<Option<Targets>> {
        match self.get(field) {
            Some(Value::String(pattern)) if pattern.eq_ignore_ascii_case("all-linear") => {
                Ok(Some(Targets::AllLinear))
            }
            Some(Value::String(pattern)) => Ok(Some(Targets::Pattern(pattern.clone()))),
            _ => Ok(self.names(field)?.map(Targets::Names)),
        }
    }

    pub(super) fn layers(&self) -> Result<Option<Vec<usize>>> {
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

    pub(super) fn patterns<T>(
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

pub(super) fn whole(value: &Value, limits: std::ops::RangeInclusive<usize>) -> Option<usize> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok())?;
    limits.contains(&number).then_some(number)
}

pub(super) fn real(value: &Value, limit: f64) -> Option<f64> {
    value.as_f64().filter(|number| number.abs() <= limit)
}

/// The start of a value, so that a message stays readable.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
