//! What cleaning took out.

use std::fmt;

use serde::Serialize;

use crate::data::Origin;

/// Why an example was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CleaningRule {
    /// A field has no value.
    Missing,
    /// The input is shorter or longer than allowed, or than the others by far.
    Length,
    /// Equal inputs have different outputs.
    Conflict,
    /// Input and output are equal to another's, but for case and white space.
    Duplicate,
    /// The text is almost that of another.
    NearDuplicate,
    /// The input is in the set that it is kept apart from.
    Leak,
}

/// An example that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Its index in the set as it was.
    pub index: usize,
    /// Where it comes from.
    pub origin: Origin,
    /// Why.
    pub rule: CleaningRule,
    /// The example that it contradicts or repeats.
    pub other: Option<Origin>,
    /// More on it, such as the field that is missing; may be empty.
    pub detail: String,
}

/// What cleaning took out, in the order of the examples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CleaningReport {
    /// Examples that came in.
    pub examples: usize,
    /// Those that were taken out.
    pub removed: Vec<Removed>,
}

impl CleaningRule {
    /// All rules, in the order in which they are applied.
    pub const ALL: [Self; 6] = [
        Self::Missing,
        Self::Length,
        Self::Conflict,
        Self::Duplicate,
        Self::NearDuplicate,
        Self::Leak,
    ];
}

impl CleaningReport {
    /// Examples that a rule took out.
    pub fn count(&self, rule: CleaningRule) -> usize {
        self.removed.iter().filter(|removed| removed.rule == rule).count()
    }

    /// Examples that are left.
    pub fn kept(&self) -> usize {
        self.examples - self.removed.len()
    }
}

impl fmt::Display for CleaningRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "without a value",
            Self::Length => "of unusual length",
            Self::Conflict => "contradicting others",
            Self::Duplicate => "duplicates",
            Self::NearDuplicate => "near duplicates",
            Self::Leak => "in the other set",
        })
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.rule)?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        match &self.other {
            Some(other) => write!(f, ", see {other}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for CleaningReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} examples kept", self.kept(), self.examples)?;
        for rule in CleaningRule::ALL {
            match self.count(rule) {
                0 => {}
                count => write!(f, "; {count} {rule}")?,
            }
        }
        Ok(())
    }
}
