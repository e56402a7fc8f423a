//! Texts to vectors.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a text is to the search: models with prompts treat the two sides differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The text looks for something.
    Query,
    /// The text is what is found.
    Document,
}

/// A number of tokens, and whether it was counted or estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenCount {
    /// Counted by the model's own tokenizer.
    Exact(usize),
    /// Estimated from the length of the text.
    Estimate(usize),
}

impl TokenCount {
    /// An estimate for text of which no tokenizer is at hand: a token for every four bytes, rounded up.
    pub fn estimate(text: &str) -> Self {
        Self::Estimate(text.len().div_ceil(4))
    }

    /// The number.
    pub fn get(self) -> usize {
        match self {
            Self::Exact(count) | Self::Estimate(count) => count,
        }
    }
}

/// Maps texts into one vector space.
///
/// ```
/// use ragtune_core::text::{Embedder, Embeddings, Role};
///
/// /// Counts vowels.
/// struct Vowels;
///
/// impl Embedder for Vowels {
///     fn id(&self) -> &str {
///         "vowels-1"
///     }
///     fn dim(&self) -> usize {
///         5
///     }
///     fn max_tokens(&self) -> usize {
///         usize::MAX
///     }
///     fn embed(&self, texts: &[&str], _: Role) -> ragtune_core::Result<Embeddings> {
///         let count = |text: &str, vowel| text.chars().filter(|c| *c == vowel).count() as f32;
///         Embeddings::from_rows(5, texts.iter().map(|text| "aeiou".chars().map(|v| count(text, v)).collect()))
///     }
/// }
///
/// let vectors = Vowels.embed(&["tea", "coffee"], Role::Document)?;
/// assert_eq!(vectors.row(1), Some([0.0, 2.0, 0.0, 1.0, 0.0].as_slice()));
/// # Ok::<(), ragtune_core::Error>(())
/// ```
pub trait Embedder: Send + Sync {
    /// A fingerprint of everything that the vectors depend on (weights, prompts, precision). An index stores it, and
    /// refuses vectors of another one.
    fn id(&self) -> &str;

    /// Components of a vector.
    fn dim(&self) -> usize;

    /// Tokens after which a text is cut.
    fn max_tokens(&self) -> usize;

    /// One vector for each text, in order.
    ///
    /// # Errors
    /// Whatever keeps the model from answering; a text is never left out.
    fn embed(&self, texts: &[&str], role: Role) -> Result<Embeddings>;

    /// Tokens of a text as [`Embedder::max_tokens`] counts them, special tokens left out.
    fn count_tokens(&self, text: &str) -> TokenCount {
        TokenCount::estimate(text)
    }
}

/// Vectors of equal length, one for each text.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    dim: NonZeroUsize,
    data: Vec<f32>,
    truncated: usize,
}

impl Embeddings {
    /// Vectors from one array, `[rows * dim]` row by row; `truncated` says how many texts were longer than the model
    /// takes.
    ///
    /// # Errors
    /// [`Error::Dimension`] when the array is no whole number of rows or `dim` is 0.
    pub fn new(dim: usize, data: Vec<f32>, truncated: usize) -> Result<Self> {
        match NonZeroUsize::new(dim) {
            Some(rows_of) if data.len().is_multiple_of(dim) => Ok(Self {
                dim: rows_of,
                data,
                truncated,
            }),
            _ => Err(Error::Dimension {
                what: "the embeddings' array".to_owned(),
                expected: dim,
                found: data.len(),
            }),
        }
    }

    /// Vectors from rows, none of whose texts was cut.
    ///
    /// # Errors
    /// [`Error::Dimension`] when a row has another length than `dim`.
    pub fn from_rows(dim: usize, rows: impl IntoIterator<Item = Vec<f32>>) -> Result<Self> {
        let mut data = Vec::new();
        for (i, row) in rows.into_iter().enumerate() {
            if row.len() != dim {
                return Err(Error::Dimension {
                    what: format!("row {i}"),
                    expected: dim,
                    found: row.len(),
                });
            }
            data.extend(row);
        }
        Self::new(dim, data, 0)
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.dim.get()
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.data.len() / self.dim
    }

    /// Whether there is no vector.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The vector of text `i`.
    pub fn row(&self, i: usize) -> Option<&[f32]> {
        self.data.chunks_exact(self.dim.get()).nth(i)
    }

    /// The vectors in the order of their texts.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.data.chunks_exact(self.dim.get())
    }

    /// All components, row by row.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// How many texts were longer than the model takes and were cut.
    pub fn truncated(&self) -> usize {
        self.truncated
    }

    /// Checks that there is one finite vector of the right length for each text.
    ///
    /// # Errors
    /// [`Error::Dimension`] or [`Error::NotFinite`].
    pub fn check(&self, dim: usize, texts: usize) -> Result<()> {
        if self.dim.get() != dim {
            let what = "a vector of the embedder".to_owned();
            return Err(Error::Dimension {
                what,
                expected: dim,
                found: self.dim.get(),
            });
        }
        if self.len() != texts {
            let what = "the embedder's answer (in vectors)".to_owned();
            return Err(Error::Dimension {
                what,
                expected: texts,
                found: self.len(),
            });
        }
        match self.data.iter().position(|component| !component.is_finite()) {
            Some(at) => Err(Error::NotFinite {
                what: format!("component {} of the vector of text {}", at % dim, at / dim),
                value: self.data[at],
            }),
            None => Ok(()),
        }
    }
}
