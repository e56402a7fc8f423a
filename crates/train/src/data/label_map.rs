//! Labels and the ids that a model gives them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::dataset::{Dataset, Origin};
use super::record::{Labelled, Tagged};
use crate::error::{Error, Result};

/// Labels that an error lists at most.
const LISTED: usize = 10;

/// The labels of a task in the order of their ids, as `id2label` of a Hugging Face folder has them.
///
/// ```
/// use ragtune_train::data::{Dataset, LabelMap, Labelled};
/// let set = Dataset::from(vec![Labelled::new("WIN", "spam"), Labelled::new("Ok", "ham")]);
/// let labels = LabelMap::of_texts(&set)?;
/// assert_eq!((labels.names(), labels.id("spam")), (["ham".to_owned(), "spam".to_owned()].as_slice(), Some(1)));
/// # Ok::<(), ragtune_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct LabelMap {
    names: Vec<String>,
    #[serde(skip)]
    ids: BTreeMap<String, u32>,
}

impl LabelMap {
    /// Labels in the order of their ids.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for none, an empty one, and one that occurs twice.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let mut ids = BTreeMap::new();
        for (id, name) in (0_u32..).zip(&names) {
            if name.trim().is_empty() {
                return Err(Error::invalid(
                    "labels",
                    format!("label {id} is empty; clean the examples first"),
                ));
            }
            if ids.insert(name.clone(), id).is_some() {
                return Err(Error::invalid("labels", format!("{name:?} occurs twice")));
            }
        }
        match names.is_empty() {
            true => Err(Error::invalid("labels", "there are none")),
            false => Ok(Self { names, ids }),
        }
    }

    /// The labels of a set of texts, in alphabetical order.
    ///
    /// # Errors
    /// As [`LabelMap::new`].
    pub fn of_texts(set: &Dataset<Labelled>) -> Result<Self> {
        let labels: BTreeSet<&str> = set.values().flat_map(|v| &v.labels).map(String::as_str).collect();
        Self::new(labels)
    }

    /// The tags of a set of sentences: `O` first, the others in alphabetical order.
    ///
    /// # Errors
    /// As [`LabelMap::new`].
    pub fn of_tags(set: &Dataset<Tagged>) -> Result<Self> {
        let tags: BTreeSet<&str> = set.values().flat_map(|v| &v.tags).map(String::as_str).collect();
        let outside = tags.contains("O").then_some("O");
        Self::new(
            outside
                .into_iter()
                .chain(tags.into_iter().filter(|&tag| tag != "O")),
        )
    }

    /// The labels in the order of their ids.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no label, which no map is.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The id of a label.
    pub fn id(&self, label: &str) -> Option<u32> {
        self.ids.get(label).copied()
    }

    /// The id of the label of an example.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`].
    pub fn require(&self, label: &str, origin: &Origin) -> Result<u32> {
        self.id(label).ok_or_else(|| {
            let mut known: Vec<String> = self.names.iter().take(LISTED).cloned().collect();
            if self.names.len() > LISTED {
                known.push(format!("and {} more", self.names.len() - LISTED));
            }
            Error::UnknownLabel {
                origin: origin.clone(),
                label: label.to_owned(),
                known,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_order() {
        let tags = Tagged {
            words: vec!["a".to_owned(); 3],
            tags: ["I-x", "O", "B-x"].map(str::to_owned).to_vec(),
        };
        let map = LabelMap::of_tags(&Dataset::from(vec![tags])).unwrap();
        assert_eq!(map.names(), ["O", "B-x", "I-x"]);
        let error = map.require("B-y", &Origin::in_memory(3)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "example 4: label \"B-y\" is not known; known are O, B-x, I-x"
        );
        assert!(LabelMap::new(["a", "a"]).is_err());
        assert!(LabelMap::new(["a", " "]).is_err());
        assert!(LabelMap::new(Vec::<String>::new()).is_err());
        assert_eq!(serde_json::to_string(&map).unwrap(), r#"["O","B-x","I-x"]"#);
    }
}
