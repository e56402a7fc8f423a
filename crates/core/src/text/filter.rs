//! Which documents a question may see.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::metadata::{Metadata, Value};

/// A condition on metadata; a name that is absent matches no condition but [`Filter::Not`].
///
/// On a list value a condition holds when it holds for any element. Whole numbers and fractions compare by value.
///
/// ```
/// use ragtune_core::text::{Filter, Metadata};
/// let mut chapter = Metadata::new();
/// chapter.insert("path".into(), "ch11/tests.md".into());
/// chapter.insert("year".into(), 2024.into());
///
/// let filter = Filter::prefix("path", "ch11/").and(Filter::at_least("year", 2020));
/// assert!(filter.matches(&chapter));
/// assert!(!Filter::eq("year", 1999).matches(&chapter));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Filter {
    /// The value equals this one.
    Equals {
        /// Metadata name.
        name: String,
        /// Wanted value.
        value: Value,
    },
    /// The value equals one of these; an empty list matches nothing.
    In {
        /// Metadata name.
        name: String,
        /// Wanted values.
        values: Vec<Value>,
    },
    /// The value lies between the bounds, both included; an absent bound is open. Numbers compare with numbers, text
    /// with text (by code point), and other pairs match nothing.
    Range {
        /// Metadata name.
        name: String,
        /// Lower bound.
        min: Option<Value>,
        /// Upper bound.
        max: Option<Value>,
    },
    /// The text starts with this one.
    Prefix {
        /// Metadata name.
        name: String,
        /// Wanted start.
        prefix: String,
    },
    /// Every condition holds; true when there is none.
    And(Vec<Filter>),
    /// At least one condition holds; false when there is none.
    Or(Vec<Filter>),
    /// The condition does not hold.
    Not(Box<Filter>),
}

impl Filter {
    /// `name` has this value.
    pub fn eq(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::Equals {
            name: name.into(),
            value: value.into(),
        }
    }

    /// `name` has one of these values.
    pub fn any_of<V: Into<Value>>(name: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::In {
            name: name.into(),
            values: values.into_iter().map(Into::into).collect(),
        }
    }

    /// `name` is this value or greater.
    pub fn at_least(name: impl Into<String>, min: impl Into<Value>) -> Self {
        Self::Range {
            name: name.into(),
            min: Some(min.into()),
            max: None,
        }
    }

    /// `name` is this value or smaller.
    pub fn at_most(name: impl Into<String>, max: impl Into<Value>) -> Self {
        Self::Range {
            name: name.into(),
            min: None,
            max: Some(max.into()),
        }
    }

    /// `name` lies between these values, both included.
    pub fn between(name: impl Into<String>, min: impl Into<Value>, max: impl Into<Value>) -> Self {
        Self::Range {
            name: name.into(),
            min: Some(min.into()),
            max: Some(max.into()),
        }
    }

    /// `name` is text that starts so.
    pub fn prefix(name: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self::Prefix {
            name: name.into(),
            prefix: prefix.into(),
        }
    }

    /// This condition and the other one.
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::And(mut all) => {
                all.push(other);
                Self::And(all)
            }
            first => Self::And(vec![first, other]),
        }
    }

    /// This condition or the other one.
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Or(mut any) => {
                any.push(other);
                Self::Or(any)
            }
            first => Self::Or(vec![first, other]),
        }
    }

    /// The opposite condition.
    #[expect(
        clippy::should_implement_trait,
        reason = "`filter.not()` reads as the condition it builds"
    )]
    pub fn not(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Whether the metadata meet the condition.
    pub fn matches(&self, metadata: &Metadata) -> bool {
        self.matches_by(&|name| metadata.get(name))
    }

    /// Whether the values that `lookup` finds by name meet the condition.
    pub fn matches_by<'v>(&self, lookup: &dyn Fn(&str) -> Option<&'v Value>) -> bool {
        let holds = |name: &str, test: &dyn Fn(&Value) -> bool| lookup(name).is_some_and(|v| any(v, test));
        match self {
            Self::Equals { name, value } => {
                holds(name, &|found| compare(found, value) == Some(Ordering::Equal))
            }
            Self::In { name, values } => holds(name, &|found| {
                values
                    .iter()
                    .any(|value| compare(found, value) == Some(Ordering::Equal))
            }),
            Self::Range { name, min, max } => holds(name, &|found| {
                let above = min
                    .as_ref()
                    .is_none_or(|min| compare(found, min).is_some_and(Ordering::is_ge));
                let below = max
                    .as_ref()
                    .is_none_or(|max| compare(found, max).is_some_and(Ordering::is_le));
                above && below
            }),
            Self::Prefix { name, prefix } => holds(name, &|found| {
                found.as_text().is_some_and(|text| text.starts_with(prefix))
            }),
            Self::And(all) => all.iter().all(|filter| filter.matches_by(lookup)),
            Self::Or(any) => any.iter().any(|filter| filter.matches_by(lookup)),
            Self::Not(filter) => !filter.matches_by(lookup),
        }
    }
}

fn any(value: &Value, test: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        Value::List(values) => test(value) || values.iter().any(|value| any(value, test)),
        single => test(single),
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::List(left), Value::List(right)) => (left == right).then_some(Ordering::Equal),
        _ => left.as_number()?.partial_cmp(&right.as_number()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        Metadata::from([
            ("path".to_owned(), "guide/tests.md".into()),
            ("year".to_owned(), 2024.into()),
            ("price".to_owned(), 9.5.into()),
            ("draft".to_owned(), false.into()),
            ("tags".to_owned(), vec!["rust", "testing"].into()),
        ])
    }

    #[test]
    fn numbers_compare_by_value() {
        assert!(Filter::eq("year", 2024.0).matches(&metadata()));
        assert!(Filter::between("price", 9, 10).matches(&metadata()));
        assert!(!Filter::between("price", 9, 9.4).matches(&metadata()));
    }

    #[test]
    fn lists_match_by_element() {
        assert!(Filter::eq("tags", "rust").matches(&metadata()));
        assert!(Filter::any_of("tags", ["go", "testing"]).matches(&metadata()));
        assert!(Filter::prefix("tags", "test").matches(&metadata()));
        assert!(!Filter::eq("tags", "go").matches(&metadata()));
    }

    #[test]
    fn absent_names_match_only_negations() {
        assert!(!Filter::eq("author", "x").matches(&metadata()));
        assert!(Filter::eq("author", "x").not().matches(&metadata()));
        assert!(!Filter::at_least("author", 1).matches(&metadata()));
    }

    #[test]
    fn kinds_do_not_mix() {
        assert!(!Filter::eq("year", "2024").matches(&metadata()));
        assert!(!Filter::at_least("draft", 0).matches(&metadata()));
    }

    #[test]
    fn empty_combinations() {
        assert!(Filter::And(vec![]).matches(&metadata()));
        assert!(!Filter::Or(vec![]).matches(&metadata()));
        assert!(!Filter::any_of::<&str>("tags", []).matches(&metadata()));
    }

    #[test]
    fn survives_json() {
        let filter = Filter::eq("a", 1)
            .and(Filter::prefix("b", "x").not())
            .or(Filter::at_most("c", 2.5));
        let json = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
    }
}
