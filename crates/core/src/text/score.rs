//! Scores by kind, and thresholds on a named kind.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// All scores of a hit, by kind.
pub type Scores = BTreeMap<ScoreKind, f32>;

/// What a score measures; in every kind higher is better.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum ScoreKind {
    /// Cosine of the angle between two vectors, -1 to 1.
    Cosine,
    /// Dot product of two vectors.
    Dot,
    /// Minus the Euclidean distance of two vectors, at most 0.
    L2,
    /// Okapi BM25 of the lexical index, at least 0.
    Bm25,
    /// Weighted reciprocal rank fusion: a sum over ranks, comparable within one list only.
    Rrf,
    /// Convex combination of scores that were scaled within one list, comparable within that list only.
    Convex,
    /// Distribution-based score fusion: a mean of scores that were scaled by mean and deviation of their list,
    /// comparable within one list only.
    Dbsf,
    /// Marginal relevance: relevance less the likeness to better hits, comparable within one list only.
    Mmr,
    /// Probability of relevance by a reranker, 0 to 1.
    Rerank,
    /// A measure of the user's own.
    Custom(String),
}

impl ScoreKind {
    /// The name in reports and JSON.
    pub fn name(&self) -> &str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::L2 => "l2",
            Self::Bm25 => "bm25",
            Self::Rrf => "rrf",
            Self::Convex => "convex",
            Self::Dbsf => "dbsf",
            Self::Mmr => "mmr",
            Self::Rerank => "rerank",
            Self::Custom(name) => name,
        }
    }

    /// Whether the value depends on the other hits of its list, so that no threshold on it means anything.
    pub fn is_relative(&self) -> bool {
        matches!(self, Self::Rrf | Self::Convex | Self::Dbsf | Self::Mmr)
    }
}

impl From<String> for ScoreKind {
    fn from(name: String) -> Self {
        match name.as_str() {
            "cosine" => Self::Cosine,
            "dot" => Self::Dot,
            "l2" => Self::L2,
            "bm25" => Self::Bm25,
            "rrf" => Self::Rrf,
            "convex" => Self::Convex,
            "dbsf" => Self::Dbsf,
            "mmr" => Self::Mmr,
            "rerank" => Self::Rerank,
            _ => Self::Custom(name),
        }
    }
}

impl From<ScoreKind> for String {
    fn from(kind: ScoreKind) -> Self {
        kind.name().to_owned()
    }
}

impl fmt::Display for ScoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The least score of one kind that a hit must have.
///
/// ```
/// use ragtune_core::text::{ScoreKind, Threshold};
/// let threshold = Threshold::new(ScoreKind::Cosine, 0.3)?;
/// assert!(Threshold::new(ScoreKind::Rrf, 0.01).is_err());
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    kind: ScoreKind,
    min: f32,
}

impl Threshold {
    /// A hit must score at least `min` on `kind`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a fused kind, whose values mean nothing outside their own list, and for a
    /// minimum that is not a number.
    pub fn new(kind: ScoreKind, min: f32) -> Result<Self> {
        if kind.is_relative() {
            let reason = format!(
                "{kind} depends on the other hits of its list; set the threshold on cosine, bm25 or rerank instead"
            );
            return Err(Error::InvalidArgument {
                argument: "threshold",
                reason,
            });
        }
        if min.is_nan() {
            return Err(Error::NotFinite {
                what: "threshold".to_owned(),
                value: min,
            });
        }
        Ok(Self { kind, min })
    }

    /// The kind of score that is looked at.
    pub fn kind(&self) -> &ScoreKind {
        &self.kind
    }

    /// The least score that passes.
    pub fn min(&self) -> f32 {
        self.min
    }

    /// Whether the scores pass; `None` when the kind is not among them.
    pub fn passes(&self, scores: &Scores) -> Option<bool> {
        scores.get(&self.kind).map(|score| *score >= self.min)
    }
}
