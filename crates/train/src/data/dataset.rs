//! A list of examples that know where they come from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Examples in the order of their file.
///
/// ```
/// use ragtune_train::data::{Dataset, Labelled};
/// let set = Dataset::from(vec![Labelled::new("Where is my card?", "card_arrival")]);
/// assert_eq!(set.len(), 1);
/// assert_eq!(set.records[0].value.labels, ["card_arrival"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<R> {
    /// The examples.
    pub records: Vec<Record<R>>,
}

/// An example and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<R> {
    /// The example.
    pub value: R,
    /// Where it comes from.
    pub origin: Origin,
}

/// The place of an example: a line of a file, or a number in memory.
///
/// ```
/// use std::path::Path;
/// use ragtune_train::data::Origin;
/// assert_eq!(Origin::new(Path::new("train.csv").into(), 12).to_string(), "train.csv, line 12");
/// assert_eq!(Origin::in_memory(0).to_string(), "example 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The file; `None` for an example made in memory.
    pub file: Option<Arc<Path>>,
    /// The line that it begins on, counted from 1; for an example made in memory its number, counted from 1.
    pub line: usize,
}

impl Origin {
    /// A line of a file, counted from 1.
    pub fn new(file: Arc<Path>, line: usize) -> Self {
        Self {
            file: Some(file),
            line,
        }
    }

    /// The example at an index of a list in memory.
    pub fn in_memory(index: usize) -> Self {
        Self {
            file: None,
            line: index + 1,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}, line {}", file.display(), self.line),
            None => write!(f, "example {}", self.line),
        }
    }
}

impl<R> Dataset<R> {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The examples without their origins.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &R> {
        self.records.iter().map(|record| &record.value)
    }

    /// The examples at these indices, in their order; indices behind the end are left out.
    pub fn select(&self, indices: &[usize]) -> Self
    where
        R: Clone,
    {
        let chosen = indices.iter().filter_map(|&index| self.records.get(index));
        Self {
            records: chosen.cloned().collect(),
        }
    }

    /// The same examples as other records; origins stay.
    pub fn map<T>(self, mut change: impl FnMut(R) -> T) -> Dataset<T> {
        let changed = self.records.into_iter().map(|record| Record {
            value: change(record.value),
            origin: record.origin,
        });
        Dataset {
            records: changed.collect(),
        }
    }

    /// These examples and, behind them, those of another set.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.records.extend(other.records);
        self
    }
}

impl<R> Default for Dataset<R> {
    fn default() -> Self {
        Self { records: Vec::new() }
    }
}

impl<R> From<Vec<R>> for Dataset<R> {
    fn from(values: Vec<R>) -> Self {
        values.into_iter().collect()
    }
}

impl<R> FromIterator<R> for Dataset<R> {
    fn from_iter<I: IntoIterator<Item = R>>(values: I) -> Self {
        let numbered = values.into_iter().enumerate().map(|(index, value)| Record {
            value,
            origin: Origin::in_memory(index),
        });
        Self {
            records: numbered.collect(),
        }
    }
}

impl<R> FromIterator<Record<R>> for Dataset<R> {
    fn from_iter<I: IntoIterator<Item = Record<R>>>(records: I) -> Self {
        Self {
            records: records.into_iter().collect(),
        }
    }
}
