//! How much is found, judged and shown.

/// How much is found, judged and shown to the model.
///
/// ```
/// use ragtune::Limits;
/// let limits = Limits::default().with_top_k(8).with_source_tokens(3_000);
/// assert_eq!(limits.top_k, Some(8));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Passages that reach the answerer at most, whatever the question asks for; `None` leaves it to
    /// [`crate::Query::top_k`].
    pub top_k: Option<usize>,
    /// Passages that the reranker judges.
    pub candidates: usize,
    /// Tokens of all sources in a prompt at most; `None` uses what the model's context leaves.
    pub source_tokens: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            top_k: None,
            candidates: 50,
            source_tokens: None,
        }
    }
}

impl Limits {
    /// At most this many passages reach the answerer.
    pub fn with_top_k(mut self, top_k: usize) -> Self {
        self.top_k = Some(top_k);
        self
    }

    /// The reranker judges this many passages.
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }

    /// The sources in a prompt have at most this many tokens together.
    pub fn with_source_tokens(mut self, source_tokens: usize) -> Self {
        self.source_tokens = Some(source_tokens);
        self
    }
}
