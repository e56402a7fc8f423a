//! Why there is no answer.

use std::fmt;

use ragtune_core::text::ScoreKind;
use serde::{Deserialize, Serialize};

/// Why a question was not answered; a failure is an [`crate::Error`] instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Abstention {
    /// Nothing was found at all.
    NoHits,
    /// Something was found, and nothing of it reached the threshold.
    BelowThreshold {
        /// The kind of score that the threshold is on.
        kind: ScoreKind,
        /// The best score of that kind.
        best: f32,
        /// The least score that passes.
        min: f32,
    },
    /// The best evidence for any sentence is too weak to call it an answer.
    WeakEvidence {
        /// Strength of the best evidence, 0 to 1.
        best: f32,
        /// The least strength that counts as an answer.
        min: f32,
    },
    /// The language model said, in the words agreed in its prompt, that the sources do not hold the answer.
    Declined {
        /// What it said, in full.
        said: String,
    },
}

impl fmt::Display for Abstention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHits => f.write_str("nothing was found"),
            Self::BelowThreshold { kind, best, min } => {
                write!(f, "the best {kind} is {best:.3}, below the threshold of {min:.3}")
            }
            Self::WeakEvidence { best, min } => write!(
                f,
                "the best evidence is too weak ({best:.2}, where {min:.2} is needed)"
            ),
            Self::Declined { .. } => f.write_str("the model found no answer in the sources"),
        }
    }
}
