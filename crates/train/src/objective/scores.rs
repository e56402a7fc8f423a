//! How good a model is, in numbers with names.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Scores in their order; the first is the one by which models are compared.
///
/// ```
/// use ragtune_train::objective::Scores;
/// let scores = Scores::higher("accuracy", 0.93).with("f1_macro", 0.91);
/// assert_eq!(scores.get("f1_macro"), Some(0.91));
/// assert!(scores.beats(0.9));
/// assert_eq!(scores.to_string(), "accuracy 0.9300, f1_macro 0.9100");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    #[serde(deserialize_with = "read")]
    values: Vec<(String, f64)>,
    higher_is_better: bool,
}

impl Scores {
    /// A first score of which more is better.
    #[must_use]
    pub fn higher(name: impl Into<String>, value: f64) -> Self {
        Self {
            values: vec![(name.into(), value)],
            higher_is_better: true,
        }
    }

    /// A first score of which less is better.
    #[must_use]
    pub fn lower(name: impl Into<String>, value: f64) -> Self {
        Self {
            values: vec![(name.into(), value)],
            higher_is_better: false,
        }
    }

    /// Another score behind the others.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.values.push((name.into(), value));
        self
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.values.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// A score by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// The score by which models are compared.
    #[must_use]
    pub fn first(&self) -> f64 {
        self.values.first().map_or(f64::NAN, |(_, value)| *value)
    }

    /// Whether more of the first score is better.
    #[must_use]
    pub fn higher_is_better(&self) -> bool {
        self.higher_is_better
    }

    /// The bits of the values, which decimal digits would not bring back to the last.
    pub(crate) fn bits(&self) -> Vec<u64> {
        self.values.iter().map(|(_, value)| value.to_bits()).collect()
    }

    /// Puts the bits of the values back.
    pub(crate) fn set_bits(&mut self, bits: &[u64]) {
        for ((_, value), bits) in self.values.iter_mut().zip(bits) {
            *value = f64::from_bits(*bits);
        }
    }

    /// Whether the first score is better than another model's.
    #[must_use]
    pub fn beats(&self, other: f64) -> bool {
        match self.higher_is_better {
            true => self.first() > other,
            false => self.first() < other,
        }
    }
}

/// JSON writes what is no finite number as null.
fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, f64)>, D::Error> {
    let values = Vec::<(String, Option<f64>)>::deserialize(from)?;
    let value = |(name, value): (String, Option<f64>)| (name, value.unwrap_or(f64::NAN));
    Ok(values.into_iter().map(value).collect())
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{name} {value:.4}")?;
        }
        Ok(())
    }
}
