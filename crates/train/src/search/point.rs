//! One choice of settings, and how it becomes the settings of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::batch::BatchSize;
use crate::error::{Error, Result};
use crate::trainer::{Duration, TrainOptions};
use crate::tuning::{Adapter, Lora, Prompt, Selection, Tuning};

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// Any number.
    Number(f64),
    /// A name.
    Text(String),
}

/// Settings with their values, in the order of the space.
///
/// ```
/// use ragtune_train::search::Point;
/// use ragtune_train::trainer::TrainOptions;
/// let point = Point::new([("learning_rate", 3e-4.into()), ("batch", 16.into())]);
/// assert_eq!(point.to_string(), "learning_rate=3e-4 batch=16");
/// assert_eq!(point.options(&TrainOptions::default())?.learning_rate, Some(3e-4));
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point(Vec<(String, Value)>);

/// The settings that [`Point::options`] knows.
const OPTIONS: [&str; 11] = [
    "learning_rate",
    "batch",
    "batch_tokens",
    "accumulation",
    "epochs",
    "steps",
    "warmup",
    "decay",
    "weight_decay",
    "max_gradient_norm",
    "seed",
];
/// The settings that [`Point::tuning`] knows.
const TUNING: [&str; 8] = [
    "method",
    "rank",
    "alpha",
    "dropout",
    "b_rate",
    "last_layers",
    "reduction",
    "virtual_tokens",
];

impl Point {
    /// A point of one's own.
    #[must_use]
    pub fn new<N: Into<String>>(settings: impl IntoIterator<Item = (N, Value)>) -> Self {
        Self(
            settings
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of a setting.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// A setting that is a number.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where it is none, or the point has no such setting.
    pub fn number(&self, name: &str) -> Result<f64> {
        #[allow(clippy::cast_precision_loss, reason = "settings are far below 2^52")]
        match self.value(name)? {
            Value::Integer(value) => Ok(*value as f64),
            Value::Number(value) => Ok(*value),
            Value::Text(text) => Err(wrong(name, text, "a number")),
        }
    }

    /// A setting that is a whole number from 0 on.
    ///
    /// # Errors
    /// As [`Point::number`].
    pub fn integer(&self, name: &str) -> Result<usize> {
        let value = self.value(name)?;
        match value {
            Value::Integer(value) => usize::try_from(*value).ok(),
            _ => None,
        }
        .ok_or_else(|| wrong(name, value, "a whole number from 0 on"))
    }

    /// A setting that is a name.
    ///
    /// # Errors
    /// As [`Point::number`].
    pub fn text(&self, name: &str) -> Result<&str> {
        match self.value(name)? {
            Value::Text(text) => Ok(text),
            other => Err(wrong(name, other, "a name")),
        }
    }

    /// Options of a run with this point's values of `learning_rate`, `batch` (examples) or `batch_tokens`, `accumulation`,
    /// `epochs` or `steps`, `warmup`, `decay`, `weight_decay`, `max_gradient_norm` and `seed`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a value that the setting cannot have, and for a setting that neither this nor
    /// [`Point::tuning`] knows.
    pub fn options(&self, base: &TrainOptions) -> Result<TrainOptions> {
        self.check()?;
        let mut options = base.clone();
        for (name, _) in self.iter() {
            match name {
                "learning_rate" => options.learning_rate = Some(self.number(name)?),
                "batch" => options.batch = BatchSize::Examples(self.integer(name)?),
                "batch_tokens" => options.batch = BatchSize::Tokens(self.integer(name)?),
                "accumulation" => options.accumulation = self.integer(name)?,
                "epochs" => options.duration = Duration::Epochs(self.number(name)?),
                "steps" => options.duration = Duration::Steps(self.integer(name)?),
                "warmup" => options.warmup = self.number(name)?,
                "decay" => options.decay = self.text(name)?.parse()?,
                "weight_decay" => options.adamw.weight_decay = self.number(name)?,
                "max_gradient_norm" => options.max_gradient_norm = self.number(name)?,
                "seed" => options.seed = self.integer(name)? as u64,
                _ => {}
            }
        }
        Ok(options)
    }

    /// A method with this point's values of `method` (`full`, `head`, `last`, `lora`, `dora`, `ia3`, `adapter`, `prompt`),
    /// `rank`, `alpha`, `dropout`, `b_rate`, `last_layers`, `reduction` and `virtual_tokens`. A rank without an alpha keeps
    /// the scale, alpha over rank, of the base; what the point does not name is as the base has it, where the base is of the
    /// same method.
    ///
    /// # Errors
    /// As [`Point::options`]; also for a setting that the method does not have.
    pub fn tuning(&self, base: &Tuning) -> Result<Tuning> {
        self.check()?;
        let mut tuning = base.clone();
        if self.get("method").is_some() {
            let lora = match base {
                Tuning::Lora(lora) => lora.clone(),
                _ => Lora::default(),
            };
            tuning = match (self.text("method")?, base) {
                ("last", Tuning::Selective(_))
                | ("ia3", Tuning::Ia3 { .. })
                | ("adapter", Tuning::Bottleneck(_))
                | ("prompt", Tuning::Prompt(_)) => base.clone(),
                ("full", _) => Tuning::Full,
                ("head", _) => Tuning::Head,
                ("last", _) => Tuning::Selective(Selection::last_layers(1)),
                ("lora", _) => Tuning::Lora(lora),
                ("dora", _) => Tuning::Lora(lora.with_dora()),
                ("ia3", _) => Tuning::Ia3 { targets: None },
                ("adapter", _) => Tuning::Bottleneck(Adapter::default()),
                ("prompt", _) => Tuning::Prompt(Prompt::default()),
                (name, base) if name == base.name() => base.clone(),
                (name, _) => {
                    let known = "full, head, last, lora, dora, ia3, adapter, prompt, or the base's own";
                    return Err(wrong("method", name, known));
                }
            };
        }
        let given = |name: &str| self.get(name).is_some();
        match &mut tuning {
            Tuning::Lora(lora) => {
                if given("rank") {
                    let scale = lora.config.lora_alpha / lora.config.r as f64;
                    lora.config.r = self.integer("rank")?;
                    lora.config.lora_alpha = scale * lora.config.r as f64;
                }
                if given("alpha") {
                    lora.config.lora_alpha = self.number("alpha")?;
                }
                if given("dropout") {
                    lora.config.lora_dropout = self.number("dropout")?;
                }
                if given("b_rate") {
                    lora.b_rate = self.number("b_rate")?;
                }
            }
            Tuning::Selective(selection) if given("last_layers") => {
                selection.last_layers = Some(self.integer("last_layers")?);
            }
            Tuning::Bottleneck(adapter) => {
                if given("reduction") {
                    *adapter = adapter.clone().with_reduction(self.number("reduction")?);
                }
                if given("dropout") {
                    adapter.config.dropout = self.number("dropout")?;
                }
            }
            Tuning::Prompt(prompt) if given("virtual_tokens") => {
                prompt.virtual_tokens = self.integer("virtual_tokens")?;
            }
            _ => {}
        }
        let own: &[&str] = match &tuning {
            Tuning::Lora(_) => &["rank", "alpha", "dropout", "b_rate"],
            Tuning::Selective(_) => &["last_layers"],
            Tuning::Bottleneck(_) => &["reduction", "dropout"],
            Tuning::Prompt(_) => &["virtual_tokens"],
            _ => &[],
        };
        // A point of several methods has the settings of all of them, and each takes its own.
        let foreign = TUNING
            .iter()
            .find(|name| given(name) && !own.contains(name) && !given("method"));
        match foreign {
            Some(name) => Err(Error::invalid(
                "point",
                format!("{} has no {name}", tuning.name()),
            )),
            None => Ok(tuning),
        }
    }

    fn value(&self, name: &str) -> Result<&Value> {
        self.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
            Error::invalid(
                "point",
                format!("no setting {name:?}; there are {}", names.join(", ")),
            )
        })
    }

    fn check(&self) -> Result<()> {
        let known = |name: &str| OPTIONS.contains(&name) || TUNING.contains(&name);
        match self.iter().find(|(name, _)| !known(name)) {
            Some((name, _)) => Err(Error::invalid(
                "point",
                format!(
                    "no run has a setting {name:?}; there are {}, {}",
                    OPTIONS.join(", "),
                    TUNING.join(", ")
                ),
            )),
            None => Ok(()),
        }
    }
}

fn wrong(name: &str, value: impl fmt::Display, expected: &str) -> Error {
    Error::invalid("point", format!("{name} is {value}; it is {expected}"))
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(value) if *value != 0.0 && !(1e-2..1e6).contains(&value.abs()) => {
                write!(f, "{value:e}")
            }
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{name}={value}")?;
        }
        Ok(())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_name_every_method() {
        let lora = Tuning::Lora(Lora::default());
        for name in ["full", "head", "lora", "ia3", "adapter", "prompt"] {
            let point = Point::new([("method", name.into())]);
            assert_eq!(point.tuning(&lora).unwrap().name(), name);
        }
        let point = Point::new([
            ("method", "adapter".into()),
            ("reduction", 4.into()),
            ("rank", 2.into()),
        ]);
        assert_eq!(
            point.tuning(&lora).unwrap(),
            Tuning::Bottleneck(Adapter::default().with_reduction(4.0))
        );
        let point = Point::new([("virtual_tokens", 7.into())]);
        let prompt = Tuning::Prompt(Prompt::default());
        assert_eq!(
            point.tuning(&prompt).unwrap(),
            Tuning::Prompt(Prompt::default().with_virtual_tokens(7))
        );
        let error = point.tuning(&lora).unwrap_err();
        assert!(error.to_string().contains("virtual_tokens"), "{error}");
    }
}
