//! The classes of a head by name, as `config.json` has them (`id2label`, `label2id`, `problem_type`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::config_file::ConfigFile;
use crate::error::{Error, Result};

/// The most classes that are believed.
const MAX_LABELS: usize = 1 << 16;

/// What the numbers of a classification head are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemType {
    /// One class of several: their softmax.
    #[default]
    SingleLabel,
    /// Any number of classes: the sigmoid of each.
    MultiLabel,
    /// Numbers as they are.
    Regression,
}

/// The names of a head's classes, by number.
///
/// ```
/// use ragtune_core::models::Labels;
/// let labels = Labels::new(["ham", "spam"])?;
/// assert_eq!((labels.name(1), labels.index("ham")), (Some("spam"), Some(0)));
/// assert!(Labels::new(["ham", "ham"]).is_err());
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    numbers: BTreeMap<String, usize>,
}

impl ProblemType {
    const ALL: [Self; 3] = [Self::SingleLabel, Self::MultiLabel, Self::Regression];

    /// The value of `problem_type` in `config.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleLabel => "single_label_classification",
            Self::MultiLabel => "multi_label_classification",
            Self::Regression => "regression",
        }
    }

    /// Reads `problem_type`; without one, a single class is a number and several exclude each other, as in transformers.
    pub(super) fn read(file: &ConfigFile, labels: usize) -> Result<Self> {
        match file.text("problem_type")? {
            None if labels == 1 => Ok(Self::Regression),
            None => Ok(Self::SingleLabel),
            Some(name) => Self::ALL
                .into_iter()
                .find(|kind| kind.name() == name)
                .ok_or_else(|| {
                    let names = Self::ALL.map(Self::name).join(", ");
                    file.wrong("problem_type", format!("one of {names}"))
                }),
        }
    }

    /// What logits say: probabilities, or the numbers of a regression.
    pub(super) fn scores(self, logits: &[f32]) -> Vec<f32> {
        match self {
            Self::SingleLabel => softmax(logits),
            Self::MultiLabel => logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
            Self::Regression => logits.to_vec(),
        }
    }
}

impl Labels {
    /// Classes of these names, numbered from 0.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no name, or the same name twice.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let failed = |reason: String| Error::InvalidArgument {
            argument: "labels",
            reason,
        };
        if names.is_empty() || names.len() > MAX_LABELS {
            let count = names.len();
            return Err(failed(format!(
                "there are {count}; 1 to {MAX_LABELS} are possible"
            )));
        }
        let mut numbers = BTreeMap::new();
        for (number, name) in names.iter().enumerate() {
            if let Some(other) = numbers.insert(name.clone(), number) {
                return Err(failed(format!(
                    "{name:?} is the name of both {other} and {number}"
                )));
            }
        }
        Ok(Self { names, numbers })
    }

    /// Reads `id2label`; without one, classes are named as transformers names them.
    pub(super) fn read(file: &ConfigFile) -> Result<Self> {
        let count = file.optional_size("num_labels", 1..=MAX_LABELS)?;
        let Some(value) = file.get("id2label") else {
            return Self::new((0..count.unwrap_or(2)).map(|number| format!("LABEL_{number}")));
        };
        let expected = "names of classes by number, from \"0\" on";
        let wrong = || file.wrong("id2label", expected);
        let Value::Object(by_number) = value else {
            return Err(wrong());
        };
        let name = |number: usize| by_number.get(&number.to_string()).and_then(Value::as_str);
        let names: Option<Vec<&str>> = (0..by_number.len()).map(name).collect();
        let labels =
            Self::new(names.ok_or_else(wrong)?).map_err(|_| file.wrong("id2label", "names that differ"))?;
        match count {
            Some(count) if count != labels.len() => {
                let expected = format!("the {} classes of id2label", labels.len());
                Err(file.wrong("num_labels", expected))
            }
            _ => Ok(labels),
        }
    }

    /// Number of classes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The name of a class.
    #[must_use]
    pub fn name(&self, number: usize) -> Option<&str> {
        self.names.get(number).map(String::as_str)
    }

    /// The number of a class.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// All names, by number.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Writes the fields of `config.json`.
    pub(super) fn write(&self, config: &mut Map<String, Value>) {
        let numbered = || self.names.iter().enumerate();
        let id2label: Map<String, Value> = numbered().map(|(i, name)| (i.to_string(), json!(name))).collect();
        let label2id: Map<String, Value> = numbered().map(|(i, name)| (name.clone(), json!(i))).collect();
        config.insert("id2label".to_owned(), Value::Object(id2label));
        config.insert("label2id".to_owned(), Value::Object(label2id));
        config.insert("num_labels".to_owned(), json!(self.len()));
    }
}

/// The softmax of logits.
pub(super) fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// The place of the largest number, the first of equals.
pub(super) fn argmax(numbers: &[f32]) -> usize {
    let larger = |best: usize, i: usize| if numbers[i] > numbers[best] { i } else { best };
    (0..numbers.len()).fold(0, larger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::ModelFiles;

    fn read(json: &'static str) -> Result<Labels> {
        let files = ModelFiles::in_memory("m", [("config.json", json.as_bytes())]);
        Labels::read(&ConfigFile::require(&files, "config.json", "")?)
    }

    #[test]
    fn names_are_read_and_written() {
        let labels = read(r#"{"id2label": {"1": "b", "0": "a"}, "num_labels": 2}"#).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), ["a", "b"]);
        let mut config = Map::new();
        labels.write(&mut config);
        assert_eq!(Value::Object(config)["label2id"], json!({"a": 0, "b": 1}));
        assert_eq!(read("{}").unwrap().name(1), Some("LABEL_1"));
        assert_eq!(read(r#"{"num_labels": 3}"#).unwrap().len(), 3);
        for wrong in [
            r#"{"id2label": {"1": "b"}}"#,
            r#"{"id2label": {"0": "a", "1": "a"}}"#,
            r#"{"id2label": ["a"]}"#,
            r#"{"id2label": {"0": "a"}, "num_labels": 2}"#,
        ] {
            assert!(matches!(read(wrong), Err(Error::Config { .. })), "{wrong}");
        }
    }

    #[test]
    fn scores_are_of_their_kind() {
        assert_eq!(ProblemType::SingleLabel.scores(&[3.0, 3.0]), [0.5, 0.5]);
        assert_eq!(ProblemType::MultiLabel.scores(&[0.0]), [0.5]);
        assert_eq!(ProblemType::Regression.scores(&[7.0]), [7.0]);
        assert_eq!(softmax(&[1e30, 0.0]), [1.0, 0.0]);
        assert_eq!(argmax(&[1.0, 2.0, 2.0]), 1);
    }
}
